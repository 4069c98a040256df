"""Compressed files from elsewhere: read only as far as their size on disk makes them believable."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

from ssl4rl.errors import UserError, quoted

FREE = 64 << 20
"""Bytes that any file may unpack to."""
MOST_TIMES = 100
"""How many times its own size a file may unpack to beyond that: tables of text and numbers stay below 20."""
BLOCK = 1 << 20
FOLDER = 0x10
"""What marks a folder in a zip file's attributes, as in DOS."""


def read_gzip(path: Path) -> bytes:
    """The content of a gzipped file.

    Raises:
        UserError: if it is not one, or unpacks to far more than its size.
    """
    most = max(FREE, MOST_TIMES * path.stat().st_size)
    content = bytearray()
    try:
        with gzip.open(path) as file:
            while block := file.read(BLOCK):
                content += block
                if len(content) > most:
                    raise UserError(f"{path} unpacks to more than {most:,} bytes, which no table of its size does")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a gzipped file that can be read: {error}") from error
    return bytes(content)


def check_zip(path: Path) -> None:
    """Refuses a zip file that unpacks to far more than its size, or has content in a folder; any other file passes.

    Raises:
        UserError: if it does.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    # torch reads such an entry as whatever its memory held before, without an error.
    for entry in entries:
        if entry.file_size and (entry.external_attr & FOLDER or entry.is_dir()):
            raise UserError(f"{path} is damaged: {quoted(entry.filename)} is marked as a folder, and has content")
    stated = sum(entry.file_size for entry in entries)
    most = max(FREE, MOST_TIMES * path.stat().st_size)
    if stated > most:
        raise UserError(f"{path} unpacks to {stated:,} bytes, which no file of its size does")
