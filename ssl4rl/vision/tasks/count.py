"""Count: parts of an image are pasted over with copies of a few of them; how often was the shown piece pasted?

Synthetic copies to be counted, with the image itself giving what is copied and what distracts. As many places are
pasted over whatever the answer is, each with a grey margin, and with it goes all that was seen there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.vision.task import LEAST_PIECE, VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import GREY, PixelBox, apart, differences, trimmed

LEAST_DIFFERENCE = 8.0
"""Mean difference of two pieces' pixels, of 255, below which one could be taken for the other beside many others."""
MARGIN = 0.2
"""Share of a place's side that is grey, half of it at either end."""
MOST_COVERED = 0.32
"""Share of an image that is pasted over at most: beyond that there is often no room for the places."""


class CountKnobs(VisionKnobs):
    """Settings of count."""

    size: int = Field(336, ge=64, le=2048)
    """Side of the image as shown, in pixels; with ``shape=own`` the most that its shorter side may have."""
    num_places: int = Field(6, ge=3, le=10)
    """Places that are pasted over; the answer is at least 1, and less than that."""
    num_pieces: int = Field(3, ge=2, le=6)
    """Different pieces that are pasted, the one that is asked about included."""
    place: float = Field(0.2, ge=0.08, le=0.35)
    """Side of a place as a share of the image's shorter side."""
    mirrored: bool = False
    """Whether one of the other pieces is the asked one mirrored left to right."""

    @model_validator(mode="after")
    def _fits(self) -> CountKnobs:
        if self.num_pieces > self.num_places:
            raise ValueError(f"num_pieces={self.num_pieces} cannot come from num_places={self.num_places}")
        covered = self.num_places * self.place**2
        if covered > MOST_COVERED:
            raise ValueError(
                f"num_places={self.num_places} of place={self.place:g} cover {covered:.0%} of the image, over "
                f"{MOST_COVERED:.0%}: lower one of them"
            )
        if (side := round(self.place * self.size)) - trimmed(side, MARGIN) < LEAST_PIECE:
            raise ValueError(f"place={self.place:g} gives pieces under {LEAST_PIECE} px: raise task.size or task.place")
        return self


class Count(VisionTask[CountKnobs]):
    """How many of the pasted pieces are copies of the shown one? Scored 0 or 1."""

    name: ClassVar[str] = "count"
    knobs_type = CountKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_places": 4, "num_pieces": 2, "place": 0.25},
        "medium": {},
        "hard": {"num_places": 8, "num_pieces": 4, "place": 0.18, "mirrored": True},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "num_pieces": 2},
        {"level": "medium"},
        {"level": "medium", "mirrored": True},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        return self.knobs.num_places - 1

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        places, image = self.knobs.num_places, self.pick(rng)
        copies = 1 + self.slot(index, self.num_slots)
        whole = self.whole(image, least=self.least_for(self.knobs.place * (1 - MARGIN)))
        side = round(self.knobs.place * min(whole.image.size))
        boxes = apart(rng, places, side, whole.image.size)
        pieces = self._pieces(whole.image, boxes)
        pasted = [0] * copies + rng.integers(1, self.knobs.num_pieces, size=places - copies).tolist()
        pasted = [pasted[place] for place in rng.permutation(places).tolist()]
        how = {"boxes": [list(box) for box in boxes], "mirrored": self.knobs.mirrored}
        shown = derive(whole, pasted_over(whole.image, boxes, [pieces[each] for each in pasted]), **how, pasted=pasted)
        mirrored = " Mirrored copies do not count." if self.knobs.mirrored else ""
        question = (
            f"In {places} places with a grey margin, pieces were pasted onto the image, upright and as large as shown. "
            f"How many of these are copies of the piece above?{mirrored}"
        )
        choices = [str(number + 1) for number in range(places - 1)]
        answer = self.form(f"one number from 1 to {places - 1}")
        return Draft.any_of(
            parts=("The image:", shown, "The piece:", derive(whole, pieces[0], **how, piece=0), question, answer),
            accepted=[str(copies)],
            choices=choices,
            source_items=self.items([image]),
            meta=self.meta([image], boxes=[list(box) for box in boxes], pasted=pasted),
        )

    def _pieces(self, image: Image.Image, boxes: Sequence[PixelBox]) -> list[Image.Image]:
        """What is in the first boxes without their margin, the first of them to be asked about.

        Raises:
            Redraw: if two look alike.
        """
        margin = trimmed(boxes[0][2] - boxes[0][0], MARGIN) // 2
        cut = [
            image.crop((left + margin, top + margin, right - margin, bottom - margin))
            for left, top, right, bottom in boxes[: self.knobs.num_pieces]
        ]
        pieces = [cut[0], ImageOps.mirror(cut[0]), *cut[2:]] if self.knobs.mirrored else cut
        if differences(pieces).min() < LEAST_DIFFERENCE:
            raise Redraw("two pieces look alike")
        return pieces


def pasted_over(image: Image.Image, boxes: Sequence[PixelBox], pieces: Sequence[Image.Image]) -> Image.Image:
    """The image with a piece in the middle of each box, grey around it."""
    result = image.copy()
    for (left, top, right, bottom), piece in zip(boxes, pieces, strict=True):
        result.paste(GREY, (left, top, right, bottom))
        result.paste(piece, ((left + right - piece.width) // 2, (top + bottom - piece.height) // 2))
    return result
