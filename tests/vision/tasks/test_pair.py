"""Pair: the second piece lies where the answer says, and edges match there no better than elsewhere."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.seams import SIDES, as_pixels, edge_costs, rank_of
from ssl4rl.vision.tasks.pair import Pair

SOURCE = noise(40)


@dataclass(frozen=True)
class Grain:
    """Images of noise of one size."""

    width: int
    height: int

    def open(self, index, side):
        pixels = np.random.default_rng(index).integers(256, size=(self.height, self.width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def describe(self, index):
        return f"image {index}"

    def take(self, indices):
        return self


@pytest.mark.parametrize("level", Pair.levels)
def test_the_pieces_lie_as_the_answer_says(level):
    task = Pair(SOURCE, level=level)
    for example in map(task.example, range(8)):
        (left, top, right, bottom), (x, y, *_) = example.meta["boxes"]
        across, down = SIDES[example.gold]
        side = right - left
        step = side + round(task.knobs.gap * side)
        assert side == bottom - top and (x - left, y - top) == (across * step, down * step)
        whole = task.whole(example.meta["images"][0]).image
        for piece, box in zip(example.images, example.meta["boxes"], strict=True):
            assert piece.tobytes() == whole.crop(box).tobytes()


def test_each_side_and_each_rank_of_it_come_equally_often():
    counts = Counter()
    for example in map(Pair(SOURCE).example, range(32)):
        one, other = example.images
        costs = [edge_costs([as_pixels(one)], [as_pixels(other)], side)[0, 0] for side in SIDES]
        counts[example.gold, rank_of(costs, list(SIDES).index(example.gold))] += 1
    assert set(counts.values()) == {2} and len(counts) == 16


def test_a_distance_without_room_is_refused_and_only_a_distance_is_told():
    with pytest.raises(UserError, match=r"three pieces of piece=0\.25 with gap=1 between them do not fit"):
        Pair(SOURCE, knobs={"gap": 1})
    assert "apart" in Pair(SOURCE).example(0).text and "apart" not in Pair(SOURCE, knobs={"gap": 0}).example(0).text


def test_rounding_takes_a_pixel_of_the_gap_where_there_is_no_room_for_it():
    sizes = ((500, 375), (446, 446), (128, 128))
    for (width, height), knobs in zip(sizes, ({"gap": 0.5}, {"gap": 0.5}, {"piece": 0.32, "gap": 0.0625}), strict=True):
        source = ImageSet("grain", Grain(width, height), [f"{number:064x}" for number in range(40)])
        example = Pair(source, knobs={"shape": "own", "matched": False, **knobs}).example(0)
        assert example.gold in SIDES
