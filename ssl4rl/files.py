"""Files that are whole or absent: each is written beside its place under another name, and renamed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssl4rl.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a file system says when there is no room."""
NO_SUCH_FOLDER = (errno.ENOENT, errno.ENOTDIR)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to. What is written there is ``path`` afterwards; if that fails, what was at ``path`` stays.

    Pipes, terminals and the like, which cannot be renamed, are written to as they are.

    Raises:
        OSError: if it cannot be written, or ``path`` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        yield path
        return
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def wanted(path: Path) -> Iterator[Path]:
    """A path to write to as in :func:`whole`, for a file that a user asked for.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        with whole(path) as temporary:
            yield temporary
    except OSError as error:
        if error.errno in FULL:
            remedy = "make room, or give a file on another disk"
        elif error.errno in NO_SUCH_FOLDER:
            remedy = "give a file in a folder that exists"
        elif error.errno == errno.EISDIR:
            remedy = "give a file"
        else:
            remedy = "give a file in a folder that you may write to"
        raise UserError(f"{path} cannot be written ({error.strerror or error}); {remedy}") from error


def check_writable(folder: Path) -> None:
    """Makes a folder if it is missing.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); give another --output") from error
