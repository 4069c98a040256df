"""Context prediction: every group could have been the right one, and only one is."""

import pytest

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
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
