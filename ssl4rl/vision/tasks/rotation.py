"""Rotation: an image is shown twice, the second time turned; by how much?

Nothing but the images' content may give the answer away. So both views have the same size and zoom at every angle, and
where angles other than quarter turns occur, both are resampled in the same way (see ``tilt_for``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import (
    SEEN,
    canvas_for,
    look_alike,
    square,
    tilt_for,
    turned,
    turned_inscribed,
)


class RotationKnobs(VisionKnobs):
    """Settings of rotation."""

    step: int = Field(90, ge=1, le=180)
    """Degrees between the angles that occur; a divisor of 360."""

    @field_validator("step")
    @classmethod
    def _divides(cls, step: int) -> int:
        if 360 % step:
            raise ValueError("must be a divisor of 360")
        return step


class Rotation(VisionTask[RotationKnobs]):
    """By how many degrees was the image turned counter-clockwise? All multiples of ``step`` are as likely."""

    name: ClassVar[str] = "rotation"
    version: ClassVar[int] = 2
    knobs_type = RotationKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"step": 180},
        "medium": {},
        "hard": {"step": 45},
        "harder": {"step": 30},
        "paper": {"shape": "own", "size": 512},
        "paper-45": {"shape": "own", "size": 512, "step": 45},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "step": 120},
        {"level": "medium"},
        {"level": "medium", "step": 60},
        {"level": "hard"},
        {"level": "harder"},
    )

    @property
    def num_slots(self) -> int:
        return 360 // self.knobs.step

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        step, image = self.knobs.step, self.pick(rng)
        angle = step * self.slot(index, self.num_slots)
        tilt = tilt_for(step) * (1 if rng.integers(2) else -1)
        if self.knobs.shape == "own" or not tilt:
            tilt = 0.0  # never -0.0, which would have another hash
        before, after = self._views(image, angle, tilt)
        relation = "is the first one turned counter-clockwise about its centre"
        if tilt:
            lean = f"{abs(tilt):g} degrees to the {'left' if tilt > 0 else 'right'}"
            relation = f"was turned counter-clockwise about its centre as well (both lean {lean})"
        question = (
            f"The second image {relation}. By how many degrees, from 0 to {360 - step} in steps of {step}?",
            self.form("the number of degrees"),
        )
        return Draft(
            parts=("The first image:", before, "The second image:", after, *question),
            scoring=Scoring("score_angle", {"degrees": angle, "step": step}),
            gold=str(angle),
            chance=step / 360,
            source_items=self.items([image]),
            meta=self.meta([image], angle=angle, tilt=tilt),
        )

    def _check(self, canvas: Image.Image) -> None:
        """Refuses an image, whatever the answer is, that looks the same after some turn.

        Raises:
            Redraw: if it does.
        """
        seen = canvas.resize((canvas_for(SEEN), canvas_for(SEEN))) if self.knobs.step % 90 else canvas
        side = SEEN if self.knobs.step % 90 else canvas.width
        if look_alike([turned(seen, angle, side) for angle in range(0, 360, self.knobs.step)]):
            raise Redraw("the image looks the same after a turn")

    def _views(self, image: int, angle: int, tilt: float) -> tuple[ShownImage, ShownImage]:
        """The image, leaning by ``tilt``, before and after the turn."""
        size = self.knobs.size
        if self.knobs.shape == "own":
            before = self.whole(image)
            self._check(square(before.image, SEEN * 2))
            return before, derive(before, turned_inscribed(before.image, angle), turn=angle)
        canvas = self.whole(image, side=canvas_for(size) if tilt else size)
        self._check(canvas.image)

        def view(degrees: float) -> ShownImage:
            return derive(canvas, turned(canvas.image, degrees, size), view=size, turn=degrees % 360)

        return view(tilt), view(tilt + angle)
