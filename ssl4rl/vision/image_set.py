"""A set of images: what vision tasks and benchmarks cut their examples from.

An image is decoded when it is opened and not before. Its identity and its split follow from the SHA-256 of its bytes
alone, so neither changes with the library that decodes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.errors import unknown
from ssl4rl.source import SPLITS
from ssl4rl.tally import Tally

IntArray = NDArray[np.int64]

VAL_SHARE, TEST_SHARE = 0.05, 0.10
"""Shares of the distinct images where the data brings no splits: 85/5/10, as for the edges of a graph."""
FEWEST_HELD_OUT = 10
"""Images of val, and of test, that a small set gives up as well, if that is a tenth of it at most."""


class ImageStore(Protocol):
    """Where an :class:`ImageSet` gets its images: files, rows of a table, or a drawing program."""

    def open(self, index: int, side: int | None) -> Image.Image:
        """The image as upright RGB (see :meth:`ImageSet.open`)."""

    def describe(self, index: int) -> str:
        """The image's file name or row."""

    def take(self, indices: IntArray) -> ImageStore:
        """Those images alone, in that order."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with optional labels and splits."""

    name: str
    store: ImageStore
    hashes: Sequence[str]
    """SHA-256 of each image's bytes (of its recipe, for drawn scenes), [N]."""
    labels: IntArray | None = None
    """[N], an index into ``label_names``, −1 where unknown."""
    label_names: Sequence[str] = ()
    given_splits: IntArray | None = None
    """[N], the split that the data gives each image, an index into ``SPLITS``, −1 for none; None without splits."""
    skipped: Sequence[str] = ()
    """What was wrong with each broken image that was left out, one line each."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """Why other files were not read, and how many: ``{"hidden files": 2}``."""
    reading: Sequence[Tally] = ()
    """What the loader found and read: files, rows, columns, labels."""

    def __len__(self) -> int:
        return len(self.hashes)

    def __repr__(self) -> str:
        labels = f", {len(self.label_names):,} labels" if self.label_names else ""
        return f"ImageSet({self.name!r}, {len(self):,} images{labels})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every image's content hash, label and given split."""
        digest = hashlib.sha256()
        for index, content in enumerate(self.hashes):
            split = -1 if self.given_splits is None else self.given_splits[index]
            digest.update(f"{content} {split} {self.label_of(index)!r}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def counts(self) -> Mapping[str, int]:
        """``images``, how many of them repeat another's bytes (``duplicates``), and how many were ``skipped``."""
        duplicates = len(self) - len(set(self.hashes))
        return {"images": len(self), "duplicates": duplicates, "skipped": len(self.skipped)}

    def label_of(self, index: int) -> str | None:
        """The name of the image's label, None if it has none."""
        if self.labels is None or self.labels[index] < 0:
            return None
        return self.label_names[int(self.labels[index])]

    def open(self, index: int, side: int | None = None) -> Image.Image:
        """The image as RGB: EXIF orientation applied, alpha laid over white, any other mode converted.

        With ``side``, a JPEG is decoded at a half, a quarter or an eighth of its size as long as its shorter side
        stays at least ``side`` pixels; an image is never enlarged.

        Raises:
            UserError: if it is broken or too large; the message names its file.
        """
        return self.store.open(index, side)

    def describe(self, index: int) -> str:
        """The image's file name (within its folder) or its row, for meta and messages."""
        return self.store.describe(index)

    def members(self, split: str) -> IntArray:
        """Indices of the images in train, val or test; images with equal bytes are never in two splits.

        Raises:
            UserError: for an unknown split.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return np.flatnonzero(self._splits == SPLITS.index(split))

    @cached_property
    def _splits(self) -> IntArray:
        """The split of each image, [N]; −1 for one that belongs to none."""
        distinct, which = np.unique(np.array(self.hashes, dtype="U64"), return_inverse=True)
        draws = np.array([_uniform(content) for content in distinct])
        if self.given_splits is None:
            return _drawn_splits(draws)[which]
        return _completed_splits(self.given_splits, which, draws)


def image_item(content_hash: str) -> str:
    """The name of an image among an example's ``source_items``.

    >>> image_item("0123456789abcdef" * 4)
    'image:0123456789abcdef'
    """
    return f"image:{content_hash[:16]}"


def _fewest_of(count: int) -> int:
    """How many of so many distinct images are held out at least."""
    return max(1, min(FEWEST_HELD_OUT, count // 10))


def _drawn_splits(draws: NDArray[np.float64]) -> IntArray:
    """The split of each distinct image by its draw from [0, 1), the same in every large set that holds the image.

    In a small one few draws, or none, fall into val and test: the images with the least draws fill each of them up to
    :data:`FEWEST_HELD_OUT`, but to no more than a tenth of the set.
    """
    splits = np.zeros(len(draws), dtype=np.int64)
    if len(draws) >= len(SPLITS):
        order = np.argsort(draws)
        least = _fewest_of(len(draws))
        num_val = max(least, int((draws < VAL_SHARE).sum()))
        num_test = max(least, int((draws < VAL_SHARE + TEST_SHARE).sum()) - num_val)
        splits[order[:num_val]] = SPLITS.index("val")
        splits[order[num_val : num_val + num_test]] = SPLITS.index("test")
    return splits


def _completed_splits(given: IntArray, which: IntArray, draws: NDArray[np.float64]) -> IntArray:
    """The given splits [N], without what they share, and with val or test taken out of train where one is missing.

    ``which`` [N] says which of the distinct images each one is, ``draws`` has one number in [0, 1) for each of those.
    """
    # An image that is in two splits counts as test before val before train: what is held out was not trained on.
    last = np.full(len(draws), -1, dtype=np.int64)
    np.maximum.at(last, which, given)
    splits = np.where(given == last[which], given, -1)
    for split, low, high in (("val", 0.0, VAL_SHARE), ("test", VAL_SHARE, VAL_SHARE + TEST_SHARE)):
        if SPLITS.index(split) not in given:
            drawn, in_train = (draws >= low) & (draws < high), splits == SPLITS.index("train")
            own = np.unique(which[in_train])
            if len(own) > 1 and not drawn[own].any():
                # Of a small set none may be drawn: those with the least draws are held out.
                drawn[own[np.argsort(draws[own])][: _fewest_of(len(own))]] = True
            splits[in_train & drawn[which]] = SPLITS.index(split)
    return splits


def _uniform(content: str) -> float:
    """A number in [0, 1) that follows from a content hash."""
    # "picture" is part of the key: with another word, every image set would be split anew.
    digest = hashlib.sha256(f"picture split {content}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
