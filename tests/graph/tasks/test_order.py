"""Order: every order is right as often, whatever the pieces' lengths; a constant earns the stated chance."""

from collections import Counter

import numpy as np
import pytest

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.tasks.order import Order


def pieces_of(example):
    lines = example.text.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("1: "))
    count = len(example.scoring.arguments["gold"])
    return [line.split(": ", 1)[1] for line in lines[first : first + count]]


def _in_order(example):
    pieces = pieces_of(example)
    return [pieces[number - 1] for number in example.scoring.arguments["gold"]]


def test_the_answer_puts_the_pieces_as_they_stand_in_the_text():
    graph = default_graph()
    for level in ("easy", "medium"):
        task = Order(graph, level=level)
        for index in range(30):
            example = task.example(index)
            pieces = _in_order(example)
            assert " ".join(pieces) == graph.texts[example.meta["masked"][0]]
            assert len({len(piece.split()) for piece in pieces}) == 1


def test_every_order_is_right_once_in_a_block_and_lengths_say_nothing_of_it():
    task = Order(default_graph())
    examples = [task.example(index) for index in range(600)]
    for block in range(100):
        assert len({example.gold for example in examples[6 * block : 6 * block + 6]}) == 6
    by_length = Counter(tuple(np.argsort(list(map(len, _in_order(example)))).tolist()) for example in examples)
    # Of equally long pieces, which some texts have, either may count as the longer one.
    strict = [each for each in examples if len({len(piece) for piece in _in_order(each)}) == 3]
    assert len(by_length) == 6 and len(strict) > 300
    first_is_longest = sum(max(_in_order(each), key=len) == _in_order(each)[0] for each in strict) / len(strict)
    assert 0.25 < first_is_longest < 0.42


@pytest.mark.parametrize(("reward", "chance"), [("exact", 1 / 6), ("partial", 1 / 3)])
def test_a_constant_earns_the_chance(reward, chance):
    task = Order(default_graph(), knobs={"reward": reward})
    examples = [task.example(index) for index in range(60)]
    for constant in ("1, 2, 3", "3, 1, 2", "1, 1, 1", "1"):
        mean = np.mean([task.score(f"<answer>{constant}</answer>", example).value for example in examples])
        assert mean == pytest.approx(chance) if len(set(constant.split(", "))) == 3 else mean == 0
    assert all(example.chance == pytest.approx(chance) for example in examples)


def test_texts_that_are_too_short_are_refused():
    with pytest.raises(NotApplicable, match=r"no train text of 8 words; lower task\.num_pieces"):
        Order(default_graph(), level="hard")


def test_inductive_training_sees_no_text_of_the_datas_own_val_and_test():
    graph = default_graph()
    held_out = {*graph.node_splits["val"].tolist(), *graph.node_splits["test"].tolist()}
    task = Order(graph, knobs={"inductive": True})
    assert held_out and not {task.example(index).meta["masked"][0] for index in range(60)} & held_out
