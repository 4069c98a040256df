"""Rotation: a picture is shown twice, the second time turned; by how much?

The answer must not show in anything but the pictures' content. So both views have the same size and zoom at every
angle, and where angles other than quarter turns occur, both are resampled alike (see ``tilt_for``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from ssl4rl.answers import score_angle
from ssl4rl.example import Example, Score
from ssl4rl.tasks import REPLY_FORMAT, Draft
from ssl4rl.vision.task import VisionKnobs, VisionTask
from ssl4rl.vision.transforms import canvas_for, tilt_for, turned, turned_inscribed


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
    """By how many degrees was the picture turned counter-clockwise? All multiples of ``step`` are as likely."""

    name: ClassVar[str] = "rotation"
    knobs_type = RotationKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"step": 180},
        "medium": {},
        "hard": {"step": 45},
        "harder": {"step": 30},
        "paper": {"shape": "own", "size": 512},
        "paper-45": {"shape": "own", "size": 512, "step": 45},
    }

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        picture = self.pick(rng)
        angle = self.knobs.step * int(rng.integers(360 // self.knobs.step))
        size, tilt = self.knobs.size, tilt_for(self.knobs.step) * (1 if rng.integers(2) else -1)
        if self.knobs.shape == "own":
            tilt, before = 0.0, self.whole(picture)
            after = turned_inscribed(before, angle)
        else:
            canvas = self.whole(picture, side=canvas_for(size) if tilt else size)
            before, after = turned(canvas, tilt, size), turned(canvas, tilt + angle, size)
        what = "is the first one turned counter-clockwise about its centre"
        if tilt:
            aside = "to the left" if tilt > 0 else "to the right"
            what = f"was turned counter-clockwise about its centre as well (both lean {abs(tilt):g} degrees {aside})"
        parts = (
            "The first picture:",
            before,
            "The second picture:",
            after,
            f"The second picture {what}. By how many degrees, from 0 to {360 - self.knobs.step} in steps of "
            f"{self.knobs.step}?",
            REPLY_FORMAT.format(what="the number of degrees"),
        )
        return Draft(parts, angle, self.meta([picture], angle=angle, tilt=tilt or 0.0))

    def score(self, reply: str, example: Example) -> Score:
        return score_angle(reply, example.target)

    def chance(self, example: Example) -> float:
        return self.knobs.step / 360

    def gold(self, example: Example) -> str:
        return str(example.target)
