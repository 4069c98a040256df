"""Long arrays and many texts, written and read part by part, so that memory holds a part of them only.

What is long lies in a file that is mapped: the system reads what is used, and takes it back when memory runs short.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count, pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

BLOCK = 1 << 22
"""Entries of an array that are worked on at a time."""
BLOCK_OF_TEXTS, BLOCK_OF_NUMBERS = 1 << 14, 1 << 16
HEADER = 128
"""Bytes in front of an array in a .npy file: it is written last, when the shape is known."""


def blocks(length: int, *mapped: Array, size: int = 0) -> Iterator[slice]:
    """The places 0 to ``length`` in parts; the pages of ``mapped`` arrays are let go of after each."""
    size = size or BLOCK
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
        release(*mapped)


def release(*arrays: Array | mmap.mmap) -> None:
    """Lets go of the memory that the pages of mapped arrays take up in this process; they can be read as before."""
    for array in arrays:
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        if sys.platform != "win32" and isinstance(base, mmap.mmap):
            base.madvise(mmap.MADV_DONTNEED)


def mapped(path: Path) -> Array:
    """The array in a .npy file.

    Raises:
        OSError, ValueError: if there is none, or it is damaged.
    """
    # Indexing the memmap itself is several times slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def whole_numbers(values: Any) -> NDArray[np.int64]:
    """Whole numbers of any type that holds them, such as 2.0 and True; those of an integer array are not copied.

    Raises:
        ValueError: what is wrong with them, as "holds …" or "is …".
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError("is no array of numbers") from error
    kind = array.dtype.kind
    if not array.size:
        return np.zeros(array.shape, dtype=np.int64)
    large = kind in "uf" and bool((np.abs(array.astype(np.float64)) >= 2.0**63).any())
    if kind not in "biuf" or large or (kind == "f" and not np.array_equal(array, np.trunc(array))):
        raise ValueError("holds something that is not a whole number")
    return array if kind == "i" else array.astype(np.int64)


