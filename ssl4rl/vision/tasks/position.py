"""Position: an image and a piece that was cut out of it; where was it cut out?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import LEAST_DIFFERENCE, SEEN, Box, changed, cut, describe_changes, differences

LEAST_PATCH = 8
"""Least side of a piece in pixels of the file; smaller ones are not asked about."""
AUGMENTS = ("flip", "jitter", "grayscale", "blur")
QUADRANTS = (("top left", "top right"), ("bottom left", "bottom right"))


class PositionKnobs(VisionKnobs):
    """Settings of position."""

    n: int = Field(2, ge=2, le=5)
    """Cells a side: the image is divided into a grid of n×n."""
    row_column: bool = False
    """Whether a 2×2 grid is asked about by row and column, as larger ones are, instead of by name."""
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
    """In which cell of an n×n grid does the piece belong? All cells are equally likely."""

    name: ClassVar[str] = "position"
    version: ClassVar[int] = 3
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
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "easy", "patch_min": 0.6},
        {"level": "medium"},
        {"level": "augmented"},
        {"level": "hard"},
        {"level": "4x4"},
    )

    @property
    def num_slots(self) -> int:
        return self.knobs.n**2

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        n, image = self.knobs.n, self.pick(rng)
        whole = self.whole(image, least=math.ceil(n * LEAST_PATCH / self.knobs.patch_min))
        row, column = divmod(self.slot(index, self.num_slots), n)
        side = rng.uniform(self.knobs.patch_min, self.knobs.patch_max) / n
        left, top = (place / n + rng.uniform(0, 1 / n - side) for place in (column, row))
        box = (left, top, left + side, top + side)
        self._check(whole.image, box, (row, column))
        piece, changes = self._piece(whole, box, rng)
        if self.knobs.named:
            gold = QUADRANTS[row][column]
            form = "top left, top right, bottom left or bottom right"
            scoring = Scoring("score_any_of", {"accepted": [gold], "choices": [*QUADRANTS[0], *QUADRANTS[1]]})
        else:
            gold, form = f"{row + 1}, {column + 1}", "two numbers (row, column)"
            scoring = Scoring("score_cell", {"cell": [row + 1, column + 1], "n": n})
        return Draft(
            parts=("The image:", whole, "The piece:", piece, self._question(), self.form(form)),
            scoring=scoring,
            gold=gold,
            chance=1 / n**2,
            source_items=self.items([image]),
            meta=self.meta([image], box=list(box), cell=[row, column], changes=changes),
        )

    def _check(self, whole: Image.Image, box: Box, cell: tuple[int, int]) -> None:
        """Refuses a piece that looks like the same part of another cell; if pieces are changed, also mirrored or grey.

        Raises:
            Redraw: if it does.
        """
        n, (left, top, right, bottom) = self.knobs.n, box
        moves = sorted(((row - cell[0], column - cell[1]) for row in range(n) for column in range(n)), key=any)
        boxes = [(left + x / n, top + y / n, right + x / n, bottom + y / n) for y, x in moves]
        parts = [cut(whole, each, SEEN, SEEN) for each in boxes]
        if self.knobs.augment:
            mirrored = ImageOps.mirror(whole)
            # What is x columns further right in the mirror is in column n - 1 - column - x of the image.
            others = [each for each, (y, x) in zip(boxes, moves, strict=True) if y or x != n - 1 - 2 * cell[1]]
            parts += [cut(mirrored, each, SEEN, SEEN) for each in others]
            parts = [part.convert("L") for part in parts]
        if differences(parts)[0].min() < LEAST_DIFFERENCE:
            raise Redraw("the piece looks like another part of the image")

    def _piece(self, whole: ShownImage, box: Box, rng: np.random.Generator) -> tuple[ShownImage, list[str]]:
        """The part inside the box, changed at random, and the names of the changes."""
        side = box[2] - box[0]
        width, height = (self._pixels(edge, side) for edge in whole.image.size)
        piece = cut(whole.image, box, width, height)
        piece, changes = changed(piece, dict.fromkeys(AUGMENTS, self.knobs.augment), rng)
        return derive(whole, piece, box=list(box), view=[width, height], changes=changes), list(changes)

    def _pixels(self, edge: int, share: float) -> int:
        """Pixels that a piece is shown with along an edge: as many as a cell has, or its own with ``shape=own``."""
        return edge // self.knobs.n if self.knobs.shape == "square" else max(1, round(edge * share))

    def _question(self) -> str:
        n = self.knobs.n
        scaled = ", and scaled" if self.knobs.shape == "square" else ""
        changes = describe_changes(AUGMENTS if self.knobs.augment else ())
        if self.knobs.named:
            cell = "From which quarter of the image?"
        else:
            cell = (
                f"Think of the image as a grid of {n} rows and {n} columns; row 1 is at the top and column 1 at the "
                "left. In which cell does the piece lie?"
            )
        return f"The piece was cut out of the image, upright{scaled}{changes}. {cell}"
