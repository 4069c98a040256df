"""Images that are files of their own: what is in a folder, and what its subfolders say of them.

A file's content hash is computed once and kept under ``SSL4RL_HOME/images``, with its size and time of change; a file
that changed is read again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from ssl4rl.data.images.cells import why_unreadable
from ssl4rl.data.images.store import Listing, recall, remember
from ssl4rl.data.tables import SPLIT_NAMES
from ssl4rl.data.text import clean
from ssl4rl.errors import UserError
from ssl4rl.vision.decode import read_image
from ssl4rl.vision.image_set import IntArray

HIDDEN, LINKED, CLOSED = "hidden files", "linked folders", "folders that cannot be read"
"""Why files below a folder are passed over; a linked folder, because its files are read under another name."""


@dataclass(frozen=True)
class Files:
    """Images that are files of their own: ``paths`` within the folder ``root`` (or absolute)."""

    root: Path
    paths: Sequence[str]

    def open(self, index: int, side: int | None) -> Image.Image:
        return read_image(self.root / self.paths[index], side)

    def read(self, index: int) -> bytes:
        return (self.root / self.paths[index]).read_bytes()

    def describe(self, index: int) -> str:
        # Messages are one line, whatever a file is called.
        return " ".join(self.paths[index].splitlines())

    def take(self, indices: IntArray) -> Files:
        return Files(self.root, [self.paths[index] for index in indices])


def walk(root: Path) -> tuple[list[str], Counter[str]]:
    """The visible files below ``root``, as sorted paths relative to it, and how much else there is, by reason."""
    visible: list[str] = []
    closed: list[OSError] = []
    passed_over: Counter[str] = Counter()
    for folder, folders, files in _walk(root, closed):
        base = Path(folder).relative_to(root)
        passed_over[LINKED] += sum(folders.values())
        if any(part.startswith(".") for part in base.parts):
            passed_over[HIDDEN] += len(files)
            continue
        names = [name for name in files if not name.startswith(".")]
        visible += [(base / name).as_posix() for name in names]
        passed_over[HIDDEN] += len(files) - len(names)
    passed_over[CLOSED] = len(closed)
    return sorted(visible), +passed_over


def _walk(root: Path, closed: list[OSError]) -> Iterator[tuple[str, dict[str, bool], list[str]]]:
    """As ``os.walk``: each folder below ``root`` with its folders and its files; ``closed`` gets what cannot be read.

    Links to folders are followed, but for those to a folder that is read anyway or was followed before, or that holds
    ``root``; of each folder it is said whether it is such a link.
    """
    top = root.resolve()
    followed: set[Path] = set()
    for folder, folders, files in os.walk(root, onerror=closed.append, followlinks=True):
        passed: dict[str, bool] = {}
        for name in sorted(folders):
            path = Path(folder, name)
            passed[name] = False
            if path.is_symlink():
                target = path.resolve()
                passed[name] = target in followed or target.is_relative_to(top) or top.is_relative_to(target)
                followed.add(target)
        folders[:] = [name for name in sorted(folders) if not passed[name]]
        yield folder, passed, files


def visible_files(root: Path) -> Iterator[str]:
    """The names of the visible files below ``root``, as they are come upon."""
    for folder, _, files in _walk(root, []):
        if not any(part.startswith(".") for part in Path(folder).relative_to(root).parts):
            yield from (name for name in files if not name.startswith("."))


def list_folder(root: Path, paths: Sequence[str]) -> Listing:
    """The images ``paths`` of a folder; its subfolders give labels, and splits where they are called so."""
    labels, splits = given_by_folders(root, paths)
    hashes, problems = file_hashes(root, paths, lambda index: str(root / paths[index]))
    return Listing(
        name=root.resolve().name,
        store=Files(root, paths),
        hashes=hashes,
        labels=labels,
        splits=splits,
        problems=problems,
        found=len(paths),
    )


def given_by_folders(root: Path, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The label and the split of each image, by the folders of ``root`` that it is in; empty where these say nothing.

    Raises:
        UserError: if several folders are called like splits, and others beside them are not.
    """
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    # train/cat/1.jpg: the first level is the split if all folders there are called so. (A class may be called train.)
    tops = {parts[0] for parts in folders if parts}
    named = {top for top in tops if top.lower() in SPLIT_NAMES}
    split_first = bool(tops) and named == tops
    if len(named) > 1 and not split_first:
        other = min(tops - named)
        raise UserError(
            f"{root}: {' and '.join(sorted(named))} are called like splits, and {other} is not; move {other} into one "
            "of them, or elsewhere"
        )
    level = 1 if split_first else 0
    labels = [_as_text(parts[level]) if len(parts) > level else "" for parts in folders]
    return labels, [parts[0] if split_first and parts else "" for parts in folders]


def _as_text(name: str) -> str:
    """The name of a folder; of one that is no UTF-8, as old archives have them, in Latin-1."""
    written = os.fsencode(name)
    try:
        return clean(written.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(written.decode("latin-1"))


def file_hashes(root: Path, paths: Sequence[str], place: Callable[[int], str]) -> tuple[list[str], dict[int, str]]:
    """SHA-256 of each file, and what is wrong with those that cannot be read; ``place`` says where one was named."""
    memory = f"files-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}"
    known = recall(memory)
    hashes: list[str] = []
    problems: dict[int, str] = {}
    current: dict[str, list[Any]] = {}
    for index, name in enumerate(paths):
        path = root / name
        try:
            current[name] = _hashed(path, known.get(name))
        except (OSError, ValueError) as error:
            problems[index] = f"{place(index)}: cannot read {path} ({why_unreadable(error)})"
        hashes.append(current[name][2] if index not in problems else "")
    if any(known.get(name) != entry for name, entry in current.items()):
        remember(memory, {**known, **current})
    return hashes, problems


def _hashed(path: Path, known: Any) -> list[Any]:
    """A file's size, time of change and SHA-256; ``known`` itself if size and time are as they were."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # A pipe would be waited for.
        raise OSError(errno.EINVAL, "not a regular file")
    if known and known[:2] == [status.st_size, status.st_mtime_ns]:
        return list(known)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return [status.st_size, status.st_mtime_ns, content]
