"""Contrastive: two views, cut out and changed at random; of one image, or of two?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.errors import NotApplicable
from ssl4rl.tasks import MAX_DRAWS
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import (
    CHANGES,
    Box,
    central,
    changed,
    cut,
    describe_changes,
    is_plain,
    look_alike,
    overlap,
    random_box,
)

BOX_DRAWS = 100


class ContrastiveKnobs(VisionKnobs):
    """Settings of contrastive. ``size`` is the side of a view; the changes have their own probabilities."""

    scale_min: float = Field(0.2, gt=0, le=1)
    """Least area of a view, as a share of the image's."""
    scale_max: float = Field(0.6, gt=0, le=1)
    """Greatest area of a view."""
    min_overlap: float = Field(0.2, ge=0, le=1)
    """Least share of the smaller view's area that two views of one image have in common. With 0 they may have nothing
    in common, and the answer is a guess."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring a view left to right."""
    jitter: float = Field(0.5, ge=0, le=1)
    """Probability of changing brightness, contrast, saturation and hue."""
    grayscale: float = Field(0.2, ge=0, le=1)
    """Probability of taking the colour away."""
    blur: float = Field(0.5, ge=0, le=1)
    """Probability of Gaussian blur."""
    solarize: float = Field(0.0, ge=0, le=1)
    """Probability of inverting the brighter half of the values."""
    equalize: float = Field(0.0, ge=0, le=1)
    """Probability of equalizing the histogram."""
    distinct: bool = True
    """Whether the two images of a "no" always differ in their bytes; in the paper's code they may not."""

    @model_validator(mode="after")
    def _fits(self) -> ContrastiveKnobs:
        if self.scale_min > self.scale_max:
            raise ValueError(f"scale_min={self.scale_min:g} must be at most scale_max={self.scale_max:g}")
        return self


SKETCH = (64, 64)
"""The size at which two images are compared."""


def _every(chance: float) -> dict[str, float]:
    return dict.fromkeys(CHANGES, chance)


class Contrastive(VisionTask[ContrastiveKnobs]):
    """Do both views show parts of one image? Half of the pairs do."""

    name: ClassVar[str] = "contrastive"
    version: ClassVar[int] = 2
    knobs_type = ContrastiveKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {**_every(0.2), "scale_min": 0.3, "scale_max": 1.0, "min_overlap": 0.3},
        "medium": {},
        "hard": {**_every(0.8), "scale_min": 0.08, "scale_max": 0.3},
        # The paper's "weak" as its code has it (its text says 0.2 for every change), and its "strong".
        "paper": {"scale_min": 0.08, "scale_max": 1.0, "min_overlap": 0.0, "jitter": 0.8, "distinct": False},
        "paper-strong": {**_every(0.8), "scale_min": 0.08, "scale_max": 0.3, "min_overlap": 0.0, "distinct": False},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "easy", "scale_min": 0.2, "scale_max": 0.8},
        {"level": "medium"},
        {"level": "medium", "scale_min": 0.12, "scale_max": 0.4},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        return 2

    def prepare(self) -> None:
        super().prepare()
        if self.knobs.distinct and len({self.source.hashes[index] for index in self.members}) < 2:
            raise NotApplicable(f"image set {self.source.name}/{self.split} holds one image; contrastive needs two")
        # Opened large enough that the smallest view is not enlarged, where the file has the pixels.
        self._side = math.ceil(self.knobs.size / math.sqrt(self.knobs.scale_min))
        self._chances = {name: float(getattr(self.knobs, name)) for name in CHANGES}

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        # The boxes are drawn before the answer is, so that views that overlap are no larger than views that cannot.
        boxes = self._boxes(rng)
        same = self.slot(index, self.num_slots) == 0
        first, image = self._usable(rng)
        second, another = (first, image) if same else self._usable(rng, first if self.knobs.distinct else None)
        one, changes = self._view(image, boxes[0], rng)
        other, more = self._view(another, boxes[1], rng)
        if not same and self.knobs.distinct and look_alike([each.image.resize(SKETCH) for each in (image, another)]):
            raise Redraw("two files show one picture")
        possible = describe_changes([name for name, chance in self._chances.items() if chance])
        question = (
            f"Each view was cut out of an image at a random place and scaled to a square{possible}. Were both views "
            "cut out of the same image?"
        )
        return Draft.any_of(
            parts=("The first view:", one, "The second view:", other, question, self.form("yes or no")),
            accepted=["yes" if same else "no"],
            choices=["yes", "no"],
            source_items=self.items([first, second]),
            meta=self.meta([first, second], boxes=[list(box) for box in boxes], changes=[changes, more]),
        )

    def _boxes(self, rng: np.random.Generator) -> tuple[Box, Box]:
        scale = (self.knobs.scale_min, self.knobs.scale_max)
        for _ in range(BOX_DRAWS):
            boxes = random_box(rng, scale), random_box(rng, scale)
            if overlap(*boxes) >= self.knobs.min_overlap:
                return boxes
        raise Redraw(f"no two views share task.min_overlap={self.knobs.min_overlap:g} of their area")

    def _usable(self, rng: np.random.Generator, unlike: int | None = None) -> tuple[int, ShownImage]:
        """A random image that is large enough, with other bytes than ``unlike``.

        Images that are too small are passed over here, one by one: if the whole example were drawn again for each, a
        "no", which needs two images, would come up less often than a "yes".
        """
        reason = "only one image is left"
        for _ in range(MAX_DRAWS):
            index = self.pick(rng)
            if unlike is None or self.source.hashes[index] != self.source.hashes[unlike]:
                try:
                    opened = self.open(index, self._side)
                except Redraw as small:
                    reason = str(small)
                    continue
                return index, self._framed(opened)
        raise NotApplicable(
            f"task {self.label} found no usable image on {self.source.name}/{self.split} in {MAX_DRAWS} draws "
            f"({reason})"
        )

    def _framed(self, opened: ShownImage) -> ShownImage:
        image = central(opened.image) if self.knobs.shape == "square" else opened.image
        return derive(opened, image, shape=self.knobs.shape)

    def _view(self, framed: ShownImage, box: Box, rng: np.random.Generator) -> tuple[ShownImage, list[str]]:
        """The part inside the box, changed at random, and the names of the changes.

        Raises:
            Redraw: if there is nothing to be seen in it.
        """
        size = self.knobs.size
        view = cut(framed.image, box, size, size)
        if is_plain(view):
            raise Redraw("a view shows one colour only")
        image, changes = changed(view, self._chances, rng)
        return derive(framed, image, box=list(box), view=size, changes=changes), list(changes)
