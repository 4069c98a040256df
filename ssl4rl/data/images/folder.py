"""Images that are files of their own: all of a folder, or those that an index csv names.

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

from ssl4rl.data.images.cells import existing
from ssl4rl.data.images.store import LABEL_COLUMNS, Listing, recall, remember
from ssl4rl.data.readers import read_table
from ssl4rl.data.tables import SPLIT_NAMES, Problems, where
from ssl4rl.data.text import class_names, clean
from ssl4rl.errors import UserError, listed
from ssl4rl.vision.decode import read_image
from ssl4rl.vision.image_set import IntArray

PATH_COLUMNS = ("path", "image", "file", "file_name")
"""Columns of an index csv that name the image files; the first one that exists is used."""

HIDDEN, LINKED, CLOSED = "hidden files", "linked folders", "folders that cannot be read"
"""Why files below a folder are passed over; a linked folder, because its files are read under another name."""


@dataclass(frozen=True)
class Files:
    """Images that are files of their own: ``paths`` within the folder ``root`` (or absolute)."""

    root: Path
    paths: Sequence[str]

    def open(self, index: int, side: int | None) -> Image.Image:
        return read_image(self.root / self.paths[index], side)

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
    hashes, problems = _file_hashes(root, paths, lambda index: str(root / paths[index]))
    return Listing(
        name=root.resolve().name,
        store=Files(root, paths),
        hashes=hashes,
        labels=[_as_text(parts[level]) if len(parts) > level else "" for parts in folders],
        splits=[parts[0] if split_first and parts else "" for parts in folders],
        problems=problems,
        found=len(paths),
    )


def _as_text(name: str) -> str:
    """The name of a folder; of one that is no UTF-8, as old archives have them, in Latin-1."""
    written = os.fsencode(name)
    try:
        return clean(written.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(written.decode("latin-1"))


def _as_posix(folder: Path, name: str) -> str:
    """The name of a file that a table names, from ``folder`` on; with slashes where it is there with these."""
    return existing(folder, name.lstrip("\\")).relative_to(folder).as_posix() if "\\" in name else name


def list_index(path: Path, problems: Problems) -> Listing:
    """The images that a csv names; a file that does not exist is a problem of that image alone.

    Rows without a file name, or with an unknown split, are reported and left out.

    Raises:
        UserError: if the csv as a whole cannot be read, or no column names files.
    """
    table = read_table(path, problems)
    column = next((name for name in PATH_COLUMNS if name in table.columns), None)
    if column is None:
        raise UserError(
            f"{path}: there is no column {' or '.join(map(repr, PATH_COLUMNS))} that names the image files; "
            f"its columns are {listed(table.columns)}"
        )
    label = next((name for name in LABEL_COLUMNS if name in table.columns), "")
    table.used.update({column, label, "split"} - {""})
    rows, paths, labels, splits = [], [], [], []
    for row, cells in table.rows:
        name, split = cells[column].strip(), cells.get("split", "").strip()
        if not name:
            problems.add(f"{where(path, row, column)}: the file name is missing")
        elif split and split.lower() not in SPLIT_NAMES:
            problems.add(f"{where(path, row, 'split')}: {split!r} is not train, val or test (or empty)")
        else:
            rows.append(row)
            paths.append(_as_posix(path.parent, name))
            labels.append(cells.get(label, ""))
            splits.append(split)
    hashes, unreadable = _file_hashes(path.parent, paths, lambda index: where(path, rows[index], column))
    folder = path.resolve().parent.name
    return Listing(
        name=folder if path.stem == "index" and folder else path.stem,
        store=Files(path.parent, paths),
        hashes=hashes,
        labels=class_names(labels),
        splits=splits,
        problems=unreadable,
        unit=f"rows of {path.name}",
        found=table.found,
        reading=[table.tally_columns()],
    )


def _file_hashes(root: Path, paths: Sequence[str], place: Callable[[int], str]) -> tuple[list[str], dict[int, str]]:
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
        except OSError as error:
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            problems[index] = f"{place(index)}: cannot read {path} ({reason})"
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
