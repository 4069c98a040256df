"""Jigsaw: an image is cut into n×n or n×m pieces, which are shown in shuffled order; which piece belongs where?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import factorial, lcm
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import GREY, look_alike, trimmed


class JigsawKnobs(VisionKnobs):
    """Settings of jigsaw."""

    n: int = Field(2, ge=2, le=6)
    """Pieces a side: the image is cut into n×n of them."""
    columns: int | None = Field(None, ge=1, le=6)
    """Pieces across, where they are to be others than ``n``, which are then those down."""
    layout: Literal["separate", "mosaic"] = "separate"
    """``separate``: every piece is an image of its own; ``mosaic``: one image of all pieces in their new places."""
    gap: float = Field(0.1, ge=0, le=0.5)
    """Share of a piece's side that is cut away (half of it at either end), so that edges alone do not match."""
    min_patch: int = Field(28, ge=4, le=512)
    """Least side of a piece in pixels: as it is shown where images are scaled to ``size``, and in the file with what
    ``gap`` cuts away; the paper's code skips pieces under 28."""
    reward: Literal["exact", "partial", "slots"] = "exact"
    """``exact``: 1 for all places right, else 0; ``partial``: the share of places right, if the answer is a
    permutation; ``slots``: that share without the check, as in the paper's code."""

    @model_validator(mode="after")
    def _fits(self) -> JigsawKnobs:
        rows, columns = self.grid
        whole = self.size // lcm(rows, columns) * lcm(rows, columns)  # what an image is scaled to
        side = whole // max(rows, columns)
        shown = side - trimmed(side, self.gap)
        if shown < self.min_patch:
            raise ValueError(
                f"size={self.size} cut into {rows}×{columns} with gap={self.gap:g} gives pieces of {shown} px, under "
                f"min_patch={self.min_patch}: raise task.size, or lower task.n or task.min_patch"
            )
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of pieces."""
        return self.n, self.columns or self.n


class Jigsaw(VisionTask[JigsawKnobs]):
    """For every place of the original, row by row, the number of the piece that belongs there."""

    name: ClassVar[str] = "jigsaw"
    version: ClassVar[int] = 3
    knobs_type = JigsawKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"gap": 0.0},
        "medium": {},
        "mosaic": {"layout": "mosaic"},
        "2x3": {"columns": 3, "size": 336, "reward": "partial"},
        "hard": {"n": 3, "size": 336},
        "4x4": {"n": 4, "size": 448, "reward": "partial"},
        "5x5": {"n": 5, "size": 560, "reward": "partial"},
        "paper": {"shape": "own", "size": 512, "gap": 0.0, "reward": "slots"},
        "paper-3x3": {"shape": "own", "size": 512, "gap": 0.0, "reward": "slots", "n": 3},
        "paper-4x4": {"shape": "own", "size": 512, "gap": 0.0, "reward": "slots", "n": 4},
        "paper-5x5": {"shape": "own", "size": 512, "gap": 0.0, "reward": "slots", "n": 5},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "easy", "gap": 0.05},
        {"level": "medium"},
        {"level": "medium", "gap": 0.2},
        {"level": "hard"},
    )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        (rows, columns), image = self.knobs.grid, self.pick(rng)
        places, step = rows * columns, lcm(rows, columns)
        whole = self.whole(image, self.knobs.size // step * step, least=max(rows, columns) * self.knobs.min_patch)
        order = [int(place) for place in rng.permutation(places)]
        # The answer is the inverse of the order of showing: not where a piece goes, but which piece a place gets.
        answer = [order.index(place) + 1 for place in range(places)]
        form = self.form(f"the {places} numbers separated by commas")
        return Draft(
            parts=(*self._shown(whole, order), self._question(), form),
            scoring=Scoring("score_permutation", {"gold": answer, "reward": self.knobs.reward}),
            gold=", ".join(map(str, answer)),
            # Of any fixed answer, one permutation in places! is right; in shares, each place is right once in so many.
            chance=1 / factorial(places) if self.knobs.reward == "exact" else 1 / places,
            source_items=self.items([image]),
            meta=self.meta([image], order=[place + 1 for place in order]),
        )

    def _shown(self, whole: ShownImage, order: Sequence[int]) -> Iterator[str | ShownImage]:
        """The pieces in that order, as the layout has them.

        Raises:
            Redraw: if two of them cannot be told apart.
        """
        (rows, columns), gap = self.knobs.grid, self.knobs.gap
        how = {"n": rows, "gap": gap, **({} if self.knobs.columns is None else {"columns": columns})}
        pieces = cut_into(whole.image, rows, gap, columns)
        if look_alike(pieces):
            raise Redraw("two pieces look alike")
        if self.knobs.layout == "mosaic":
            image = mosaic([pieces[place] for place in order], columns, trimmed(whole.image.width // columns, gap))
            yield derive(whole, image, **how, order=list(order))
            return
        for number, place in enumerate(order, 1):
            yield f"Piece {number}:"
            yield derive(whole, pieces[place], **how, piece=place)

    @property
    def unchanged_since(self) -> int:
        # Version 3: the question names rows and columns where they are not as many.
        return self.version if self.knobs.columns else self.version - 1

    def _question(self) -> str:
        rows, columns = self.knobs.grid
        # Of "2×3", the width may come first or the height, and the answer goes row by row.
        size = f"{rows}×{columns} pieces" if rows == columns else f"{rows} rows and {columns} columns of pieces"
        if self.knobs.layout == "mosaic":
            pieces = (
                f"An image was cut into {size}, and the pieces were put back in random places, none "
                f"of them turned. Number the pieces of the image shown from 1 to {rows * columns}, row by row from the "
                "top left."
            )
        else:
            pieces = f"These are the {size} of one image in random order, none of them turned."
            if rows != columns:
                pieces = f"An image was cut into {size}. They follow in random order, none of them turned."
        if self.knobs.gap:
            pieces += " A strip was cut off at every edge of each piece."
        return (
            f"{pieces} Which piece belongs where? Go through the places of the original image row by row, from the "
            "top left to the bottom right, and write for each place the number of the piece that belongs there."
        )


def cut_into(image: Image.Image, rows: int, gap: float, columns: int | None = None) -> list[Image.Image]:
    """The pieces row by row, all of one size, in as many columns as rows if not given.

    Pixels beyond a multiple of their number are cut off first, at both ends.
    """
    columns = columns or rows
    width, height = image.width // columns, image.height // rows
    left, top = (image.width - columns * width) // 2, (image.height - rows * height) // 2
    across, down = trimmed(width, gap) // 2, trimmed(height, gap) // 2
    return [
        image.crop((x + across, y + down, x + width - across, y + height - down))
        for y in range(top, top + rows * height, height)
        for x in range(left, left + columns * width, width)
    ]


def mosaic(pieces: list[Image.Image], columns: int, gap: int) -> Image.Image:
    """The pieces row by row in one image, ``gap`` grey pixels apart."""
    width, height = pieces[0].size
    rows = len(pieces) // columns
    whole = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), GREY)
    for place, piece in enumerate(pieces):
        row, column = divmod(place, columns)
        whole.paste(piece, (column * (width + gap), row * (height + gap)))
    return whole
