"""Where pictures come from: drawn scenes, a folder, an index csv, a table that holds them, or the hub.

A picture's content hash is computed once and kept under ``SSL4RL_HOME/images``, with the size and the time of change
of its file; a file that changed is read again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ssl4rl.data.graphs.folder import SPLITS as SPLIT_NAMES
from ssl4rl.data.images.store import LABEL_COLUMNS, Listing, recall, remember
from ssl4rl.data.tables import Problems, read_table, where
from ssl4rl.data.text import indexed
from ssl4rl.errors import UserError
from ssl4rl.tasks import SPLITS
from ssl4rl.vision.image_set import ImageSet, IntArray, decode

DEFAULT = "scenes"
"""The embedded pictures: nothing to download."""

HUB = "hub:"
"""What a data set of the Hugging Face hub is announced by: ``hub:owner/name`` or ``hub:owner/name:configuration``."""

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the files that count as pictures in a folder; all others are passed over."""

SHARDS = (".parquet", ".arrow", ".feather")
"""Tables with a column of pictures, in the form that ``datasets`` writes."""

PATH_COLUMNS = ("path", "image", "file", "file_name")
"""Columns of an index csv that name the picture files; the first one that is there is taken."""


@dataclass(frozen=True)
class Files:
    """Pictures that are files of their own: ``paths`` within the folder ``root`` (or absolute)."""

    root: Path
    paths: Sequence[str]

    def open(self, index: int, side: int | None) -> Image.Image:
        path = self.root / self.paths[index]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        return decode(content, str(path), side)

    def describe(self, index: int) -> str:
        return self.paths[index]

    def take(self, indices: IntArray) -> Files:
        return Files(self.root, [self.paths[index] for index in indices])


def load_images(source: str | None = None, skip_broken: bool = False) -> ImageSet:
    """The pictures of a folder, an index csv, a parquet, Arrow or TSV file, or ``hub:owner/name``; drawn ones for None.

    - A folder: all pictures in it and below it. Class subfolders give labels; ``train``, ``val`` and ``test`` folders
      above them give splits. Hidden files and files that are no pictures are passed over. A folder that holds no
      pictures but parquet or Arrow files is read as their union.
    - An index csv: a column ``path`` (relative to the csv's folder), optionally ``label`` and ``split``.
    - A parquet or Arrow file: a column of encoded pictures, optionally ``label`` and ``split``.
    - A TSV: a column ``image`` with base64, or with the ``index`` of the row that holds the picture.

    A broken picture is an error when it is opened. With ``skip_broken`` every picture is decoded once, now; those that
    cannot be are left out and named in ``skipped``.

    Raises:
        UserError: if there is no such source or it is malformed; the message names the file and the row.
    """
    if source is None or source == DEFAULT:
        from ssl4rl.data.images.scenes import default_scenes

        return default_scenes()
    return _image_set(_list(source), skip_broken)


def _list(source: str) -> Listing:
    from ssl4rl.data.images.tables import list_hub, list_shards, list_tsv

    if source.startswith(HUB):
        return list_hub(source.removeprefix(HUB))
    path = Path(source).expanduser()
    if path.is_dir():
        found = _walk(path, (*PICTURES, *SHARDS))
        files = [file for file in found if file.lower().endswith(PICTURES)]
        if not files and found:
            return list_shards(path, found)
        return _list_folder(path, files)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"there is no folder or file {source} (a data set of the hub is written {HUB}owner/name)")
    if suffix in SHARDS:
        return list_shards(path.parent, [path.name])
    if suffix == ".tsv":
        return list_tsv(path)
    if suffix == ".csv":
        return _list_index(path)
    what = "is one picture; give the folder it lies in" if suffix in PICTURES else "is of no kind that is read"
    raise UserError(f"{source} {what} (a folder, .csv, .tsv, {', '.join(SHARDS)})")


