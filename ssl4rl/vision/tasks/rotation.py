"""Rotation: an image is shown twice, the second time turned; by how much?

Nothing but the images' content may give the answer away. So both views have the same size at every angle. Where angles
other than quarter turns occur, both are resampled in the same way (see ``TILT``), and each shows a part of its own
at a zoom of its own: two views a quarter turn apart would agree pixel by pixel, and a classifier of sharpness alone
told those turns from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import SEEN, canvas_for, look_alike, square, turned, turned_inscribed

TILT = 22.5
"""Degrees by which both views lean where angles are multiples of 45: then neither lies along the pixel grid, where
resampling would leave it sharper than the other, and all lie as far off it, to one side or the other."""
LEAST_ZOOM = 1.5
"""With eight angles. At 1.6 that classifier is at chance on noise, 0.125; at 1.3 it is right on 0.145, at 1 on 0.25."""


class RotationKnobs(VisionKnobs):
    """Settings of rotation."""

    step: Literal[45, 90, 180] = 90
    """Degrees between the angles that occur. (Others leave views at several angles to the pixel grid, which tells.)"""
    zoom: float = Field(1.0, ge=1, le=1.8)
    """Each view is enlarged by a factor of its own, up to this one, and shows a part of its own. At least 1.5 with
    ``step=45``, but for ``shape=own``."""

    @model_validator(mode="after")
    def _hides_the_grid(self) -> RotationKnobs:
        if self.step == 45 and self.shape == "square" and self.zoom < LEAST_ZOOM:
            raise ValueError(
                f"step=45 needs a zoom of at least {LEAST_ZOOM:g}: otherwise sharpness tells quarter turns from others"
            )
        if self.zoom > 1 and self.shape == "own":
            raise ValueError(f"zoom={self.zoom:g} needs shape=square: a whole image is not enlarged")
        return self


class Rotation(VisionTask[RotationKnobs]):
    """By how many degrees was the image turned counter-clockwise? All multiples of the knob step are equally likely."""

    name: ClassVar[str] = "rotation"
    version: ClassVar[int] = 2
    knobs_type = RotationKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"step": 180},
        "medium": {},
        "hard": {"step": 45, "zoom": 1.6},
        "paper": {"shape": "own", "size": 512},
        "paper-45": {"shape": "own", "size": 512, "step": 45},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium"},
        {"level": "medium", "zoom": 1.6},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        return 360 // self.knobs.step

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        step, image = self.knobs.step, self.pick(rng)
        angle = step * self.slot(index, self.num_slots)
        tilt = TILT if rng.integers(2) else -TILT
        if self.knobs.shape == "own" or step % 90 == 0:
            tilt = 0.0  # quarter turns change no pixel
        before, after = self._views(image, angle, tilt, rng)
        relation = "is the first one turned counter-clockwise about its centre"
        if self.knobs.zoom > 1:
            lean = f", and both lean {abs(tilt):g} degrees to the {'left' if tilt > 0 else 'right'}" if tilt else ""
            relation = f"shows about the same, turned counter-clockwise (each was enlarged a little on its own{lean})"
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

    def _views(self, image: int, angle: int, tilt: float, rng: np.random.Generator) -> tuple[ShownImage, ShownImage]:
        """The image, leaning by ``tilt``, before and after the turn."""
        size, most = self.knobs.size, self.knobs.zoom
        if self.knobs.shape == "own":
            before = self.whole(image)
            self._check(square(before.image, SEEN * 2))
            return before, derive(before, turned_inscribed(before.image, angle), turn=angle)
        canvas = self.whole(image, side=canvas_for(size) if tilt else size)
        self._check(canvas.image)

        def view(degrees: float) -> ShownImage:
            if most == 1:
                return derive(canvas, turned(canvas.image, degrees, size), view=size, turn=degrees % 360)
            zoom = most ** rng.random()
            room = (1 - 1 / zoom) * size / 2
            right, down = rng.uniform(-room, room, size=2).tolist()
            shown = turned(canvas.image, degrees, size, zoom, (right, down))
            return derive(canvas, shown, view=size, turn=degrees % 360, zoom=zoom, centre=[right, down])

        return view(tilt), view(tilt + angle)
