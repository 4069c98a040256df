"""Connections: a piece of a jigsaw, and others; which of them join it, each on a side that is named?

A form of the jigsaw that is rewarded side by side, as are the pieces of Visual Jigsaw (Wu et al. 2025) and PuzzleCraft
(Jeddi et al. 2025). All sides are those of one piece, so that the question says nothing about the other pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.prompts import label_noun, option_labels
from ssl4rl.vision.seams import SIDES, SeamKnobs, as_pixels, edge_costs
from ssl4rl.vision.task import VisionTask, derive, labelled
from ssl4rl.vision.tasks.jigsaw import cut_into
from ssl4rl.vision.transforms import is_plain, look_alike

TRIES, CHOICES = 60, 40
"""Pieces with their sides that are tried in each image, and choices of wrong pieces for each."""
WHERE = {"left": "to the left of it", "right": "to the right of it", "above": "above it", "below": "below it"}


class ConnectionsKnobs(SeamKnobs):
    """Settings of connections."""

    size: int = Field(448, ge=128, le=2048)
    """Side of the image that is cut into pieces; with ``shape=own`` the most that its shorter side may have."""
    n: int = Field(3, ge=3, le=6)
    """Pieces a side: the image is cut into n×n of them."""
    num_candidates: int = Field(4, ge=2, le=8)
    """Pieces to choose from."""
    num_sides: int = Field(2, ge=1, le=4)
    """Sides that are asked about."""
    gap: float = Field(0.25, ge=0, le=0.5)
    """Share of a piece's side that is cut away (half of it at either end)."""

    @model_validator(mode="after")
    def _fits(self) -> ConnectionsKnobs:
        if self.num_sides > self.num_candidates:
            raise ValueError(f"num_candidates={self.num_candidates} is less than num_sides={self.num_sides}")
        return self


class Connections(VisionTask[ConnectionsKnobs]):
    """Which piece joins on each of these sides? The score is the share of sides that are right."""

    name: ClassVar[str] = "connections"
    version: ClassVar[int] = 2
    knobs_type = ConnectionsKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_sides": 1, "num_candidates": 3, "gap": 0.1, "matched": False},
        "medium": {},
        "hard": {"n": 4, "num_candidates": 6},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "num_sides": 1, "matched": False},
        {"level": "medium", "num_sides": 1},
        {"level": "medium"},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        # The place of the first right piece, and for each side the rank of the right one by how well its edge matches.
        return int(self.knobs.num_candidates ** (1 + self.knobs.num_sides))

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        n, count, image = self.knobs.n, self.knobs.num_candidates, self.pick(rng)
        least = self.least_for((1 - self.knobs.gap) / n)
        slot, place = divmod(self.slot(index, self.num_slots), count)
        ranks = [slot // count**power % count for power in range(self.knobs.num_sides)]
        whole = self.whole(image, self.knobs.size // n * n, least)
        pieces = cut_into(whole.image, n, self.knobs.gap)
        if look_alike(pieces):
            raise Redraw("two pieces look alike")
        asked, around, others = self._choose(pieces, ranks, rng)
        first, *rest = around.values()
        options = inserted(first, rng.permutation([*rest, *others]).tolist(), place)
        letters = option_labels(count)
        gold = {side: letters[options.index(piece)] for side, piece in around.items()}

        shown = [derive(whole, pieces[piece], n=n, gap=self.knobs.gap, piece=piece) for piece in (asked, *options)]
        listed = labelled(letters, shown[1:])
        parts = ("The first piece:", shown[0], *listed, self._question(list(around), letters))
        return Draft(
            parts=(*parts, self.form(label_noun(letters, len(gold)) + ", separated by commas" * (len(gold) > 1))),
            scoring=Scoring("score_matching", {"gold": gold, "values": letters}),
            gold=", ".join(gold.values()),
            # Of any fixed answer, each letter is right once in so many.
            chance=1 / count,
            source_items=self.items([image]),
            meta=self.meta([image], piece=asked, around=around, options=options, ranks=ranks),
        )

    def _choose(
        self, pieces: Sequence[Image.Image], ranks: Sequence[int], rng: np.random.Generator
    ) -> tuple[int, dict[str, int], list[int]]:
        """A piece, those that join it on the sides to ask about, and others, so many of which match better there.

        Raises:
            Redraw: if none are found.
        """
        pixels = [as_pixels(piece) for piece in pieces]
        costs = {side: edge_costs(pixels, pixels, side) for side in SIDES}
        # Nobody can say what a piece of one colour joins.
        seen = [piece for piece, image in enumerate(pieces) if not is_plain(image)]
        every = [(piece, sides) for piece in seen for sides in self._sides(piece) if set(sides.values()) <= set(seen)]
        for number in rng.permutation(len(every))[:TRIES].tolist():
            asked, around = every[number]
            right = list(around.values())
            rest = [piece for piece in seen if piece not in (asked, *right)]
            more = self.knobs.num_candidates - len(right)
            if len(rest) < more:
                continue
            choices = rng.permuted(np.tile(rest, (CHOICES, 1)), axis=1)[:, :more]
            fits = np.ones(CHOICES, dtype=bool)
            for (side, piece), rank in zip(around.items(), ranks, strict=True):
                lower = costs[side][asked] < costs[side][asked, piece]
                fits &= lower[choices].sum(axis=1) + lower[right].sum() == rank
            if not self.knobs.matched or fits.any():
                return asked, around, choices[int(np.argmax(fits))].tolist()
        raise Redraw("no pieces match equally well at their edges")

    def _sides(self, piece: int) -> list[dict[str, int]]:
        """Each choice of sides of a piece to ask about, with the pieces that join it there."""
        n = self.knobs.n
        row, column = divmod(piece, n)
        beside = {
            side: (row + y) * n + column + x
            for side, (x, y) in SIDES.items()
            if 0 <= row + y < n and 0 <= column + x < n
        }
        return [{side: beside[side] for side in sides} for sides in permutations(beside, self.knobs.num_sides)]

    def _question(self, sides: Sequence[str], letters: Sequence[str]) -> str:
        strip = " A strip was cut off at every edge of each piece." if self.knobs.gap else ""
        wanted = " and which ".join(f"directly {WHERE[side]}" for side in sides)
        order = " Answer in this order." if len(sides) > 1 else ""
        return (
            f"All pieces are from one image that was cut into {self.knobs.n}×{self.knobs.n}, none of them turned."
            f"{strip} Look at the first piece. In the image, which of the pieces {letters[0]} to {letters[-1]} lies "
            f"{wanted}?{order}"
        )
