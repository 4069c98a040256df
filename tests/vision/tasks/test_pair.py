"""Pair: the second piece lies where the answer says, and edges match there no better than elsewhere."""

from collections import Counter

import pytest

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.seams import SIDES, as_pixels, edge_costs, rank_of
from ssl4rl.vision.tasks.pair import Pair

SOURCE = noise(40)


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
