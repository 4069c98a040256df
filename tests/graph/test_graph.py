import numpy as np
import pytest
import torch

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
    assert {key: part.tolist() for key, part in graph.edge_splits.items()} == {"train": [], "val": [0], "test": [1]}
    # What is held out is not trained on, whichever of its two mentions comes first; and it is said.
    assert graph.counts == {"edges": 4, "self_loops": 1, "duplicates": 1, "edges_in_two_splits": 1}
    both = {"train": [2], "val": [1], "test": [3]}
    again = TextAttributedGraph.from_edges("g", ["a", "b", "c"], edges, edge_splits=both)
    assert {key: part.tolist() for key, part in again.edge_splits.items()} == {"train": [], "val": [0], "test": [1]}


def test_edges_of_two_relations_are_in_splits_of_their_own():
    graph = TextAttributedGraph.from_edges(
        "g",
        ["a", "b"],
        np.array([[0, 0, 0], [1, 1, 1]]),
        directed=True,
        relations=np.array([0, 1, 1]),
        relation_names=["r", "s"],
        edge_splits={"train": np.array([0, 1]), "test": np.array([2])},
    )
    assert {key: part.tolist() for key, part in graph.edge_splits.items()} == {"train": [0], "test": [1]}
    assert graph.counts["edges_in_two_splits"] == 1


RELATED = {"relations": [0, 0], "relation_names": ["r"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edge_index": [(0, 1), (1, 2), (2, 0)]}, r"edge_index is \[3, 2\], and must be \[2, E\], one edge a row"),
        ({"edge_index": [0, 1, 1, 2]}, r"edge_index is \[4\]"),
        ({"edge_index": [[0.5, 1], [1, 2]]}, "edge_index holds something that is not a whole number"),
        ({"edge_index": [[0, 1], [1]]}, "edge_index is no array of numbers"),
        ({"texts": ["a", None, "c"]}, r"texts\[1\] is a NoneType; it must be a text"),
        ({"texts": "abc"}, "texts is a str; it must be a list"),
        ({"labels": [0, 1]}, r"labels is \[2\] for 3 nodes"),
        ({"labels": [0, 9, 1], "label_names": ["x", "y"]}, r"labels\[1\] is 9, but those with a name are 0 to 1"),
        ({"kinds": [0, 0, 0]}, r"kinds\[0\] is 0, but those with a name are none"),
        ({**RELATED, "relations": [0]}, r"relations is \[1\] for 2 edges"),
        ({**RELATED, "relations": [0, -1]}, r"relations\[1\] is -1"),
        ({"edge_texts": ["one"]}, "1 edge_texts for 2 edges"),
        ({"node_ids": ["n"]}, "1 node_ids for 3 nodes"),
        ({"label_descriptions": ["x"]}, "1 label_descriptions for 0 classes"),
        ({"node_splits": {"train": [0, 99]}}, r"node_splits\['train'\] holds 99, but nodes are 0 to 2"),
        ({"node_splits": {"train": [0], "test": [0]}}, "node_splits: 0 is in train and in test"),
        ({"node_splits": {"training": [0]}}, "node_splits has 'training', which is not train, val or test"),
        ({"node_splits": {"train": [True, False, True]}}, "is a mask; it must hold numbers"),
        ({"edge_splits": {"test": [2]}}, r"edge_splits\['test'\] holds 2, but edges are 0 to 1"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, message):
    parts = {"texts": ["a", "b", "c"], "edge_index": [[0, 1], [1, 2]], **changes}
    with pytest.raises(UserError, match=f"graph g: .*{message}"):
        TextAttributedGraph.from_edges("g", **parts)


def test_lists_tensors_and_whole_floats_are_edges():
    for edges in ([[0, 1], [1, 2]], np.array([[0.0, 1.0], [1.0, 2.0]]), torch.tensor([[0, 1], [1, 2]]), []):
        graph = TextAttributedGraph.from_edges("g", ["a", "b", "c"], edges, labels=[0, -1, 0], label_names=["x"])
        assert graph.edge_index.dtype == np.int64 and graph.num_edges == (2 if len(edges) else 0)
        assert graph.labels.tolist() == [0, -1, 0] and len(graph.fingerprint) == 64


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