def _image_set(listing: Listing, skip_broken: bool) -> ImageSet:
    if listing.problems and not skip_broken:
        number, first = len(listing.problems), next(iter(listing.problems.values()))
        raise UserError(first + (f" ({number - 1} more pictures have such problems)" if number > 1 else ""))
    problems = dict(listing.problems)
    if skip_broken:
        problems |= _broken(listing)
    kept = np.array([index for index in range(len(listing.hashes)) if index not in problems], dtype=np.int64)
    if not len(kept):
        raise UserError(f"{listing.name}: none of the {len(listing.hashes)} pictures can be read, e.g. {problems[0]}")
    label_names, labels = indexed([listing.labels[index] for index in kept])
    codes = {name: SPLITS.index(split) for name, split in SPLIT_NAMES.items()}
    sides = np.array([codes.get(listing.splits[index].lower(), -1) for index in kept], dtype=np.int64)
    return ImageSet(
        name=listing.name,
        pictures=listing.pictures.take(kept),
        hashes=[listing.hashes[index] for index in kept],
        labels=labels if label_names else None,
        label_names=label_names,
        sides=sides if (sides >= 0).any() else None,
        skipped=[problems[index] for index in sorted(problems)],
    )


def _broken(listing: Listing) -> dict[int, str]:
    """What is wrong with the pictures that cannot be decoded; which ones is remembered, as finding out takes long."""
    memory = f"broken-{hashlib.sha256(' '.join(listing.hashes).encode()).hexdigest()[:32]}"
    known = recall(memory).get("broken")
    problems = {}
    for index in range(len(listing.hashes)) if known is None else known:
        if index not in listing.problems:
            try:
                listing.pictures.open(index, side=1)
            except UserError as error:
                problems[index] = str(error)
    if known is None:
        remember(memory, {"broken": list(problems)})
    return problems


def _walk(root: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The files below ``root`` with those endings, as sorted paths relative to it, hidden ones left out."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        base = Path(folder).relative_to(root)
        found += [(base / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.lower().endswith(suffixes))


def _list_folder(root: Path, paths: Sequence[str]) -> Listing:
    if not paths:
        raise UserError(f"{root} holds no pictures ({', '.join(PICTURES)})")
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    # train/cat/1.jpg: the first level is a split where every picture lies below a folder of such a name
    split_first = all(parts and parts[0].lower() in SPLIT_NAMES for parts in folders)
    level = 1 if split_first else 0
    hashes, problems = _file_hashes(root, paths, lambda index: str(root / paths[index]))
    return Listing(
        name=root.resolve().name,
        pictures=Files(root, paths),
        hashes=hashes,
        labels=[parts[level] if len(parts) > level else "" for parts in folders],
        splits=[parts[0] if split_first else "" for parts in folders],
        problems=problems,
    )


def _list_index(path: Path) -> Listing:
    """The pictures that a csv names; a file that is not there is a problem of that picture alone."""
    table = read_table(path, Problems(strict=True))
    column = next((name for name in PATH_COLUMNS if name in table.columns), None)
    if column is None:
        raise UserError(
            f"{path}: there is no column {' or '.join(map(repr, PATH_COLUMNS))} that names the picture files; "
            f"its columns are {', '.join(table.columns)}"
        )
    label = next((name for name in LABEL_COLUMNS if name in table.columns), "")
    paths, labels, splits = [], [], []
    for row, cells in table.rows:
        paths.append(cells[column].strip())
        labels.append(cells.get(label, "").strip())
        splits.append(cells.get("split", "").strip())
        if not paths[-1]:
            raise UserError(f"{where(path, row, column)}: the file name is missing")
        if splits[-1] and splits[-1].lower() not in SPLIT_NAMES:
            raise UserError(f"{where(path, row, 'split')}: {splits[-1]!r} is not train, val or test (or empty)")
    hashes, problems = _file_hashes(path.parent, paths, lambda index: where(path, table.rows[index][0], column))
    folder = path.resolve().parent.name
    return Listing(
        folder if path.stem == "index" and folder else path.stem,
        Files(path.parent, paths),
        hashes,
        labels,
        splits,
        problems,
    )


def _file_hashes(root: Path, paths: Sequence[str], place: Callable[[int], str]) -> tuple[list[str], dict[int, str]]:
    """SHA-256 of each file, and what is wrong with those that cannot be read; ``place`` says where one was named."""
    memory = f"files-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}"
    known = recall(memory)
    hashes: list[str] = []
    problems: dict[int, str] = {}
    now: dict[str, list[Any]] = {}
    for index, name in enumerate(paths):
        path = root / name
        try:
            status = path.stat()
            entry = known.get(name)
            if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                entry = [status.st_size, status.st_mtime_ns, content]
        except OSError as error:
            what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            problems[index] = f"{place(index)}: cannot read {path} ({what})"
            hashes.append("")
            continue
        now[name] = entry
        hashes.append(entry[2])
    if any(known.get(name) != entry for name, entry in now.items()):
        remember(memory, {**known, **now})
    return hashes, problems
