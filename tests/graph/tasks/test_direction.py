"""Direction: nothing about a node says which way its edges point."""

import numpy as np
import pytest

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.balance import balanced, evened
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.direction import FEWEST, Direction
from tests.audit.every_case import circle_graph, sparse_graph


def popular_graph(nodes=600):
    """Nodes point at popular ones, most of these at older ones, and some at newer ones."""
    rng = np.random.default_rng(0)
    ends = np.array([(a, int(nodes * rng.random() ** 3)) for a in range(nodes) for _ in range(8)]).T
    return TextAttributedGraph.from_edges(
        "popular", [f"page {node} of it" for node in range(nodes)], ends, directed=True
    )


def test_under_the_weights_every_node_is_as_often_a_source_and_so_are_hubs():
    graph = popular_graph()
    degrees = np.bincount(graph.edge_index.reshape(-1), minlength=graph.num_nodes)
    columns, weights, unbalanced = balanced(graph.edge_index, degrees)
    source, target = graph.edge_index[:, columns]
    out, into = (np.bincount(end, weights, graph.num_nodes) for end in (source, target))
    assert unbalanced < 0.01 and np.abs(out - into).max() < 0.001
    sign = np.sign(degrees[source] - degrees[target])
    assert abs((weights * sign).sum()) < 0.01 and 1 / np.square(weights).sum() > 300
    out, into = (np.bincount(each, minlength=graph.num_nodes)[graph.edge_index] for each in graph.edge_index)
    columns, weights = evened(into, out)
    for numbers in (into + out, into - out):
        first, second = numbers[:, columns]
        assert len(columns) > 100 and abs((weights * np.sign(first - second)).sum()) < 1e-9


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
@pytest.mark.parametrize("make", [circle_graph, sparse_graph])
def test_the_asked_edge_is_hidden_and_points_one_way(level, make, monkeypatch):
    monkeypatch.setitem(FEWEST, "train", 100)
    graph = make()
    edges = set(map(tuple, graph.edge_index.T.tolist()))
    task = Direction(graph, level=level)
    for index in range(60):
        example = task.example(index)
        first, second = example.meta["candidates"]
        right, wrong = (first, second) if example.gold == "A" else (second, first)
        assert (right, wrong) in edges and (wrong, right) not in edges
        assert not {(right, wrong), (wrong, right)} & set(map(tuple, example.meta["edges"]))


def test_edges_along_an_order_are_refused():
    nodes = np.arange(300)
    ends = np.concatenate([np.stack([nodes[step:], nodes[:-step]]) for step in (1, 2, 5)], axis=1)
    texts = [f"release {node}" for node in nodes]
    with pytest.raises(NotApplicable, match="too few train edges of graph line lie on cycles"):
        Direction(TextAttributedGraph.from_edges("line", texts, ends, directed=True))
    with pytest.raises(NotApplicable, match="have no direction"):
        Direction(TextAttributedGraph.from_edges("line", texts, ends))


@pytest.mark.parametrize("corrupt", ["text", "asked_text"])
def test_texts_can_be_taken_away(corrupt, monkeypatch):
    monkeypatch.setitem(FEWEST, "train", 100)
    example = Direction(circle_graph(), knobs={"corrupt": corrupt}).example(0)
    assert example.gold in "AB"
