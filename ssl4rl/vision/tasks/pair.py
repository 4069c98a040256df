"""Pair: two neighbouring pieces of an image; on which side of the first does the second lie?

After context prediction (Doersch et al., ICCV 2015), with a gap between the pieces as there, and the pairs of Jigsaw-R1
(Wang et al. 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.vision.seams import SIDES, SeamKnobs, as_pixels, edge_costs, part_of, rank_of
from ssl4rl.vision.task import VisionTask, derive
from ssl4rl.vision.transforms import PixelBox, is_plain, look_alike

TRIES = 30
"""Places that are tried in each image."""


class PairKnobs(SeamKnobs):
    """Settings of pair. ``size`` is the side of the image that pieces are cut from."""

    size: int = Field(448, ge=128, le=2048)
    """Side of the image that the pieces are cut from, in pixels, of which each piece is shown with ``piece``."""
    piece: float = Field(0.25, ge=0.1, le=0.32)
    """Side of a piece as a share of the image's shorter side."""
    gap: float = Field(0.25, ge=0, le=2)
    """Distance of the two pieces as a share of a piece's side."""

    @model_validator(mode="after")
    def _fits(self) -> PairKnobs:
        if self.piece * (3 + 2 * self.gap) > 1:
            raise ValueError(f"three pieces of piece={self.piece:g} with gap={self.gap:g} between them do not fit")
        return self


class Pair(VisionTask[PairKnobs]):
    """Left, right, above or below? Scored 0 or 1."""

    name: ClassVar[str] = "pair"
    knobs_type = PairKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"piece": 0.3, "gap": 0.1, "matched": False},
        "medium": {},
        "hard": {"piece": 0.2, "gap": 0.75},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "gap": 0.1},
        {"level": "medium"},
        {"level": "medium", "gap": 0.5},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        # The right side, and its rank by how well the edges match there.
        return len(SIDES) ** 2

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        image = self.pick(rng)
        whole = self.whole(image, least=self.least_for(self.knobs.piece))
        rank, place = divmod(self.slot(index, self.num_slots), len(SIDES))
        side = list(SIDES)[place]
        boxes = self._place(whole.image, side, rank, rng)
        pieces = [derive(whole, whole.image.crop(box), box=list(box)) for box in boxes]
        apart = ", some way apart" if self.knobs.gap else ""
        question = (
            f"Both pieces were cut out of one image, upright. There the second lies next to the first{apart}. On which "
            "side of the first piece is it: left, right, above or below?"
        )
        answer = self.form("left, right, above or below")
        return Draft.any_of(
            parts=("The first piece:", pieces[0], "The second piece:", pieces[1], question, answer),
            accepted=[side],
            choices=list(SIDES),
            source_items=self.items([image]),
            meta=self.meta([image], boxes=[list(box) for box in boxes], rank=rank),
        )

    def _place(self, image: Image.Image, side: str, rank: int, rng: np.random.Generator) -> tuple[PixelBox, PixelBox]:
        """A piece and its neighbour on that side, whose edges match better on so many other sides.

        The piece has room for a neighbour on every side, whichever is asked about.

        Raises:
            Redraw: if none is found that looks different from all its neighbours, and neither is of one colour.
        """
        edge = round(self.knobs.piece * min(image.size))
        pixels = as_pixels(image)
        # The knobs leave room for three pieces and two gaps; rounding may take a pixel of it.
        step = min(edge + round(self.knobs.gap * edge), (min(image.size) - edge) // 2)
        if step < edge:
            raise Redraw("there is no room for the pieces")
        for _ in range(TRIES):
            left, top = (int(rng.integers(step, length - step - edge + 1)) for length in image.size)
            boxes = {
                name: (left + x * step, top + y * step, left + x * step + edge, top + y * step + edge)
                for name, (x, y) in {"": (0, 0), **SIDES}.items()
            }
            own, neighbour = part_of(pixels, boxes[""]), part_of(pixels, boxes[side])
            costs = [edge_costs([own], [neighbour], name)[0, 0] for name in SIDES]
            if self.knobs.matched and rank_of(costs, list(SIDES).index(side)) != rank:
                continue
            pieces = {name: image.crop(box) for name, box in boxes.items()}
            if not (is_plain(pieces[""]) or is_plain(pieces[side]) or look_alike(list(pieces.values()))):
                return boxes[""], boxes[side]
        raise Redraw("no pieces that look different match equally well at their edges")
