"""One process at a time in a folder: a lock that names its owner, and that is gone when the owner dies."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.redact import without_secrets

LOCK = ".lock"
"""The locked file; it says who holds the lock, and is removed with it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which is made if it is missing.

    Where the file system knows no locks, nothing is locked.

    Raises:
        UserError: if another process holds it (the message names it), or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _acquire(folder / LOCK)
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); give another --output") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30
    """The place of the byte that is locked: behind the text, as nobody else can read what is locked there."""

    def _take(file: int) -> None:
        os.lseek(file, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _acquire(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(file)
        except OSError as error:
            owner = os.read(file, 4096).decode("utf-8", "replace").strip()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(file)
                raise UserError(
                    f"{path.parent} is in use by {owner or 'another process'}; wait until it has ended, or stop it"
                ) from error
            return file  # no locks here
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), path.stat()):
                with suppress(OSError):  # on a full disk the owner has no name
                    os.ftruncate(file, 0)
                    os.write(file, _myself().encode())
                return file
        os.close(file)  # its last owner removed the file in the meantime


def _myself() -> str:
    command = " ".join(without_secrets([Path(sys.argv[0]).name, *sys.argv[1:]]))[:200]
    return f"process {os.getpid()} on {socket.gethostname()} ({command}, since {datetime.now():%Y-%m-%d %H:%M})\n"