class Growing:
    """An array to which parts are appended, in memory or in a .npy file."""

    def __init__(self, dtype: DTypeLike, path: Path | None = None) -> None:
        self._dtype, self._path = np.dtype(dtype), path
        self._parts: list[Array] = []
        self._length = 0
        self._file = None if path is None else path.open("wb")
        if self._file is not None:
            self._file.write(bytes(HEADER))

    def append(self, part: Array) -> None:
        part = np.ascontiguousarray(part, dtype=self._dtype)
        self._length += len(part)
        if self._file is None:
            self._parts.append(part)
        else:
            self._file.write(part.data.cast("B") if part.size else b"")

    def finish(self, rows: int = 0) -> Array:
        """All that was appended, as one row or as so many; nothing can be appended any more."""
        shape = (rows, self._length // rows) if rows else (self._length,)
        if self._file is None or self._path is None:
            whole = (
                self._parts[0] if len(self._parts) == 1 else np.concatenate([np.zeros(0, self._dtype), *self._parts])
            )
            self._parts = []
            return whole.reshape(shape)
        said = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        with self._file as file:
            file.seek(0)
            file.write(b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little"))
            file.write(str(said).ljust(HEADER - 11).encode() + b"\n")
        return mapped(self._path)


Place = Callable[[str, DTypeLike], Growing]
"""Where an array of that name and type grows."""


def in_memory(name: str, dtype: DTypeLike) -> Growing:
    """The place of arrays that may stay in memory."""
    return Growing(dtype)


def in_folder(folder: Path) -> Place:
    """A place for arrays in files of a folder, ``name.npy``."""
    return lambda name, dtype: Growing(dtype, folder / f"{name}.npy")


_scratch: ContextVar[tuple[Path, Iterator[int]] | None] = ContextVar("scratch", default=None)


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """Within it, what is read of a graph's files grows in files of ``folder``, not in memory."""
    token = _scratch.set((folder, count()))
    try:
        yield
    finally:
        _scratch.reset(token)


def scratch_file(suffix: str) -> Path | None:
    """A new file for what is read, or None where it may stay in memory."""
    place = _scratch.get()
    return None if place is None else place[0] / f"{next(place[1])}{suffix}"


def growing(dtype: DTypeLike) -> Growing:
    """An array that grows while files are read."""
    return Growing(dtype, scratch_file(".npy"))


class Numbers:
    """Whole numbers that are appended one by one while files are read."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._grown, self._latest = growing(dtype), list[int]()
        self._dtype = dtype

    def append(self, *numbers: int) -> None:
        self._latest += numbers
        if len(self._latest) > BLOCK_OF_NUMBERS:
            self._flush()

    def finish(self) -> Array:
        """All of them; none can be appended any more."""
        self._flush()
        return self._grown.finish()

    def _flush(self) -> None:
        self._grown.append(np.array(self._latest, dtype=self._dtype))
        self._latest = []


def taken(values: Array, codes: Array) -> Array:
    """``values[codes]``, which grows where files are read into."""
    result = growing(values.dtype)
    for part in blocks(len(codes), codes):
        result.append(values[codes[part]])
    return result.finish()


def places_of(code: int, codes: Array) -> NDArray[np.int64]:
    """The places in ``codes`` that hold ``code``, ascending."""
    result = growing(np.int64)
    for part in blocks(len(codes), codes):
        result.append(np.flatnonzero(codes[part] == code) + part.start)
    return result.finish()


class Texts(Sequence[str]):
    """Texts in a mapped file; each is decoded when it is read.

    ``content`` holds them in UTF-8, end to end; text ``i`` is ``content[starts[i]:starts[i + 1]]``.
    """

    def __init__(self, content: mmap.mmap | bytes, starts: NDArray[np.int64]) -> None:
        self.content = content
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.content[self._starts[index] : self._starts[index + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (encoded.decode("utf-8", "surrogatepass") for encoded in self.encoded())

    def encoded(self) -> Iterator[bytes]:
        """The texts one after another, in UTF-8."""
        for part in blocks(len(self), size=BLOCK_OF_TEXTS):
            ends = self._starts[part.start : part.stop + 1].tolist()
            for start, end in pairwise(ends):
                yield self.content[start:end]
            if isinstance(self.content, mmap.mmap):
                release(self.content, self._starts)


def encode(texts: Sequence[str]) -> Iterator[bytes]:
    """The texts in UTF-8, one after another (a lone surrogate, which JSON can hold, is kept)."""
    if isinstance(texts, Texts):
        return texts.encoded()
    return (text.encode("utf-8", "surrogatepass") for text in texts)


def mapped_texts(path: Path, starts: NDArray[np.int64]) -> Texts:
    """The texts in a file that holds them end to end."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return Texts(b"", starts)
        return Texts(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), starts)


class TextFile:
    """Texts that are appended to a file, end to end; ``starts`` grows with the place of each."""

    def __init__(self, path: Path, starts: Growing) -> None:
        self._path, self._file, self._starts = path, path.open("wb"), starts
        self._ends, self._end = [0], 0

    def append(self, text: str) -> None:
        self.append_encoded(text.encode("utf-8", "surrogatepass"))

    def append_encoded(self, text: bytes) -> None:
        self._end += self._file.write(text)
        self._ends.append(self._end)
        if len(self._ends) >= BLOCK_OF_TEXTS:
            self._flush()

    def finish(self) -> Texts:
        """The texts; none can be appended any more."""
        self._flush()
        self._file.close()
        return mapped_texts(self._path, self._starts.finish())

    def _flush(self) -> None:
        self._starts.append(np.array(self._ends, dtype=np.int64))
        self._ends.clear()


class TextList:
    """The same in memory."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def append(self, text: str) -> None:
        self._texts.append(text)

    def finish(self) -> list[str]:
        return self._texts


def growing_texts() -> TextFile | TextList:
    """Texts that grow while files are read."""
    path = scratch_file(".bin")
    return TextList() if path is None else TextFile(path, growing(np.int64))
