"""Overlays: attention maps drawn onto the image, for several models side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ssl4rl.attention import Array
from ssl4rl.vision.attention import AttentionMap

PANEL = 512
"""Pixels of the longer side of an image in an overlay."""
GAP, LINE = 8, 16
"""In pixels: the space between panels, and the height of a line of text."""

# From black through red and yellow to white, in equal steps of the value: brightness grows all the way.
COLORS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
OPAQUE = 0.65
"""Share of the colour in the overlay where attention is highest."""
DIM, DARK = 0.6, 0.2
"""Brightness of the grey image where there is no attention, and where the model sees nothing."""


def draw_overlay(image: Image.Image, maps: Sequence[AttentionMap], captions: Sequence[str]) -> Image.Image:
    """The image once for each map, side by side, coloured by it on one scale from 0 to the greatest of all values.

    Each patch is one rectangle of one colour; the part of the image that a model did not see is left dark.
    """
    scale = PANEL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = np.asarray(image.resize(size, Image.Resampling.BICUBIC).convert("L"), dtype=np.float64)[..., None]
    top = max(float(each.values.max()) for each in maps) or 1.0
    width = max(size[0], PANEL)
    sheet = Image.new("RGB", (len(maps) * (width + GAP) + GAP, size[1] + 3 * LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (each, caption) in enumerate(zip(maps, captions, strict=True)):
        left = GAP + number * (width + GAP)
        draw.text((left, 2), caption, fill="black")
        draw.text((left, 2 + LINE), f"from {each.token!r}; to the image: {each.values.sum():.1%}", fill="black")
        sheet.paste(_panel(grey, each, top), (left, 2 * LINE + GAP))
    _legend(sheet, top)
    return sheet


def _panel(grey: Array, each: AttentionMap, top: float) -> Image.Image:
    height, width = grey.shape[:2]
    left, upper, right, lower = each.box
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    rows, columns = each.values.shape
    column = np.clip(((x - left) / (right - left) * columns).astype(int), 0, columns - 1)
    row = np.clip(((y - upper) / (lower - upper) * rows).astype(int), 0, rows - 1)
    share = each.values[row][:, column] / top
    strength = OPAQUE * np.sqrt(share)[..., None]  # so that small shares are visible, too
    mixed = (1 - strength) * DIM * grey + strength * _colors(share)
    seen = ((y >= upper) & (y <= lower))[:, None] & ((x >= left) & (x <= right))[None]
    mixed = np.where(seen[..., None], mixed, DARK * grey)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def _colors(share: Array) -> Array:
    """The colour of values in [0, 1], [..., 3]."""
    steps = np.linspace(0, 1, len(COLORS))
    return np.stack([np.interp(share, steps, channel) for channel in zip(*COLORS, strict=True)], axis=-1)


def _legend(sheet: Image.Image, top: float) -> None:
    """The scale along the lower edge, with the values at its ends."""
    draw = ImageDraw.Draw(sheet)
    bar = _colors(np.linspace(0, 1, 160)[None].repeat(LINE - 6, axis=0))
    y = sheet.height - LINE
    draw.text((GAP, y - 1), "0", fill="black")
    sheet.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (GAP + 14, y + 2))
    draw.text((GAP + 182, y - 1), f"{top:.3g} of the attention to one patch", fill="black")
