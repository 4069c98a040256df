"""Checkpoints that are whole or absent: written beside, sealed with checksums, and renamed into place.

A seal is a file that ``sha256sum --check SHA256SUMS`` understands, too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ssl4rl.errors import UserError

SUMS = "SHA256SUMS"
STAGING = ".saving"
"""The folder in a run where a checkpoint is written before it has its place."""

PREFIX = "checkpoint-"
TORCH_FELL_SHORT = ("inline_container", "PytorchStreamWriter")
"""What torch's errors, which name its own source, say of a file that could not be written to its end."""
TORCH_MAY_NOT = ("cannot be opened", "Parent directory")
"""And of one that it could not begin."""


def seal(folder: Path) -> None:
    """Writes the checksum of every file in the folder, and all of it to the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    with ThreadPoolExecutor(4) as threads:
        sums = list(threads.map(_sum, files))
    lines = [f"{each}  {path.relative_to(folder).as_posix()}\n" for each, path in zip(sums, files, strict=True)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    for path in (*files, folder / SUMS, folder):
        _flush(path)


def place(staged: Path, target: Path) -> None:
    """Seals a checkpoint and gives it its place; one that is there already is replaced."""
    seal(staged)
    if target.exists():
        # First under another name: a checkpoint of which only a part is deleted must not look like a whole one.
        old = staged.with_name(f"old-{target.name}")
        target.rename(old)
        shutil.rmtree(old)
    staged.rename(target)
    _flush(target.parent)


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None if every file is as it was written."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: each for each, _, name in (line.partition("  ") for line in lines)}
        if not expected:
            return f"{SUMS} is empty"
        for name in expected:
            if not (folder / name).is_file():
                return f"{name} is missing"
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(_sum, [folder / name for name in expected]))
    except (OSError, UnicodeDecodeError) as error:
        return f"it has no {SUMS}" if isinstance(error, FileNotFoundError) else f"it cannot be read ({error})"
    changed = [name for (name, each), now in zip(expected.items(), found, strict=True) if each != now]
    return f"{changed[0]} is not as it was written" if changed else None


def checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Step and folder of the checkpoints in a run, whole or not, the latest first."""
    found = []
    for folder in run.glob(f"{PREFIX}*"):
        step = folder.name.removeprefix(PREFIX)
        if folder.is_dir() and step.isdigit():
            found.append((int(step), folder))
    return sorted(found, reverse=True)


def last_whole(run: Path) -> tuple[tuple[int, Path] | None, list[str]]:
    """Step and folder of the latest checkpoint that is whole, and a line for each later one that is not."""
    lines: list[str] = []
    for step, folder in checkpoints(run):
        problem = damage(folder)
        if problem is None:
            return (step, folder), lines
        lines.append(f"{folder.name} is passed over: {problem}")
    return None, lines


class CannotWrite(UserError):
    """Something could not be written."""


def is_about_disk(error: Exception) -> bool:
    """Whether an error says that a file could not be written: a full disk, a read-only or a forbidden folder."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
    return isinstance(error, CannotWrite) or (isinstance(error, OSError) and error.errno in full)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around what writes into a folder with libraries that each have their own error for a full disk.

    Raises:
        CannotWrite: naming the folder, the reason and the free space.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        fell_short = any(name in str(error) for name in TORCH_FELL_SHORT)
        if isinstance(error, RuntimeError) and not fell_short and not any(word in str(error) for word in TORCH_MAY_NOT):
            raise  # torch's, and about something else
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        if fell_short:
            reason = "a file could not be written to its end"
        free = ""
        with suppress(OSError):
            free = f", {shutil.disk_usage(folder).free / 1e9:.1f} GB are free there"
        raise CannotWrite(f"cannot write to {folder} ({reason}{free}): make room or change its rights") from error


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and writes their entries by itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
