"""What is kept about images under ``SSL4RL_HOME/images``: content hashes, and the images of tables, unpacked once.

A single row of a parquet file or a TSV cannot be read alone, so the encoded images of a table are copied into one file,
``images.bin``, each distinct one once, with ``index.json`` beside it. From then on an image costs one read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.home import home
from ssl4rl.records import parse_json
from ssl4rl.tally import Tally
from ssl4rl.vision.decode import decode
from ssl4rl.vision.image_set import ImageStore, IntArray

FORMAT = 6
"""Raised when the layout changes, or what a reader makes of a table."""

PATH = re.compile(r"[/\\]|\.[a-z]\w{1,4}$", re.IGNORECASE)
"""What looks like a file in a folder, or one with an ending."""

LABEL_COLUMNS = ("label", "class_name", "class")
"""Columns of an index or a table that hold an image's label; the first one that exists is used."""


class EncodedImages(ImageStore, Protocol):
    """Images that are the bytes of files."""

    def read(self, index: int) -> bytes:
        """Those bytes; raises OSError."""


@dataclass
class Listing:
    """The images that a reader lists, in order; some have a problem instead of a content hash."""

    name: str
    store: EncodedImages
    hashes: Sequence[str]
    labels: Sequence[str]
    """Names; empty where unknown."""
    splits: Sequence[str]
    """As the data spells them (see ``split_name``); empty where it gives none."""
    problems: Mapping[int, str] = field(default_factory=dict)
    absent: Sequence[int] = ()
    """Which of them have the image of a row that the table does not hold, as in a part of a larger table."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """Why other files were not read, and how many."""
    unit: str = "files"
    """What was listed: ``files``, or the rows of a table."""
    found: int = 0
    """How many of these there are, whatever became of them."""
    tables: int = 0
    """Files that were read beside the images."""
    reading: Sequence[Tally] = ()
    """What else was found and read: columns, the rows of another table."""


@dataclass(frozen=True)
class Row:
    """One row of a table of images: ``content``, or the ``key`` of the row that holds it, or a ``problem``."""

    place: str
    """File and row, for messages."""
    content: bytes = b""
    file: Path | None = None
    """Where that was read from, if a file of its own."""
    key: str = ""
    """How other rows refer to this one."""
    refers: str = ""
    """The ``key`` of the row whose image this one shows."""
    label: str = ""
    split: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Index:
    """Content of ``index.json``: one entry per row of the table in each list."""

    hashes: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    files: list[tuple[str, int, int]] = field(default_factory=list)
    """Path, size and time of the files that rows name."""


@dataclass(frozen=True)
class Packed:
    """Images one after the other in a file: where each starts and how long it is, in bytes."""

    path: Path
    starts: Sequence[int]
    sizes: Sequence[int]
    places: Sequence[str]

    def open(self, index: int, side: int | None) -> Image.Image:
        try:
            content = self.read(index)
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}") from error
        return decode(content, self.places[index], side)

    def read(self, index: int) -> bytes:
        with self.path.open("rb") as file:  # opened each time: an open file cannot be sent to worker processes
            file.seek(self.starts[index])
            return file.read(self.sizes[index])

    def describe(self, index: int) -> str:
        return self.places[index]

    def take(self, indices: IntArray) -> Packed:
        return Packed(
            self.path,
            [self.starts[index] for index in indices],
            [self.sizes[index] for index in indices],
            [self.places[index] for index in indices],
        )


def unpacked(name: str, key: Sequence[object], rows: Iterable[Row], unit: str) -> Listing:
    """The images of a table; ``rows`` is read only if there is no unpacked copy of that ``key`` yet, or
    one with problems. ``unit`` is what messages call the rows.

    Raises:
        UserError: what reading ``rows`` raises, or if the copy cannot be written.
    """
    folder = home() / "images" / hashlib.sha256(repr((FORMAT, *key)).encode()).hexdigest()[:32]
    try:
        index = Index(**parse_json((folder / "index.json").read_text(encoding="utf-8")))
        # A file that a row names may be there by now, or be another one.
        stale = any(index.problems) or any(_status(Path(path)) != (size, time) for path, size, time in index.files)
    except (OSError, ValueError, TypeError):
        stale = True
    if stale:
        index = _unpack(folder, rows)
    store = Packed(folder / "images.bin", index.starts, index.sizes, index.places)
    problems = {number: problem for number, problem in enumerate(index.problems) if problem}
    found = len(index.hashes)
    return Listing(
        name, store, index.hashes, index.labels, index.splits, problems, index.absent, unit=unit, found=found
    )


def _status(path: Path) -> tuple[int, int]:
    """The size of a file and the time of its last change; zeros if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _unpack(folder: Path, rows: Iterable[Row]) -> Index:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
        try:
            new = temporary / "new"
            new.mkdir()
            with (new / "images.bin").open("wb") as file:
                index = _write(file, rows)
            (new / "index.json").write_text(json.dumps(asdict(index)), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot unpack images into {folder.parent}: {error.strerror}; set SSL4RL_HOME to a folder with free space"
        ) from error
    return index


def _write(file: Any, rows: Iterable[Row]) -> Index:
    """Writes each distinct image once; rows that refer to others get those rows' images at the end."""
    index = Index()
    starts: dict[str, int] = {}
    number_of: dict[str, int] = {}
    references: dict[int, str] = {}
    for number, row in enumerate(rows):
        content_hash = hashlib.sha256(row.content).hexdigest() if row.content else ""
        if content_hash and content_hash not in starts:
            starts[content_hash] = file.tell()
            file.write(row.content)
        if row.refers:
            references[number] = row.refers
        if row.key:
            number_of.setdefault(row.key, number)
        index.hashes.append(content_hash)
        index.starts.append(starts.get(content_hash, 0))
        index.sizes.append(len(row.content))
        index.places.append(row.place)
        index.labels.append(row.label)
        index.splits.append(row.split)
        index.problems.append(row.problem)
        if row.file is not None:
            index.files.append((str(row.file.resolve()), *_status(row.file)))
    gone = {number for number, key in references.items() if key not in number_of}
    for number, key in references.items():
        other = number_of.get(key)
        if other is None or not index.hashes[other] or other in references:
            reason = "no row has that index" if other is None else f"{index.places[other]} holds no image itself"
            if PATH.search(key) and other is None:
                # A path that no row is called by is a file that is not read, and so an image that is broken.
                reason = "no row has that index, and it is no file of an image that is read (JPEG, PNG and others)"
            elif other is None or other in gone:
                index.absent.append(number)
            index.problems[number] = f"{index.places[number]}: it refers to the image of index {key}, but {reason}"
            continue
        index.hashes[number] = index.hashes[other]
        index.starts[number], index.sizes[number] = index.starts[other], index.sizes[other]
    return index


def recall(name: str) -> dict[str, Any]:
    """What was remembered under that name; ``{}`` if nothing was."""
    try:
        content = parse_json((home() / "images" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(name: str, content: Mapping[str, Any]) -> None:
    """Keeps ``content`` (JSON) for :func:`recall`, unless the folder cannot be written to."""
    path = home() / "images" / f"{name}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{os.getpid()}")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)
