"""Context prediction: every group could have been the right one, and only one is."""

import numpy as np
import pytest

from ssl4rl.audit.ambiguous import find_ambiguous
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.tasks.context import ContextPrediction
from tests.audit.every_case import relation_graph


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_one_group_is_all_neighbours_and_no_other_has_one(level):
    graph = default_graph()
    for split in ("train", "val"):
        task = ContextPrediction(graph, level=level, split=split)
        for index in range(30):
            example = task.example(index)
            target, groups = example.meta["target"], example.meta["groups"]
            assert target in text_split(graph)[split]
            joined = [[task.is_joined(target, node) for node in group] for group in groups]
            assert [all(each) for each in joined] == [any(each) for each in joined]
            assert sum(map(all, joined)) == 1 and all(joined["ABCDEF".index(example.gold)])
            assert not {node for group in groups for node in group} & set(example.meta["nodes"].values())


def test_options_are_cut_the_same_whatever_is_asked():
    task = ContextPrediction(default_graph())
    nodes = list(range(12))
    assert task.cut_options(nodes) == task.cut_options(nodes)
    lines = task.example(0).text.splitlines()
    assert sum(line.count(" | ") for line in lines) == 8


def test_what_it_needs_is_said(house):
    with pytest.raises(NotApplicable, match="nodes with 3 visible neighbours"):
        ContextPrediction(house)
    with pytest.raises(NotApplicable, match="edges between so many of its nodes"):
        ContextPrediction(relation_graph())


@pytest.mark.parametrize("num_neighbors", [1, 2])
def test_texts_of_neighbours_are_offered_once_where_texts_repeat(num_neighbors):
    rng = np.random.default_rng(0)
    edges = rng.integers(600, size=(2, 1500))
    edges = edges[:, edges[0] != edges[1]]
    texts = [f"name {node % 35}" for node in range(600)]
    task = ContextPrediction(
        TextAttributedGraph.from_edges("names", texts, edges), knobs={"num_neighbors": num_neighbors}
    )
    examples = [task.example(index) for index in range(60)]
    for example in examples:
        around = {texts[node] for node in task.view.full.around(example.meta["target"]).tolist()}
        fitting = [all(texts[node] in around for node in group) for group in example.meta["groups"]]
        assert sum(fitting) == 1
    assert find_ambiguous(task, examples) == []
    # The audit sees it: the right group once more, under another letter.
    planted = examples[0]
    groups, gold = planted.meta["groups"], "ABCD".index(planted.gold)
    groups[(gold + 1) % 4] = groups[gold]
    assert any("neighbour" in found or "linked" in found for found, _ in find_ambiguous(task, [planted]))
