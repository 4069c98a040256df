"""Flip: an image is divided into a grid, and one of its pieces is mirrored; which?

After the flipped patch recognition of Spatial-SSRL (Liu et al. 2025). There is no "none": edges that do not match would
tell it from any piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.prompts import label_noun, option_labels, write_options
from ssl4rl.vision.seams import SIDES, Array, SeamKnobs, edge_costs
from ssl4rl.vision.task import VisionTask, derive
from ssl4rl.vision.tasks.jigsaw import cut_into, mosaic
from ssl4rl.vision.transforms import trimmed

COARSE = 6
"""Pixels a side at which a piece has to differ from its mirror image: finer, any grass or gravel does."""
LEAST_DIFFERENCE = 8.0
"""Mean difference of a piece's pixels from its mirror image's, of 255, below which it is not asked about."""


class FlipKnobs(SeamKnobs):
    """Settings of flip."""

    size: int = Field(336, ge=64, le=2048)
    """Side of the image as shown, in pixels; with ``shape=own`` the most that its shorter side may have."""
    n: int = Field(3, ge=2, le=6)
    """Pieces a side of the grid."""
    num_candidates: int = Field(4, ge=2, le=9)
    """Pieces to choose from."""
    gap: float = Field(0.25, ge=0, le=0.5)
    """Share of a piece's side that is cut away (half of it at either end), and shown grey."""

    @model_validator(mode="after")
    def _fits(self) -> FlipKnobs:
        if self.num_candidates > self.n**2:
            raise ValueError(f"a grid of {self.n}×{self.n} has fewer than num_candidates={self.num_candidates} pieces")
        return self


class Flip(VisionTask[FlipKnobs]):
    """Which of these pieces is mirrored left to right? Scored 0 or 1."""

    name: ClassVar[str] = "flip"
    knobs_type = FlipKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2, "gap": 0.1, "matched": False},
        "medium": {},
        "hard": {"n": 4, "num_candidates": 6},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "easy", "num_candidates": 4},
        {"level": "medium", "num_candidates": 2},
        {"level": "medium"},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        # The place of the right option, and its rank by how much better its edges would match if it were mirrored.
        return self.knobs.num_candidates**2

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        n, image = self.knobs.n, self.pick(rng)
        rank, place = divmod(self.slot(index, self.num_slots), self.knobs.num_candidates)
        whole = self.whole(image, self.knobs.size // n * n)
        pieces = cut_into(whole.image, n, self.knobs.gap)
        flipped, others = self._choose(pieces, rank, rng)
        options = inserted(flipped, others, place)
        shown = [ImageOps.mirror(piece) if number == flipped else piece for number, piece in enumerate(pieces)]
        grid = mosaic(shown, n, trimmed(whole.image.width // n, self.knobs.gap))
        letters = option_labels(len(options))
        question = (
            f"The image is divided into {n} rows and {n} columns of pieces; row 1 is at the top and column 1 at the "
            "left. One piece was mirrored left to right in its place. Which of these is it?"
        )
        listed = write_options([f"row {piece // n + 1}, column {piece % n + 1}" for piece in options])
        image_shown = derive(whole, grid, n=n, gap=self.knobs.gap, flipped=flipped)
        return Draft.any_of(
            parts=(image_shown, f"{question}\n{listed}", self.form(label_noun(letters))),
            accepted=[letters[place]],
            choices=letters,
            source_items=self.items([image]),
            meta=self.meta([image], flipped=flipped, options=options, rank=rank),
        )

    def _choose(self, pieces: Sequence[Image.Image], rank: int, rng: np.random.Generator) -> tuple[int, list[int]]:
        """A piece to mirror, and others, so many of which would gain more at their edges by being mirrored again.

        Raises:
            Redraw: if there are none, or too few pieces that look different when mirrored.
        """
        mirrored = [ImageOps.mirror(piece) for piece in pieces]
        lopsided = [number for number, both in enumerate(zip(pieces, mirrored, strict=True)) if differ(*both)]
        count = self.knobs.num_candidates
        if len(lopsided) < count:
            raise Redraw("too few pieces look different when they are mirrored")
        costs = {side: edge_costs([*pieces, *mirrored], [*pieces, *mirrored], side) for side in SIDES}
        for flipped in rng.permutation(lopsided).tolist():
            others = [int(piece) for piece in rng.permutation(lopsided) if piece != flipped]
            if not self.knobs.matched:
                return flipped, others[: count - 1]
            gains = {piece: self._gain(costs, piece, flipped) for piece in lopsided}
            above = [piece for piece in others if gains[piece] > gains[flipped]][:rank]
            below = [piece for piece in others if gains[piece] <= gains[flipped]][: count - 1 - rank]
            if len(above) + len(below) == count - 1:
                return flipped, rng.permutation([*above, *below]).tolist()
        raise Redraw("no pieces match equally well at their edges")

    def _gain(self, costs: Mapping[str, Array], piece: int, flipped: int) -> float:
        """By how much better a piece's edges would match if it were mirrored (again), one piece being mirrored."""
        n = self.knobs.n
        row, column = divmod(piece, n)
        plain, turned = piece, piece + n * n
        now, then = (turned, plain) if piece == flipped else (plain, turned)
        gains = []
        for side, (x, y) in SIDES.items():
            if 0 <= row + y < n and 0 <= column + x < n:
                beside = (row + y) * n + column + x
                beside += n * n if beside == flipped else 0
                gains.append(costs[side][now, beside] - costs[side][then, beside])
        return float(np.mean(gains))


def differ(piece: Image.Image, mirrored: Image.Image) -> bool:
    """Whether what is to be seen in a piece is on one side rather than the other."""
    one, other = (
        np.asarray(each.resize((COARSE, COARSE), Image.Resampling.BOX), dtype=np.float64) for each in (piece, mirrored)
    )
    return bool(np.abs(one - other).mean() >= LEAST_DIFFERENCE)
