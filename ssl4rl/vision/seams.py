"""How well pieces of an image match along their edges, and how that is kept from telling the answer.

Edges that match give away how pieces go together, whatever they show, and even with a gap between them, for what is in
an image goes on across it. So tasks that ask about this also draw the *rank* of the right answer: it matches best as
often as second best, and so on to worst. Knob ``matched`` turns that off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from ssl4rl.vision.task import VisionKnobs
from ssl4rl.vision.transforms import PixelBox

EDGE = 2
"""Outermost pixels of a piece whose colours are compared."""
SIDES: Mapping[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
"""The sides of a piece, and the steps to its neighbour there: columns to the right, rows down."""
OPPOSITE: Mapping[str, str] = {"left": "right", "right": "left", "above": "below", "below": "above"}

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]
"""An image or a piece of it, [height, width, 3], from 0 to 255."""


class SeamKnobs(VisionKnobs):
    """Settings of the tasks in which edges could tell."""

    matched: bool = Field(True)
    """Whether edges are kept from telling: the right answer is as often of each rank by how well its edges match."""


def as_pixels(image: Image.Image) -> Pixels:
    """The pixels whose edges are compared."""
    return np.asarray(image, dtype=np.float32)


def part_of(pixels: Pixels, box: PixelBox) -> Pixels:
    """Those inside a box."""
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def edge_costs(pieces: Sequence[Pixels], others: Sequence[Pixels], side: str) -> Array:
    """The mean difference of two pieces' pixels at their edges, of 255, if the second lay on that side of the first.

    All have the same size.

    Returns:
        [pieces, others].
    """
    widths = edge_widths(min(pieces[0].shape[:2]))
    own = np.stack([_edge(piece, side, widths) for piece in pieces])
    other = np.stack([_edge(piece, OPPOSITE[side], widths) for piece in others])
    return np.asarray(np.abs(own[:, None] - other[None]).mean(axis=(2, 3, 4)))


def hole_costs(image: Pixels, hole: PixelBox, places: Sequence[PixelBox], patches: Sequence[Pixels]) -> Array:
    """The difference of patches' edges from those of a hole, of 255, if each lay at each of these places inside.

    The mean over the sides, the nearer ones weighing more. Around the hole are at least as many pixels as are compared,
    and all patches have the same size.

    Returns:
        [places, patches].
    """
    widths = edge_widths(min(patches[0].shape[:2]))
    edges = {side: np.stack([_edge(patch, side, widths) for patch in patches]) for side in SIDES}
    rows = []
    for left, top, right, bottom in places:
        around = {
            "left": (left - hole[0], (hole[0] - max(widths), top, hole[0], bottom)),
            "right": (hole[2] - right, (hole[2], top, hole[2] + max(widths), bottom)),
            "above": (top - hole[1], (left, hole[1] - max(widths), right, hole[1])),
            "below": (hole[3] - bottom, (left, hole[3], right, hole[3] + max(widths))),
        }
        costs = [
            np.abs(edges[side] - _edge(part_of(image, box), OPPOSITE[side], widths))
            .reshape(len(patches), -1)
            .mean(axis=1)
            for side, (_, box) in around.items()
        ]
        rows.append(np.average(costs, axis=0, weights=[1 / (1 + distance) for distance, _ in around.values()]))
    return np.stack(rows)


def edge_widths(side: int) -> tuple[int, int]:
    """How far across its edges a piece is compared: by its outermost pixels, and by its outer eighth."""
    return EDGE, max(EDGE, side // 8)


def rank_of(costs: Sequence[float] | Array, place: int) -> int:
    """How many cost less than the one at ``place``."""
    return int((np.asarray(costs) < costs[place]).sum())


def _edge(piece: Pixels, side: str, widths: Sequence[int]) -> Array:
    """The mean colours across an edge, pixel by pixel along it, [widths, pixels, 3]."""
    rows = piece if side in ("left", "right") else piece.swapaxes(0, 1)
    return np.stack(
        [(rows[:, :width] if side in ("left", "above") else rows[:, -width:]).mean(axis=1) for width in widths]
    )
