"""What a cell of images may hold: the image itself in several forms, a path, or another row's index."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl4rl.data.images.store import Row
from ssl4rl.data.text import cell_text
from ssl4rl.errors import UserError
from ssl4rl.records import parse_json

LONGEST_INDEX = 64
"""An image cell of at most this many characters is another row's index (VLMEvalKit's rule), unless it is a path."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the files that count as images; all others are passed over."""

OTHER_FORMATS = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".svg")
"""Endings of photos and drawings that are not decoded; messages name them."""


IMAGE_COLUMNS = ("image", "image_path")
TEXT_COLUMNS = {"index", "question", "hint", "answer", "category", "l2-category", "l2_category", "split"}
"""Columns of a table of questions that are read beside those of images and the options."""


def table_cell(value: Any, name: str, place: str) -> Any:
    """A cell of a parquet file: as it is where it holds images, else its text.

    Raises:
        UserError: if a column of texts that are read holds bytes, a list or a struct.
    """
    if name in IMAGE_COLUMNS and isinstance(value, bytes | dict | list):
        return value
    text = cell_text(value)
    if text is None and (name in TEXT_COLUMNS or re.fullmatch("[A-Z]", name)):
        raise UserError(f"{place}: it holds {type(value).__name__}, where a text or a number is expected")
    return str(value) if text is None else text


def plain_index(cell: str) -> str:
    """The cell as an index: pandas writes 7 as 7.0 in a column with gaps."""
    return cell.strip().removesuffix(".0")


def images_in(cell: Any) -> list[Any]:
    """The images of a cell, each as it is written; a list, also in JSON, holds several.

    >>> images_in('["a.jpg", "b.jpg"]'), images_in("a.jpg")
    (['a.jpg', 'b.jpg'], ['a.jpg'])
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = parse_json(cell)
        except ValueError:
            return [cell]
    return list(cell) if isinstance(cell, list | tuple) and len(cell) else [cell]


def image_row(row: Row, image: Any, folder: Path) -> Row:
    """The row with its image: bytes, base64, a data URI, a path from ``folder``, or another row's index."""
    problem = f"{row.place}, field image: "
    if isinstance(image, Mapping):  # as `datasets` writes it
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return replace(row, content=image) if image else replace(row, problem=f"{problem}the image is missing")
    written = str(image or "").strip()
    if not written:
        return replace(row, problem=f"{problem}the image is missing")
    if written.lower().endswith(IMAGE_SUFFIXES):
        return _read(row, folder, written)
    if written.startswith("data:"):
        header, _, written = written.partition(",")
        if not header.endswith(";base64") or not header.startswith("data:image/"):
            return replace(row, problem=f"{problem}{header[:60]!r} is not a data URI of an image in base64")
    elif len(written) <= LONGEST_INDEX:
        return replace(row, refers=plain_index(written))
    try:
        content = base64.b64decode("".join(written.split()), validate=True)
    except ValueError as error:
        return replace(row, problem=f"{problem}this is not base64 ({error})")
    return replace(row, content=content) if content else replace(row, problem=f"{problem}the image is empty")


def existing(folder: Path, name: str) -> Path:
    """The path of a file that a table names; backslashes separate folders where no file is called so."""
    path = folder / name
    return path if "\\" not in name or path.exists() else folder / name.replace("\\", "/")


def why_unreadable(error: OSError | ValueError) -> str:
    """Why a file that a table names cannot be read; a ValueError is of a name that no file can have (a zero byte)."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return str(error.strerror) if isinstance(error, OSError) else f"no file can be called so: {error}"


def _read(row: Row, folder: Path, name: str) -> Row:
    path = existing(folder, name)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        return replace(row, problem=f"{row.place}, field image: cannot read {path} ({why_unreadable(error)})")
    if not content:
        return replace(row, problem=f"{row.place}, field image: {path} is empty")
    return replace(row, content=content, file=path)
