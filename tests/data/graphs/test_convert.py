from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from ssl4rl.data.graphs.convert import from_networkx, from_pyg, to_networkx, to_pyg
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph


def undirected() -> TextAttributedGraph:
    return TextAttributedGraph.from_edges(
        "u",
        ["zero", "one", "two", ""],
        np.array([[0, 1, 2], [1, 2, 3]]),
        edge_texts=["a", "b", "c"],
        node_ids=["n0", "n1", "n2", "n3"],
        labels=np.array([1, 0, 1, -1]),
        label_names=["x", "y"],
        node_splits={"train": np.array([0]), "val": np.array([2]), "test": np.array([1])},
    )


def related() -> TextAttributedGraph:
    return TextAttributedGraph.from_edges(
        "r",
        ["zero", "one", "two"],
        np.array([[0, 0, 1, 2], [1, 1, 0, 0]]),
        directed=True,
        relations=np.array([0, 1, 0, 1]),
        relation_names=["knows", "likes"],
        node_ids=["0", "1", "2"],
    )


def same(left: TextAttributedGraph, right: TextAttributedGraph) -> None:
    assert list(left.texts) == list(right.texts)
    assert left.edge_index.tolist() == right.edge_index.tolist()
    assert left.directed == right.directed
    for name in ("labels", "relations"):
        one, other = getattr(left, name), getattr(right, name)
        assert (one is None) == (other is None)
        assert one is None or one.tolist() == other.tolist()
    assert list(left.label_names) == list(right.label_names)
    assert list(left.relation_names) == list(right.relation_names)
    assert left.edge_texts == right.edge_texts
    for split, part in left.node_splits.items():
        assert part.tolist() == right.node_splits[split].tolist()


def test_pyg_round_trips() -> None:
    same(undirected(), from_pyg(to_pyg(undirected()), "u"))
    same(related(), from_pyg(to_pyg(related()), "r"))


def test_splits_of_edges_are_not_lost() -> None:
    parts = {"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3])}
    for graph in (replace(related(), edge_splits=parts), replace(undirected(), edge_splits={"test": np.array([1])})):
        for back in (from_networkx(to_networkx(graph), "g"), from_pyg(to_pyg(graph), "g")):
            found = {split: part.tolist() for split, part in back.edge_splits.items() if len(part)}
            assert found == {split: part.tolist() for split, part in graph.edge_splits.items()}
    data = to_pyg(replace(related(), edge_splits=parts))
    data.edge_val_mask = data.edge_val_mask[:3]
    with pytest.raises(UserError, match=r"edge_val_mask is \[3\] of bool; it must have true or false for each of 4"):
        from_pyg(data, "g")


def test_names_in_a_dictionary_are_read_by_their_codes() -> None:
    data = to_pyg(undirected())
    data.label_names = {1: "one", 0: "zero"}
    assert from_pyg(data, "g").label_names == ["zero", "one"]
    data.label_names = {"zero": 0, "one": 1}
    with pytest.raises(UserError, match="label_names is a dictionary; it must be a list, or have the keys 0 to 1"):
        from_pyg(data, "g")


def test_a_mask_that_is_a_list_of_nodes_is_refused() -> None:
    data = to_pyg(undirected())
    data.train_mask = torch.tensor([0, 2, 1, 3])
    with pytest.raises(UserError, match="train_mask holds something that is neither true nor false"):
        from_pyg(data, "g")


def test_networkx_round_trips() -> None:
    back = from_networkx(to_networkx(undirected()), "u")
    same(undirected(), back)
    assert back.node_ids == ["n0", "n1", "n2", "n3"]
    same(related(), from_networkx(to_networkx(related()), "r"))


def test_pyg_holds_both_directions_of_an_undirected_graph() -> None:
    data = to_pyg(undirected())
    assert data.is_undirected()
    assert data.num_edges == 6
    assert data.train_mask.tolist() == [True, False, False, False]
    assert to_pyg(related()).edge_index.tolist() == [[0, 0, 1, 2], [1, 1, 0, 0]]


def test_a_pyg_graph_without_all_reverses_is_directed() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    assert from_pyg(Data(edge_index=edges, raw_texts=["a", "b", "c"], num_nodes=3), "d").directed
    graph = from_pyg(
        Data(edge_index=edges, raw_texts=["a", "b", "c"], num_nodes=3), "d", directed=False, node_meaning="x"
    )
    assert (graph.directed, graph.node_meaning) == (False, "x")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Data(edge_index=torch.tensor([[0], [1]])), "Data has no 'raw_texts'"),
        (Data(raw_texts=["a"], num_nodes=1), "Data has no 'edge_index'"),
        (Data(edge_index=torch.tensor([[0], [1]]), raw_texts=["a"], num_nodes=2), "1 raw_texts for 2 nodes"),
        (
            Data(edge_index=torch.tensor([[0], [1]]), raw_texts=["a", "b"], y=torch.tensor([0]), num_nodes=2),
            "1 labels in y for 2 nodes",
        ),
        (
            Data(
                edge_index=torch.tensor([[0], [1]]),
                raw_texts=["a", "b"],
                y=torch.tensor([0, 3]),
                label_names=["x"],
                num_nodes=2,
            ),
            "1 names for 4 codes of class",
        ),
    ],
)
def test_bad_pyg_data(data: Data, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        from_pyg(data, "bad")


def test_bad_networkx_graphs() -> None:
    with pytest.raises(UserError, match="no node has an attribute 'text'"):
        from_networkx(nx.path_graph(3), "bad")
    graph = nx.Graph()
    graph.add_node(1, text="x")
    graph.add_node("1", text="y")
    with pytest.raises(UserError, match="two nodes are both called '1'"):
        from_networkx(graph, "bad")
    graph = nx.DiGraph()
    graph.add_node("a", text="x")
    graph.add_edge("a", "b", relation="likes")
    graph.add_edge("b", "a")
    with pytest.raises(UserError, match="the edge 'b' to 'a' has no 'relation'"):
        from_networkx(graph, "bad")


def test_networkx_nodes_may_be_anything() -> None:
    graph = nx.Graph()
    graph.add_node((0, 1), text="corner")
    graph.add_edge((0, 1), (0, 2))
    made = from_networkx(graph, "grid", edge_meaning="they touch")
    assert made.node_ids == ["(0, 1)", "(0, 2)"]
    assert made.texts == ["corner", ""]
    assert made.edge_meaning == "they touch"
