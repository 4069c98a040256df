import numpy as np

from ssl4rl.data.graphs.citations import citation_graph
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split, full_adjacency, node_split, pair_keys, pair_numbers, text_split
from ssl4rl.graph.view import edge_view


def test_pairs_are_split_85_5_10_and_never_shared():
    graph = citation_graph(1000)
    split = edge_split(graph)
    shares = {name: round(len(part) / graph.num_edges, 2) for name, part in split.items()}
    assert shares == {"train": 0.85, "val": 0.05, "test": 0.10}
    keys = {name: set(pair_keys(graph, part).tolist()) for name, part in split.items()}
    assert not keys["train"] & keys["val"] and not keys["train"] & keys["test"] and not keys["val"] & keys["test"]


def test_both_directions_of_a_pair_share_a_side():
    rng = np.random.default_rng(0)
    forward = rng.integers(200, size=(2, 600))
    edges = np.concatenate([forward, forward[::-1]], axis=1)
    graph = TextAttributedGraph.from_edges("g", [str(i) for i in range(200)], edges, directed=True)
    sides = edge_split(graph)
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not np.isin(pair_keys(graph, sides[one]), pair_keys(graph, sides[other])).any()


def test_the_visible_graph_has_no_held_out_pair_in_any_relation():
    # 0-1 is a test edge; train has its inverse relation, which would give the answer away.
    graph = TextAttributedGraph.from_edges(
        "g",
        ["a", "b", "c"],
        np.array([[0, 1, 1, 2], [1, 0, 2, 0]]),
        directed=True,
        relations=np.array([0, 1, 0, 0]),
        relation_names=["r", "inverse r"],
        edge_splits={"train": np.array([1, 2]), "val": np.array([3]), "test": np.array([0])},
    )
    view = edge_view(graph)
    assert view.visible.around(0).tolist() == []
    assert view.visible.around(1).tolist() == [2]
    assert view.full.around(0).tolist() == [1, 2]
    assert view.asked["train"].tolist() == [2]
    assert view.dropped_train == 1


def test_node_splits_are_the_datas_own_or_twenty_a_class():
    labels = np.arange(300) % 3
    ring = np.stack([np.arange(300), (np.arange(300) + 1) % 300])
    graph = TextAttributedGraph.from_edges("g", ["t"] * 300, ring, labels=labels, label_names=["a", "b", "c"])
    split = node_split(graph)
    assert np.bincount(labels[split["train"]]).tolist() == [20, 20, 20]
    assert (len(split["val"]), len(split["test"])) == (48, 192)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(300))
    own = TextAttributedGraph.from_edges(
        "g", ["t"] * 3, np.array([[0], [1]]), node_splits={"train": [0], "val": [1], "test": [2]}
    )
    assert node_split(own) == {"train": [0], "val": [1], "test": [2]}


EDGES_HELD_OUT = {"val": [20, 29], "test": [0, 6, 21, 38]}
NODES_HELD_OUT = {"val": [1, 11], "test": [10, 25, 33, 39]}
TEXTS_HELD_OUT = {"val": [3, 14], "test": [8, 19, 28, 34]}
LABELLED = {
    "train": [0, 4, 5, 8, 10, 11, 13, 15, 21, 22, 24, 26, 27, 28, 29, 31, 32, 33, 34, 39],
    "val": [1, 2, 36, 37],
}


def labelled_ring(labels: list[int] | None = None) -> TextAttributedGraph:
    ends = np.stack([np.arange(40), (np.arange(40) + 1) % 40])
    given = {} if labels is None else {"labels": np.array(labels), "label_names": ["a", "b"]}
    return TextAttributedGraph.from_edges("ring", [f"text {node}" for node in range(40)], ends, **given)


def test_seeded_splits_are_the_same_everywhere_and_for_ever():
    """They are the test sets of every dataset that has none: another seed would change all numbers unseen."""
    graph = labelled_ring()
    assert {split: part.tolist() for split, part in edge_split(graph).items() if split != "train"} == EDGES_HELD_OUT
    assert {split: part.tolist() for split, part in node_split(graph).items() if split != "train"} == NODES_HELD_OUT
    assert {split: part.tolist() for split, part in text_split(graph).items() if split != "train"} == TEXTS_HELD_OUT
    for split in (edge_split(graph), node_split(graph), text_split(graph)):
        assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(40))
    nobody = TextAttributedGraph.from_edges(
        "ring", graph.texts, graph.edge_index, labels=np.full(40, -1), label_names=[]
    )
    assert [len(part) for part in node_split(nobody).values()] == [34, 2, 4]
    split = node_split(labelled_ring([node % 2 for node in range(40)]))
    assert {name: part.tolist() for name, part in split.items() if name != "test"} == LABELLED


def test_of_a_small_class_half_is_left_to_test_on():
    labels = [0] * 33 + [1] * 7
    split = node_split(labelled_ring(labels))
    assert np.bincount(np.array(labels)[split["train"]]).tolist() == [17, 4]
    assert (len(split["val"]), len(split["test"])) == (3, 16)


def test_reserved_nodes_are_in_no_split():
    reserved = list(range(0, 40, 3))
    own = TextAttributedGraph.from_edges(
        "own",
        ["t"] * 40,
        np.array([[0], [1]]),
        node_splits={"train": np.arange(10), "val": np.arange(10, 20), "test": np.arange(20, 40)},
    )
    for graph in (labelled_ring(), labelled_ring([node % 2 for node in range(40)]), own):
        without = node_split(graph, reserved)
        everyone = np.concatenate(list(without.values()))
        assert sorted(everyone.tolist()) == [node for node in range(40) if node % 3]
    assert without["val"].tolist() == [node for node in range(10, 20) if node % 3]


def test_pairs_are_numbered_from_none_on_and_edges_of_one_pair_alike():
    ends = np.array([[3, 0, 1, 1, 2], [1, 2, 0, 3, 0]])
    graph = TextAttributedGraph.from_edges("g", ["t"] * 4, ends, directed=True)
    numbers, count = pair_numbers(full_adjacency(graph))
    assert (numbers.tolist(), count) == ([2, 1, 0, 2, 1], 3)
    keys = pair_keys(graph)
    assert len(set(keys.tolist())) == 3 and keys.dtype == np.int64


def test_splits_of_a_graph_from_python_may_be_left_out():
    edges = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
    texts = [f"node {number}" for number in range(4)]
    splits = {"train": np.array([0, 1]), "test": np.array([2, 3])}
    graph = TextAttributedGraph.from_edges("ring", texts, edges, edge_splits=splits, node_splits=splits)
    assert len(edge_split(graph)["val"]) == len(node_split(graph)["val"]) == 0


def test_the_seeded_val_and_test_are_fair_samples_of_the_labelled_nodes():
    """Of a rare class and of few labels; the front of the order that train was taken from has neither."""
    rng = np.random.default_rng(99)
    shares = []
    for seed in range(10):
        labels = (np.random.default_rng(seed).random(6000) < 0.03).astype(np.int64)
        labels[rng.random(6000) < 0.5] = -1
        graph = TextAttributedGraph.from_edges(
            f"g{seed}",
            [f"text {seed} {node}" for node in range(6000)],
            rng.integers(6000, size=(2, 100)),
            labels=labels,
            label_names=["common", "rare"],
        )
        split = node_split(graph)
        assert len(split["val"]) == 500 and all((labels[part] >= 0).all() for part in split.values())
        assert sum(map(len, split.values())) == (labels >= 0).sum()
        shares.append((labels[split["val"]] == 1).mean() / (labels[split["test"]] == 1).mean())
    assert 0.7 < np.mean(shares) < 1.4
