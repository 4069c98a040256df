"""Position: a picture and a piece that was cut out of it; where was it cut out?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ssl4rl.answers import score_any_of, score_cell
from ssl4rl.example import Example, Score
from ssl4rl.tasks import REPLY_FORMAT, Draft
from ssl4rl.vision.task import VisionKnobs, VisionTask
from ssl4rl.vision.transforms import changed, cut, told

LEAST_PATCH = 8
"""Pieces with a shorter side than this in the file are not asked about."""
AUGMENTS = ("flip", "jitter", "grayscale", "blur")
QUADRANTS = (("top left", "top right"), ("bottom left", "bottom right"))


class PositionKnobs(VisionKnobs):
    """Settings of position."""

    n: int = Field(2, ge=2, le=5)
    """Cells a side: the picture is thought of as a grid of n×n."""
    row_column: bool = False
    """Whether a 2×2 grid is asked about by row and column too, as larger ones are, and not by name."""
    patch_min: float = Field(0.4, ge=0.1, le=1)
    """Least side of the piece as a share of its cell's side."""
    patch_max: float = Field(0.8, ge=0.1, le=1)
    """Greatest side of the piece."""
    augment: float = Field(0.0, ge=0, le=1)
    """Probability of each change of the piece (mirrored, colours, grey, blur); 0 leaves it as it is."""

    @model_validator(mode="after")
    def _fits(self) -> PositionKnobs:
        if self.patch_min > self.patch_max:
            raise ValueError(f"patch_min={self.patch_min:g} must be at most patch_max={self.patch_max:g}")
        return self

    @property
    def named(self) -> bool:
        """Whether cells are quadrants with names."""
        return self.n == 2 and not self.row_column


class Position(VisionTask[PositionKnobs]):
    """In which cell of an n×n grid does the piece belong? All cells are as likely."""

    name: ClassVar[str] = "position"
    knobs_type = PositionKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"patch_min": 0.8, "patch_max": 1.0},
        "medium": {},
        "augmented": {"augment": 0.5},
        "hard": {"n": 3},
        "4x4": {"n": 4, "size": 448},
        "5x5": {"n": 5, "size": 448},
        "paper": {"shape": "own", "size": 512, "patch_min": 0.2},
        "paper-3x3": {"shape": "own", "size": 512, "patch_min": 0.2, "n": 3},
        "paper-4x4": {"shape": "own", "size": 512, "patch_min": 0.2, "n": 4},
        "paper-5x5": {"shape": "own", "size": 512, "patch_min": 0.2, "n": 5},
    }

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        n, picture = self.knobs.n, self.pick(rng)
        image = self.whole(picture, least=math.ceil(n * LEAST_PATCH / self.knobs.patch_min))
        cell = row, column = divmod(int(rng.integers(n * n)), n)
        side = rng.uniform(self.knobs.patch_min, self.knobs.patch_max) / n
        left, top = (at / n + rng.uniform(0, 1 / n - side) for at in (column, row))
        box = (left, top, left + side, top + side)
        piece = cut(image, box, self._shown(image.width, side), self._shown(image.height, side))
        piece, made = changed(piece, dict.fromkeys(AUGMENTS, self.knobs.augment), rng)
        scaled = ", and scaled" if self.knobs.shape == "square" else ""
        after = told(AUGMENTS if self.knobs.augment else ())
        how = f"The piece was cut out of the picture, upright{scaled}{after}."
        if self.knobs.named:
            ask = "From which quarter of the picture: top left, top right, bottom left or bottom right?"
            target: Any = QUADRANTS[row][column]
            what = "the quarter"
        else:
            ask = (
                f"Think of the picture as a grid of {n} rows and {n} columns; row 1 is at the top and column 1 at the "
                "left. In which cell does the piece lie?"
            )
            target, what = [row + 1, column + 1], "row, column as two numbers"
        parts = ("The picture:", image, "The piece:", piece, f"{how} {ask}", REPLY_FORMAT.format(what=what))
        return Draft(parts, target, self.meta([picture], box=list(box), cell=list(cell), changes=made))

    def _shown(self, edge: int, share: float) -> int:
        """Pixels that a piece is shown with along an edge: as many as a cell has, or its own with ``shape=own``."""
        return edge // self.knobs.n if self.knobs.shape == "square" else max(1, round(edge * share))

    def score(self, reply: str, example: Example) -> Score:
        if isinstance(example.target, str):
            return score_any_of(reply, [example.target, example.target.replace(" ", "-")])
        return score_cell(reply, example.target)

    def chance(self, example: Example) -> float:
        return 1 / self.knobs.n**2

    def gold(self, example: Example) -> str:
        return example.target if isinstance(example.target, str) else ", ".join(map(str, example.target))
