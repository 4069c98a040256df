"""Decoding image files, whatever their format and mode, into upright RGB."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Pillow knows more, some of them (EPS) by starting another program, which no supplied file may do."""

WITH_FRAMES = ("PNG", "WEBP", "GIF", "TIFF")
"""Those of which one file may hold several images."""

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused: Pillow's own warning level, a quarter of a gigabyte as 24-bit colour."""

REMEDY, CONVERT = "fix or remove it", "convert it to JPEG or PNG, or remove it"

_OPENING = Lock()
"""Held while a header is read: filters of warnings belong to all threads."""

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
"""What makes an image upright, by the value of its EXIF orientation (Exif 2.3, tag 274)."""


def read_image(path: Path, side: int | None = None) -> Image.Image:
    """An image file as upright RGB (see :func:`decode`).

    Raises:
        UserError: if it cannot be read or decoded.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    return decode(content, str(path), side)


def decode(content: bytes, where: str, side: int | None = None) -> Image.Image:
    """An encoded image, or the first of its frames, as upright RGB; ``where`` names it in errors.

    With ``side``, a JPEG is decoded at a half, a quarter or an eighth of its size as long as its shorter side stays at
    least ``side`` pixels.

    Raises:
        UserError: if it is broken, of an unknown format, or larger than ``MAX_PIXELS``.
    """
    if not content:
        raise UserError(f"{where} is empty; {REMEDY}")
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, in one line
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(f"{where} has too many pixels (at most {MAX_PIXELS:,}): scale it down") from error
    except Exception as error:
        if kind := _what_it_is(content):
            raise UserError(f"{where} is {kind}") from error
        raise UserError(f"{where} is not an image that can be read ({', '.join(FORMATS)}); {REMEDY}") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,}×{image.height:,}"
        raise UserError(f"{where} has {size} pixels, more than {MAX_PIXELS:,}: scale it down")
    try:
        if side is not None:
            image.draft(None, (side, side))  # a hint that only JPEG takes
        return _upright_rgb(image)
    except Exception as error:  # on arbitrary bytes, decoders raise errors of any kind
        raise UserError(f"{where} is broken ({error}); {REMEDY}") from error


def _what_it_is(content: bytes) -> str:
    """What a file is that often goes by an image's name, and what to do about it; empty if nobody knows."""
    start = content[:64].lstrip().lower()
    if content[4:8] == b"ftyp":
        return f"{'AVIF' if content[8:12] in (b'avif', b'avis') else 'HEIC'} inside, which is not read; {CONVERT}"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not an image; git lfs pull fetches it"
    if start.startswith((b"<!doctype html", b"<html")):
        return f"an HTML page, not an image (a download that failed?); {REMEDY}"
    return f"SVG inside, which is not read; {CONVERT}" if start.startswith((b"<?xml", b"<svg")) else ""


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()  # Pillow turns a TIFF here, and drops the tag
    orientation = _orientation(image)
    if image.mode.startswith(("I", "F")):
        clear = image.info.get("transparency")
        grey = _eight_bits(image)
        if isinstance(clear, int):  # one of the 65,536 values of a PNG stands for nothing
            grey[np.asarray(image) == clear] = 255
        image = Image.fromarray(grey, "L")
    elif image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    image = image.convert("RGB")
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image.info = {}  # metadata must not reach a model: it could tell images apart
    return image


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # the metadata cannot be read; the pixels may be fine
        return None


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """The values of a greyscale image of 16 bits, 32 bits or floats with 8 bits, [H, W].

    16 bits are divided by 257. Floats are stretched from their least to their most, and so are 32 bits that hold
    numbers which 16 cannot (depths, heights): nothing says which of them are black and white.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = values.min(initial=0), values.max(initial=0)
    if image.mode.startswith("F") or low < 0 or high > 65535:
        low, high = values.min(), values.max()
        values = (values - low) / (high - low or 1.0) * 255
    elif high > 255 or image.mode != "I":  # one of 32 bits may hold numbers of 8
        values = values / 257
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def has_more_frames(content: bytes) -> bool:
    """Whether an encoded image is an animation, or has several pages: :func:`decode` reads the first.

    The further frames of a JPEG (a preview, a depth map) are no images of their own, and do not count.
    """
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=WITH_FRAMES)
        return bool(getattr(image, "is_animated", False))
    except Exception:  # another format, or no image: decode says so
        return False
