from collections import Counter

import numpy as np
import pytest

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import node_groups, sides
from ssl4rl.graph.population import FEWEST_IN_CELL, Population
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor

CUSTOMERS, PRODUCTS = 80, 60


def shop(*, kinds: bool = False, seed: int = 0) -> TextAttributedGraph:
    """Customers who buy products; with ``kinds`` some of them know each other too, and the data says who is what."""
    rng = np.random.default_rng(seed)
    ends = np.array([rng.integers(CUSTOMERS, size=500), CUSTOMERS + (PRODUCTS * rng.random(500) ** 2).astype(int)])
    if kinds:
        ends = np.concatenate([ends, rng.integers(CUSTOMERS, size=(2, 60))], axis=1)
    texts = [f"customer number {n}" for n in range(CUSTOMERS)] + [f"product number {n}" for n in range(PRODUCTS)]
    kind = np.repeat([0, 1], [CUSTOMERS, PRODUCTS])
    known = {"kinds": kind, "kind_names": ["customer", "product"]} if kinds else {}
    return TextAttributedGraph.from_edges("shop", texts, ends, **known)


def test_two_sides_are_seen_where_there_are_cycles_to_tell():
    groups = node_groups(shop())
    sources, targets = groups[shop().edge_index]
    assert len(set(sources)) == len(set(targets)) == 1 and sources[0] != targets[0]
    tree = TextAttributedGraph.from_edges("tree", ["t"] * 50, np.array([np.arange(1, 50) // 2, np.arange(1, 50)]))
    assert sides(tree) is None
    odd = TextAttributedGraph.from_edges("odd", ["t"] * 50, np.array([np.arange(50), (np.arange(50) + 1) % 50]))
    assert sides(odd) is None


def test_kinds_count_before_sides_and_change_the_fingerprint():
    graph = shop(kinds=True)
    assert sides(graph) is None
    assert node_groups(graph).tolist() == graph.kinds.tolist()
    assert graph.fingerprint != TextAttributedGraph.from_edges("shop", graph.texts, graph.edge_index).fingerprint


def test_a_stand_in_has_the_group_and_about_the_degree_and_comes_as_often_as_it_is_right():
    rng = np.random.default_rng(0)
    degrees = rng.integers(0, 40, 2000)
    groups = rng.integers(0, 2, 2000)
    weights = degrees * (rng.random(2000) < 0.5)
    population = Population.build(weights, degrees, groups)
    like = int(np.flatnonzero(weights)[5])
    drawn = Counter(population.draw(like, rng) for _ in range(4000))
    assert len(drawn) >= FEWEST_IN_CELL
    assert all(weights[node] and groups[node] == groups[like] for node in drawn)
    assert all(population.cell(node) == population.cell(like) for node in drawn)
    assert max(degrees[node] for node in drawn) <= 1.5 * min(degrees[node] for node in drawn)
    assert population.cell(int(np.flatnonzero(weights == 0)[0])) == -1
    apart = {int(groups[population.draw(like, rng, same_degree=False)]) for _ in range(200)}
    assert apart == {int(groups[like])}


@pytest.mark.parametrize("kinds", [False, True])
@pytest.mark.parametrize("split", ["train", "val"])
def test_negatives_and_distractors_keep_kind_or_side(kinds, split):
    graph = shop(kinds=kinds)
    groups = node_groups(graph)
    tasks = [Link(graph, level=level, split=split) for level in ("easy", "medium")]
    links = [task.example(index) for task in tasks for index in range(40)]
    joined = Counter((example.gold, len({groups[node] for node in example.meta["asked"]})) for example in links)
    if kinds:
        assert joined["yes", 1] and joined["no", 1]
    else:
        assert set(joined) == {("yes", 2), ("no", 2)}
    for level in ("easy", "medium"):
        for index in range(40):
            meta = Neighbor(graph, level=level, split=split).example(index).meta
            assert len({groups[node] for node in meta["candidates"]}) == 1


def test_nodes_that_share_a_neighbour_are_never_linked_across_two_sides():
    with pytest.raises(NotApplicable, match=r"too few unlinked pairs for task.negatives=distance_two"):
        Link(shop(), level="hard")


def test_text_splits_ignore_labels_and_golds_and_distractors_are_of_one_part():
    rng = np.random.default_rng(0)
    ends = rng.integers(400, size=(2, 1500))
    graph = TextAttributedGraph.from_edges(
        "labelled",
        [f"text number {node} of many" if node % 10 else "" for node in range(400)],
        ends,
        labels=rng.integers(4, size=400),
        label_names=list("wxyz"),
        node_splits={"train": np.arange(8), "val": np.arange(8, 16), "test": np.arange(16, 400)},
    )
    split = text_split(graph)
    assert [len(split[name]) for name in ("train", "val", "test")] == [306, 18, 36]
    for name in ("train", "val"):
        task = Attribute(graph, level="easy", split=name)
        for index in range(30):
            assert set(task.example(index).meta["candidates"]) <= set(split[name].tolist())


def test_an_inductive_training_prompt_shows_no_text_of_val_or_test():
    rng = np.random.default_rng(0)
    texts = [f"text of node n{node}n" for node in range(200)]
    graph = TextAttributedGraph.from_edges(
        "inductive",
        texts,
        rng.integers(200, size=(2, 1600)),
        node_splits={"train": np.arange(120), "val": np.arange(120, 140), "test": np.arange(140, 160)},
    )
    split = text_split(graph)
    banned = {*range(120, 160), *split["val"].tolist(), *split["test"].tolist()}
    for kind in (Link, Neighbor, Attribute):
        task = kind(graph, knobs={"inductive": True})
        text = " ".join(task.example(index).text for index in range(40))
        assert not [node for node in banned if f"n{node}n" in text]
        held_out = kind(graph, split="val", knobs={"inductive": True}).example(0).text
        assert any(f"n{node}n" in held_out for node in banned)
    splits = {"train": np.array([0]), "val": np.array([1]), "test": np.arange(2, 30)}
    few = TextAttributedGraph.from_edges("few", ["a b"] * 30, rng.integers(30, size=(2, 60)), node_splits=splits)
    with pytest.raises(NotApplicable, match=r"task.inductive leaves no edge"):
        Link(few, knobs={"inductive": True})


def test_nodes_of_unknown_kind_are_a_group_of_their_own():
    groups = np.where(np.arange(60) < 20, -1, np.where(np.arange(60) < 40, 0, 1))
    population = Population.build(np.ones(60), np.arange(60) % 5 + 1, groups)
    rng = np.random.default_rng(0)
    for like, own in ((3, range(20)), (25, range(20, 40)), (45, range(40, 60))):
        drawn = {population.draw(like, rng, same_degree=False) for _ in range(200)}
        assert drawn <= set(own) and len(drawn) > 15
