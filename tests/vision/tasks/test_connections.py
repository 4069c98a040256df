"""Connections: the answer names the pieces that join, side by side, and no constant is paid more than chance."""

import numpy as np
import pytest

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.seams import SIDES, as_pixels, edge_costs, rank_of
from ssl4rl.vision.tasks.connections import WHERE, Connections
from ssl4rl.vision.tasks.jigsaw import cut_into

SOURCE = noise(40)


@pytest.mark.parametrize("level", Connections.levels)
def test_the_answer_names_the_pieces_that_join(level):
    task = Connections(SOURCE, level=level)
    n = task.knobs.n
    for example in map(task.example, range(8)):
        whole = task.whole(example.meta["images"][0], task.knobs.size // n * n).image
        places = {piece.tobytes(): place for place, piece in enumerate(cut_into(whole, n, task.knobs.gap))}
        first, *others = (places[piece.tobytes()] for piece in example.images)
        row, column = divmod(first, n)
        gold = example.scoring.arguments["gold"]
        for side, letter in gold.items():
            x, y = SIDES[side]
            assert divmod(others["ABCDEF".index(letter)], n) == (row + y, column + x)
        words = [example.text.index(f"directly {WHERE[side]}") for side in gold]
        assert words == sorted(words) and example.gold == ", ".join(gold.values())


def test_every_side_is_paid_for_and_a_constant_earns_no_more_than_chance():
    task = Connections(SOURCE)
    examples = [task.example(index) for index in range(64)]
    example = examples[0]
    first, second = example.gold.split(", ")
    wrong = next(letter for letter in "ABCD" if letter not in (first, second))
    for reply, value in ((f"{first}, {second}", 1), (f"{first}, {wrong}", 0.5), (f"{first}, {first}", 0), (first, 0)):
        assert task.score(f"<answer>{reply}</answer>", example).value == value
    for reply in ("A, B", "B, A", "D, C", "A, A", "A, B, C, D"):
        values = [task.score(f"<answer>{reply}</answer>", each).value for each in examples]
        assert np.mean(values) <= example.chance + 3 * np.std(values) / len(values) ** 0.5


def test_the_edges_of_right_pieces_have_each_rank_equally_often():
    task = Connections(SOURCE, knobs={"num_sides": 1})
    ranks = []
    for example in map(task.example, range(32)):
        first, *others = map(as_pixels, example.images)
        [(side, letter)] = example.scoring.arguments["gold"].items()
        ranks.append(rank_of(edge_costs([first], others, side)[0], "ABCD".index(letter)))
    assert np.bincount(ranks).tolist() == [8, 8, 8, 8]


def test_more_sides_than_pieces_are_refused():
    with pytest.raises(UserError, match="num_candidates=2 is less than num_sides=3"):
        Connections(SOURCE, knobs={"num_candidates": 2, "num_sides": 3})
