import numpy as np
import pytest

from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.graph import TextAttributedGraph


def test_self_loops_and_duplicates_are_dropped_and_counted():
    edges = np.array([[0, 1, 2, 2, 0, 0], [1, 0, 2, 1, 1, 2]])
    graph = TextAttributedGraph.from_edges("g", ["a", "b", "c"], edges)
    assert graph.edge_index.tolist() == [[0, 1, 0], [1, 2, 2]]
    assert graph.counts == {"edges": 6, "self_loops": 1, "duplicates": 2}


def test_a_directed_graph_keeps_both_directions_and_all_relations():
    edges = np.array([[0, 1, 0, 0], [1, 0, 1, 1]])
    graph = TextAttributedGraph.from_edges(
        "g", ["a", "b"], edges, directed=True, relations=np.array([0, 0, 1, 0]), relation_names=["r", "s"]
    )
    assert graph.edge_index.tolist() == [[0, 1, 0], [1, 0, 1]]
    assert graph.relations is not None and graph.relations.tolist() == [0, 0, 1]


def test_edge_splits_follow_the_edges_that_are_kept():
    edges = np.array([[0, 0, 1, 1], [0, 1, 0, 2]])
    graph = TextAttributedGraph.from_edges(
        "g",
        ["a", "b", "c"],
        edges,
        edge_splits={"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3])},
    )
    assert {key: part.tolist() for key, part in graph.edge_splits.items()} == {"train": [0], "val": [], "test": [1]}


def test_an_edge_to_an_unknown_node_is_named():
    with pytest.raises(UserError, match="edge 1 joins 1 and 7, but nodes are 0 to 1"):
        TextAttributedGraph.from_edges("g", ["a", "b"], np.array([[0, 1], [1, 7]]))


def test_adjacency_of_the_house(house):
    adjacency = Adjacency.build(5, house.edge_index, np.arange(6))
    assert adjacency.around(0).tolist() == [1, 3, 4]
    assert adjacency.around(4).tolist() == [0, 1]
    assert adjacency.degrees.tolist() == [3, 3, 2, 2, 2]
    assert house.edge_index[:, adjacency.between(2, 1)].T.tolist() == [[1, 2]]
    assert adjacency.between(0, 2).tolist() == []


def test_parallel_edges_count_once_as_neighbours(kinship):
    adjacency = Adjacency.build(5, kinship.edge_index, np.arange(6))
    assert adjacency.around(0).tolist() == [1, 2]
    assert adjacency.between(1, 0).tolist() == [0, 2]
    assert adjacency.degree(0) == 3


def test_rows_are_sorted_by_neighbour_then_edge():
    rng = np.random.default_rng(0)
    edges = rng.integers(12, size=(2, 200))
    edges = edges[:, edges[0] != edges[1]]
    some = rng.permutation(edges.shape[1])[:100]
    shown = np.zeros(edges.shape[1], dtype=bool)
    shown[some] = True
    everything = Adjacency.build(12, edges, np.arange(edges.shape[1]))
    for adjacency in (Adjacency.build(12, edges, some), everything.only(shown)):
        for node in range(12):
            expected = sorted(
                (int(edges[1 - side, edge]), int(edge)) for edge in some for side in (0, 1) if edges[side, edge] == node
            )
            row = slice(adjacency.indptr[node], adjacency.indptr[node + 1])
            assert list(zip(adjacency.neighbors[row], adjacency.edges[row], strict=True)) == expected
        assert adjacency.indptr[-1] == 200


def test_which_nodes_have_a_text():
    graph = TextAttributedGraph.from_edges("g", ["a", " \n", "", "b c"], np.array([[0], [1]]))
    assert graph.has_text.tolist() == [True, False, False, True]


def test_the_fingerprint_sees_texts_edges_and_meanings(house):
    def variant(**changes):
        return TextAttributedGraph.from_edges(
            changes.get("name", "house"),
            changes.get("texts", house.texts),
            changes.get("edges", house.edge_index),
            edge_meaning=changes.get("edge_meaning", house.edge_meaning),
        ).fingerprint

    assert variant() == house.fingerprint
    fewer = house.edge_index[:, 1:]
    others = [variant(texts=["x", *house.texts[1:]]), variant(edges=fewer), variant(edge_meaning="stairs")]
    # Texts that join to the same string are still told apart.
    others.append(variant(texts=["ground leftg", "round right", *house.texts[2:]]))
    assert len({house.fingerprint, *others}) == 5
