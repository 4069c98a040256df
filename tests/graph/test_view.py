"""What a prompt may show: training edges, and none whose pair is asked about elsewhere."""

import dataclasses

import numpy as np
import pytest

from ssl4rl.data.graphs.splits import disjoint
from ssl4rl.data.graphs.store import open_folder, write_graph
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split, pair_keys, text_split
from ssl4rl.graph.view import edge_view, in_train_only, inductive_view


def ring(nodes=60, **fields):
    ends = np.array([(node, (node + step) % nodes) for node in range(nodes) for step in (1, 2)]).T
    return TextAttributedGraph.from_edges("ring", [f"text {node}" for node in range(nodes)], ends, **fields)


def test_a_graph_without_edges_has_no_view():
    empty = TextAttributedGraph.from_edges("empty", ["a", "b"], np.zeros((2, 0), dtype=int))
    with pytest.raises(NotApplicable, match="graph empty has no edges"):
        edge_view(empty)


def test_a_pair_that_is_held_out_is_not_shown_in_the_other_direction():
    ends = np.array([[0, 1, 2, 1], [1, 2, 0, 0]])
    parts = {"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3])}
    graph = TextAttributedGraph.from_edges("directed", ["a", "b", "c"], ends, directed=True, edge_splits=parts)
    view = edge_view(graph)
    assert (view.asked["train"].tolist(), view.dropped_train) == ([1], 1)
    assert {split: edges.tolist() for split, edges in edge_split(graph).items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }
    assert np.array_equal(pair_keys(graph)[[0]], pair_keys(graph, np.array([3])))


def test_the_view_of_a_converted_graph_is_that_of_the_graph(tmp_path):
    graph = ring()
    write_graph(graph, {}, tmp_path / "ring")
    stored = open_folder(tmp_path / "ring")
    for split, edges in edge_view(graph).asked.items():
        assert np.array_equal(edges, edge_view(stored).asked[split]), split
        assert np.array_equal(edge_split(graph)[split], edge_split(stored)[split]), split


def test_an_inductive_view_shows_no_node_that_is_held_out():
    graph = ring(node_splits={"train": np.arange(40), "val": np.arange(40, 50), "test": np.arange(50, 60)})
    view = inductive_view(graph)
    shown = graph.edge_index[:, view.asked["train"]]
    assert shown.size and shown.max() < 40
    everything = {"train": np.zeros(0, dtype=int), "val": np.arange(60), "test": np.zeros(0, dtype=int)}
    with pytest.raises(NotApplicable, match=r"leaves no edge between two training nodes \(there are 0\)"):
        inductive_view(dataclasses.replace(graph, node_splits=everything))


def test_a_node_is_held_out_by_its_text_or_by_its_label_and_so_are_all_its_edges():
    ends = np.array([(node, (node + step) % 61) for node in range(61) for step in (1, 2)]).T
    for turned in (ends, ends[::-1]):
        graph = TextAttributedGraph.from_edges(
            "ring", [f"text {node}" for node in range(61)], turned, directed=True, node_splits={"test": np.array([60])}
        )
        held_out = {60, *text_split(graph)["val"].tolist(), *text_split(graph)["test"].tolist()}
        assert 0 not in held_out
        assert np.flatnonzero(~in_train_only(graph)).tolist() == sorted(held_out)
        shown = graph.edge_index[:, inductive_view(graph).asked["train"]]
        assert shown.size and not held_out & set(shown.ravel().tolist())


def test_masks_are_of_one_length_and_share_no_node():
    short, long = np.ones(2, dtype=bool), np.zeros(3, dtype=bool)
    with pytest.raises(UserError, match="its masks have 2 and 3 entries"):
        disjoint({"train": short, "val": long}, "here")
    with pytest.raises(UserError, match=r"node 0 is in train and val \(1 more nodes"):
        disjoint({"train": short, "val": short}, "here")
    assert {split: nodes.tolist() for split, nodes in disjoint({}, "here").items()} == {
        "train": [],
        "val": [],
        "test": [],
    }
