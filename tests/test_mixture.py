"""A mixture is a task, whose examples are its tasks' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ssl4rl
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.mixture import Mixture
from ssl4rl.tasks import Task


def test_a_mixture_draws_by_weight_and_is_a_task():
    link, neighbor = Link(default_graph()), Neighbor(default_graph())
    mixture = Mixture([link, neighbor], [3, 1])
    assert isinstance(mixture, Task)
    assert (mixture.label, mixture.source.name, mixture.split) == ("link@medium+neighbor@medium", "citations", "train")
    assert mixture.knobs.weights == (3, 1) and len(mixture.source.fingerprint) == 64
    examples = [mixture.example(i) for i in range(400)]
    assert 0.68 < sum(example.id.task == "link" for example in examples) / 400 < 0.82
    for example in examples[:20]:
        assert mixture.score(f"<answer>{example.gold}</answer>", example).value == 1
        own = mixture.tasks[example.id.source, example.id.label].example(example.id.index)
        assert (own.id, own.chance) == (example.id, example.chance)
    with pytest.raises(UserError, match="twice"):
        Mixture([link, Link(default_graph())], [1, 1])
    with pytest.raises(UserError, match="above 0"):
        Mixture([link], [0])
    with pytest.raises(UserError, match="different splits"):
        Mixture([link, Neighbor(default_graph(), split="val")])


def test_a_mixture_moves_to_another_split_as_a_whole_and_may_hold_mixtures():
    inner = ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("neighbor")])
    outer = ssl4rl.mix([inner, ssl4rl.task("attribute")], [1, 2])
    assert {outer.example(i).id.task for i in range(60)} == {"link", "neighbor", "attribute"}
    assert outer.knobs.weights == (0.5, 0.5, 2)
    heldout = outer.on_split("val")
    assert heldout.split == "val" and heldout.knobs == outer.knobs
    assert {heldout.example(i).id.split for i in range(10)} == {"val"}


MIXTURE = Mixture([Link(default_graph()), Neighbor(default_graph())], [3, 1])


def test_the_right_answers_of_each_task_stay_balanced_in_a_mixture():
    golds = {"link": [], "neighbor": []}
    for index in range(100, 200):
        task, own = MIXTURE.place(index)
        golds[task.name].append(task.slot(own, task.num_slots))
    assert abs(golds["link"].count(0) - golds["link"].count(1)) <= 1
    counts = [golds["neighbor"].count(slot) for slot in range(5)]
    assert max(counts) - min(counts) <= 2


@settings(deadline=None)
@given(st.integers(0, 5000))
def test_no_example_of_a_task_comes_twice_in_a_mixture(start):
    places = [MIXTURE.place(index) for index in range(start, start + 800)]
    assert len({(task.name, own) for task, own in places}) == 800
    assert Mixture([Link(default_graph()), Neighbor(default_graph())], [3, 1]).place(start)[1] == places[0][1]


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_next_like_an_example_of_a_mixture_is_of_its_task_and_slot(index, start):
    found = MIXTURE.next_like(index, start)
    (task, own), (other, place) = MIXTURE.place(index), MIXTURE.place(found)
    assert found >= start and other is task
    assert task.slot(place, task.num_slots) == task.slot(own, task.num_slots)
    assert MIXTURE.num_slots == 5 and MIXTURE.slot(index, 5) == task.slot(own, 5)


def test_graph_and_image_tasks_are_mixed():
    mixture = ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("rotation")])
    assert mixture.source.name == "citations+scenes"
    for example in map(mixture.example, range(20)):
        assert bool(example.images) == (example.id.task == "rotation")
        assert mixture.score(f"<answer>{example.gold}</answer>", example).value == 1


def test_a_dataset_whose_name_has_slashes(house):
    edges = np.stack([np.arange(60), (np.arange(60) * 7 + 1) % 60])
    shop = TextAttributedGraph.from_edges("shop/2024", [f"thing number {i}" for i in range(60)], edges)
    mixture = ssl4rl.mix([Link(shop), Link(default_graph())])
    sources = set()
    for example in map(mixture.example, range(20)):
        assert mixture.score(f"<answer>{example.gold}</answer>", example).value == 1
        task, again = ssl4rl.rebuild(str(example.id), shop if example.id.source == "shop/2024" else None)
        assert (task.label, again.text) == (example.id.label, example.text)
        sources.add(example.id.source)
    assert sources == {"shop/2024", "citations"}
