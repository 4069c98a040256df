"""A set of images: flags of made-up places, each drawn from its number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from ssl4rl.rng import seeded_rng
from ssl4rl.vision.image_set import ImageSet, IntArray

NUM_FLAGS = 200
VERSION = 1
"""Raised when flags are drawn differently: their hashes stand for how they are drawn."""
SIDE = 112
COLORS = ["crimson", "navy", "gold", "seagreen", "white", "black", "darkorange", "skyblue"]
SIGNS = ["disc", "square", "triangle", "bar"]
"""The classes: the sign that a flag bears."""


@dataclass(frozen=True)
class Flags:
    """Where the set gets its images; see :class:`ssl4rl.vision.image_set.ImageStore` for the protocol."""

    numbers: IntArray

    def open(self, index: int, side: int | None) -> Image.Image:
        return draw_flag(int(self.numbers[index]))

    def describe(self, index: int) -> str:
        return f"flag {self.numbers[index]}"

    def take(self, indices: IntArray) -> Flags:
        return Flags(self.numbers[indices])


@cache
def flags() -> ImageSet:
    """The set. Which images are held out follows from their hashes."""
    numbers = np.arange(NUM_FLAGS)
    hashes = [hashlib.sha256(f"flag {VERSION} {number}".encode()).hexdigest() for number in numbers]
    return ImageSet("flags", Flags(numbers), hashes, labels=numbers % len(SIGNS), label_names=SIGNS)


def draw_flag(number: int) -> Image.Image:
    """Two or three stripes, and a sign away from the middle."""
    rng = seeded_rng("flag", VERSION, number)
    sign_color, *stripes = rng.choice(COLORS, int(rng.integers(3, 5)), replace=False).tolist()
    image = Image.new("RGB", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    upright = rng.integers(2)
    for place, color in enumerate(stripes):
        start, end = place * SIDE // len(stripes), (place + 1) * SIDE // len(stripes)
        draw.rectangle((start, 0, end, SIDE) if upright else (0, start, SIDE, end), fill=color)
    x, y = (SIDE * rng.choice([0.25, 0.75], 2) + rng.integers(-6, 7, 2)).tolist()
    radius = int(rng.integers(14, 22))
    box = (x - radius, y - radius, x + radius, y + radius)
    sign = SIGNS[number % len(SIGNS)]
    if sign == "disc":
        draw.ellipse(box, fill=sign_color)
    elif sign == "square":
        draw.rectangle(box, fill=sign_color)
    elif sign == "triangle":
        draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=sign_color)
    else:
        draw.rectangle((x - radius, y - radius / 3, x + radius, y + radius / 3), fill=sign_color)
    return image
