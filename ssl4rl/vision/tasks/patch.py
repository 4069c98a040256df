"""Patch: a part of an image is missing; which of several patches belongs at the marked place in it?

After the cropped patch inpainting of Spatial-SSRL (Liu et al. 2025). There a wrong patch can be seen elsewhere in the
image, and is known by that. Here all of them are from the missing part, and any could have been asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.prompts import label_noun, option_labels
from ssl4rl.vision.seams import SeamKnobs, as_pixels, edge_widths, hole_costs, part_of, rank_of
from ssl4rl.vision.task import VisionTask, derive, labelled
from ssl4rl.vision.transforms import GREY, PixelBox, apart, look_alike

TRIES = 12
"""Missing parts that are tried in each image."""
SHIFT = 0.6
"""Least distance of two patches, across or down, as a share of their side: they may share the rest."""
FRAME = 2
"""Pixels of the frame of the marked place."""


class PatchKnobs(SeamKnobs):
    """Settings of patch."""

    size: int = Field(336, ge=64, le=2048)
    """Side of the image as shown, in pixels; with ``shape=own`` the most that its shorter side may have."""
    num_candidates: int = Field(4, ge=2, le=6)
    """Patches to choose from."""
    hole: float = Field(0.55, ge=0.2, le=0.8)
    """Side of the missing part as a share of the image's shorter side."""
    patch: float = Field(0.36, ge=0.1, le=0.5)
    """Side of a patch as a share of the missing part's."""
    gap: float = Field(0.25, ge=0, le=1)
    """Least distance of a patch from what is shown, as a share of the patch's side."""

    @model_validator(mode="after")
    def _fits(self) -> PatchKnobs:
        room = (1 - self.patch * (1 + 2 * self.gap)) / (SHIFT * self.patch)
        if room < 0 or (room + 1) ** 2 < 2.2 * self.num_candidates:
            raise ValueError("there is no room for so many patches: lower task.num_candidates, task.patch or task.gap")
        return self


class Patch(VisionTask[PatchKnobs]):
    """Which patch belongs in the frame? Scored 0 or 1."""

    name: ClassVar[str] = "patch"
    knobs_type = PatchKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2, "gap": 0.1, "matched": False},
        "medium": {},
        "hard": {"num_candidates": 6, "hole": 0.6, "patch": 0.27, "gap": 0.4},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "easy", "num_candidates": 4},
        {"level": "medium", "gap": 0.1},
        {"level": "medium"},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        # The place of the right option, and its rank by how well its edges match.
        return self.knobs.num_candidates**2

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count, image = self.knobs.num_candidates, self.pick(rng)
        rank, place = divmod(self.slot(index, self.num_slots), count)
        whole = self.whole(image, least=self.least_for(self.knobs.hole * self.knobs.patch))
        hole, places, asked = self._cut_out(whole.image, rank, rng)
        patches = [derive(whole, whole.image.crop(box), box=list(box)) for box in places]
        others = [patches[other] for other in rng.permutation(count).tolist() if other != asked]
        shown = derive(whole, with_hole(whole.image, hole, places[asked]), hole=list(hole), asked=list(places[asked]))
        letters = option_labels(count)
        listed = labelled(letters, inserted(patches[asked], others, place))
        question = (
            "A square part of the image is missing, and shown grey. All of the patches "
            f"{letters[0]} to {letters[-1]} were cut out of that part, none of them turned. Which of them belongs in "
            "the white frame?"
        )
        answer = self.form(label_noun(letters))
        return Draft.any_of(
            parts=("The image:", shown, *listed, question, answer),
            accepted=[letters[place]],
            choices=letters,
            source_items=self.items([image]),
            meta=self.meta([image], hole=list(hole), places=[list(box) for box in places], asked=asked, rank=rank),
        )

    def _cut_out(self, image: Image.Image, rank: int, rng: np.random.Generator) -> tuple[PixelBox, list[PixelBox], int]:
        """A missing part, places in it, and which to ask about: where so many other patches match better.

        Raises:
            Redraw: if there is none, or if patches look alike.
        """
        side = round(self.knobs.hole * min(image.size))
        small = round(self.knobs.patch * side)
        inside = side - 2 * round(self.knobs.gap * small)
        rim, pixels = max(edge_widths(small)), as_pixels(image)
        for _ in range(TRIES):
            left, top = (int(rng.integers(rim, edge - side - rim + 1)) for edge in image.size)
            hole = (left, top, left + side, top + side)
            x, y = left + (side - inside) // 2, top + (side - inside) // 2
            boxes = apart(rng, self.knobs.num_candidates, small, (inside, inside), SHIFT)
            places = [(x + box[0], y + box[1], x + box[2], y + box[3]) for box in boxes]
            if look_alike([image.crop(box) for box in places]):
                continue
            order = rng.permutation(len(places)).tolist()
            costs = hole_costs(pixels, hole, places, [part_of(pixels, box) for box in places])
            fitting = [place for place in order if not self.knobs.matched or rank_of(costs[place], place) == rank]
            if fitting:
                return hole, places, fitting[0]
        raise Redraw("no patches that look different match equally well at their edges")


def with_hole(image: Image.Image, hole: PixelBox, place: PixelBox) -> Image.Image:
    """The image without what is inside the hole, and with a frame around a place in it."""
    result = image.copy()
    draw = ImageDraw.Draw(result)
    draw.rectangle((hole[0], hole[1], hole[2] - 1, hole[3] - 1), fill=GREY)
    draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), outline="white", width=FRAME)
    return result
