"""A set of pictures: what vision tasks and benchmarks cut their examples from.

A picture is decoded when it is asked for and not before. Who it is, and which split it belongs to, follows from the
SHA-256 of its bytes alone, so neither changes with the library that decodes it.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.errors import UserError, unknown
from ssl4rl.tasks import SPLITS

IntArray = NDArray[np.int64]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Pillow knows more, some of them (EPS) by starting another program, which no supplied file may do."""

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused: Pillow's own warning level, a quarter of a gigabyte as 24-bit colour."""

VAL_SHARE, TEST_SHARE = 0.05, 0.10
"""Shares of the distinct pictures where the data brings no splits: 85/5/10, as for the edges of a graph."""

REMEDY = "mend it or remove it, or have broken pictures skipped"

WHITE = (255, 255, 255, 255)
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the value of its EXIF orientation (Exif 2.3, tag 274)."""


class Pictures(Protocol):
    """Where an :class:`ImageSet` gets its pictures: files, rows of a table, or a drawing program."""

    def open(self, index: int, side: int | None) -> Image.Image:
        """The picture as upright RGB (see :meth:`ImageSet.open`)."""

    def describe(self, index: int) -> str:
        """The picture's file name or row."""

    def take(self, indices: IntArray) -> Pictures:
        """Those pictures alone, in that order."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures with optional labels and splits."""

    name: str
    pictures: Pictures
    hashes: Sequence[str]
    """SHA-256 of each picture's bytes (of its recipe, for drawn scenes), [N]."""
    labels: IntArray | None = None
    """[N], an index into ``label_names``, −1 where unknown."""
    label_names: Sequence[str] = ()
    sides: IntArray | None = None
    """[N], the split that the data gives each picture, an index into ``ssl4rl.tasks.SPLITS``; None without splits."""
    skipped: Sequence[str] = ()
    """What was wrong with each picture that was left out, where that was asked for."""

    def __len__(self) -> int:
        return len(self.hashes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every picture's content hash, label and given split."""
        digest = hashlib.sha256()
        for index, content in enumerate(self.hashes):
            side = -1 if self.sides is None else self.sides[index]
            digest.update(f"{content} {side} {self.label_of(index)!r}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def counts(self) -> Mapping[str, int]:
        """``pictures``, how many of them repeat another's bytes (``duplicates``), and how many were ``skipped``."""
        duplicates = len(self) - len(set(self.hashes))
        return {"pictures": len(self), "duplicates": duplicates, "skipped": len(self.skipped)}

    def label_of(self, index: int) -> str | None:
        """The name of the picture's label, None if it has none."""
        if self.labels is None or self.labels[index] < 0:
            return None
        return self.label_names[int(self.labels[index])]

    def open(self, index: int, side: int | None = None) -> Image.Image:
        """The picture as RGB: EXIF orientation applied, alpha laid over white, any other mode converted.

        With ``side``, a JPEG is decoded at a half, a quarter or an eighth of its size as long as its shorter side
        stays at least ``side`` pixels; a picture is never made larger.

        Raises:
            UserError: if it is broken or too large; the message names its file.
        """
        return self.pictures.open(index, side)

    def describe(self, index: int) -> str:
        """The picture's file name (within its folder) or its row, for meta and messages."""
        return self.pictures.describe(index)

    def members(self, split: str) -> IntArray:
        """Indices of the pictures in train, val or test; pictures with equal bytes are always on one side.

        Raises:
            UserError: for an unknown split.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return np.flatnonzero(self._side == SPLITS.index(split))

    @cached_property
    def _side(self) -> IntArray:
        """The side of each picture, [N]; −1 for one whose bytes the data itself puts on two sides, except the last.

        Without given splits, a picture's side follows from its hash and is thus the same in every set that holds it.
        (A very small set makes up an empty val or test of the pictures that are next in line.)
        """
        distinct, which = np.unique(np.array(self.hashes, dtype="U64"), return_inverse=True)
        draw = np.array([_uniform(content) for content in distinct])
        if self.sides is None:
            side = np.zeros(len(distinct), dtype=np.int64)
            order = np.argsort(draw)
            if len(order) >= len(SPLITS):
                num_val = max(1, int((draw < VAL_SHARE).sum()))
                num_test = max(1, int((draw < VAL_SHARE + TEST_SHARE).sum()) - num_val)
                side[order[:num_val]] = SPLITS.index("val")
                side[order[num_val : num_val + num_test]] = SPLITS.index("test")
            return side[which]
        # A picture that is given twice counts as test before val before train: what is held out was not trained on.
        last = np.full(len(distinct), -1, dtype=np.int64)
        np.maximum.at(last, which, self.sides)
        given = np.where(self.sides == last[which], self.sides, -1)
        for split, share in (("val", VAL_SHARE), ("test", TEST_SHARE)):
            if SPLITS.index(split) not in self.sides:  # many data sets bring two splits: the third comes out of train
                low = 0.0 if split == "val" else VAL_SHARE
                drawn = (draw >= low) & (draw < low + share)
                given[(given == SPLITS.index("train")) & drawn[which]] = SPLITS.index(split)
        return given


def _uniform(content: str) -> float:
    """A number in [0, 1) that follows from a content hash and is independent of it by any other use."""
    digest = hashlib.sha256(f"picture split {content}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def decode(content: bytes, where: str, side: int | None = None) -> Image.Image:
    """An encoded picture as upright RGB (see :meth:`ImageSet.open`); ``where`` names it in errors.

    Raises:
        UserError: if it is broken, of an unknown format, or larger than ``MAX_PIXELS``.
    """
    if not content:
        raise UserError(f"{where} is empty; {REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, in one line
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(f"{where} has too many pixels (at most {MAX_PIXELS:,}): scale it down") from error
    except Exception as error:
        raise UserError(f"{where} is not a picture that can be read ({', '.join(FORMATS)}); {REMEDY}") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,}×{image.height:,}"
        raise UserError(f"{where} has {size} pixels, more than {MAX_PIXELS:,}: scale it down")
    try:
        if side is not None:
            image.draft(None, (side, side))  # a hint that only JPEG takes
        return _upright_rgb(image)
    except Exception as error:  # bytes from anywhere: a decoder raises whatever it stumbles over
        raise UserError(f"{where} is broken ({error}); {REMEDY}") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    image.load()
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    elif image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    image = image.convert("RGB")
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image.info = {}  # what a file says about itself goes no further
    return image


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # metadata that cannot be read says nothing; the pixels may be fine
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit or floating-point greyscale picture with 8 bits; floats are stretched from their least to their most."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("F"):
        finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = finite.min(), finite.max()
        values = (finite - low) / (high - low or 1.0) * 255
    else:
        values = values / 257
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "L")
