"""The embedded image set: 4,000 drawn scenes (:mod:`ssl4rl.vision.drawing.scenes`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from ssl4rl.vision.drawing.scenes import KINDS, VERSION, draw_scene
from ssl4rl.vision.image_set import ImageSet, IntArray

NUM_SCENES = 4000


@dataclass(frozen=True)
class Scenes:
    """Images that are drawn when they are opened, by number."""

    numbers: IntArray

    def open(self, index: int, side: int | None) -> Image.Image:
        return draw_scene(int(self.numbers[index]))

    def describe(self, index: int) -> str:
        return f"scene {self.numbers[index]}"

    def take(self, indices: IntArray) -> Scenes:
        return Scenes(self.numbers[indices])


def drawn_scenes(count: int = NUM_SCENES) -> ImageSet:
    """The first ``count`` scenes, labelled by their main object; scene ``i`` is the same in every set."""
    numbers = np.arange(count, dtype=np.int64)
    return ImageSet(
        name="scenes",
        store=Scenes(numbers),
        hashes=[hashlib.sha256(f"scene {VERSION} {number}".encode()).hexdigest() for number in numbers],
        labels=numbers % len(KINDS),
        label_names=KINDS,
    )


@lru_cache(maxsize=1)
def default_scenes() -> ImageSet:
    """The images that are used where none are named."""
    return drawn_scenes()
