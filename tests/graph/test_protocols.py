"""Protocols of node classification: named ones, and files of node ids."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.protocols import PROTOCOLS, RANDOM, protocol_split
from ssl4rl.graph.splits import node_split


def ring(size: int, classes: int = 3, **rest: object) -> TextAttributedGraph:
    """A ring of ``size`` nodes, labelled in turn."""
    ends = np.stack([np.arange(size), (np.arange(size) + 1) % size])
    names = [f"class {label}" for label in range(classes)]
    labels = np.arange(size) % classes
    return TextAttributedGraph.from_edges(
        "ring", [f"text {node}" for node in range(size)], ends, labels=labels, label_names=names, **rest
    )


def test_planetoid_has_twenty_of_each_class_then_500_and_1000():
    graph = ring(3000)
    split = protocol_split(graph, "planetoid")
    assert np.bincount(graph.labels[split["train"]]).tolist() == [20, 20, 20]
    assert (len(split["val"]), len(split["test"])) == (500, 1000)
    assert len(np.unique(np.concatenate(list(split.values())))) == 1560
    # Of a smaller graph all that is left is tested on, and no more than that is taken of nodes without a label.
    smaller = replace(ring(1200), labels=np.where(np.arange(1200) < 1100, np.arange(1200) % 3, -1))
    split = protocol_split(smaller, "planetoid")
    assert len(split["test"]) == 1100 - 60 - 500 and max(map(max, split.values())) < 1100


def test_ten_random_protocols_part_each_class_60_20_20_and_differ():
    graph = ring(300)
    for name in RANDOM:
        split = protocol_split(graph, name)
        for part, size in (("train", 60), ("val", 20), ("test", 20)):
            assert np.bincount(graph.labels[split[part]]).tolist() == [size] * 3
        assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(300))
    assert len({tuple(protocol_split(graph, name)["test"]) for name in RANDOM}) == 10
    # The same nodes whatever else is asked, and others where the data differ.
    assert protocol_split(ring(300), "random-0")["test"].tolist() == protocol_split(graph, "random-0")["test"].tolist()


def test_the_default_is_what_the_data_brings():
    own = {"train": np.arange(10), "val": np.arange(10, 15), "test": np.arange(15, 60)}
    graph = ring(60, node_splits=own)
    assert {split: part.tolist() for split, part in protocol_split(graph, None).items()} == {
        split: part.tolist() for split, part in own.items()
    }
    assert len(protocol_split(graph, "random-3")["train"]) == 36


@pytest.mark.parametrize("form", ["lines", "json"])
def test_a_file_of_ids_names_the_test_nodes(tmp_path, form):
    graph = ring(60, node_ids=[f"paper {node}" for node in range(60)])
    file = tmp_path / "nodes"
    ids = ["paper 7", "paper 3", "paper 59"]
    file.write_text(json.dumps(ids) if form == "json" else "\n".join(["", *ids, ""]))
    split = protocol_split(graph, str(file))
    assert split["test"].tolist() == [3, 7, 59]
    assert not set(split["test"]) & {*split["train"], *split["val"]} and len(split["train"]) == 30
    benchmark = NodeClassification(graph, split="test", knobs={"protocol": str(file)})
    assert {benchmark.example(index).meta["node"] for index in range(benchmark.size)} == {3, 7, 59}
    train = benchmark.on_split("train")
    assert not {train.example(index).meta["node"] for index in range(train.size)} & {3, 7, 59}
    # Where the file lies changes nothing but the id; what it holds is read again.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(file.read_text())
    moved = NodeClassification(graph, split="test", knobs={"protocol": str(elsewhere)})
    assert moved.example(1).text == benchmark.example(1).text and moved.example(1).id != benchmark.example(1).id
    file.write_text("paper 1")
    assert protocol_split(graph, str(file))["test"].tolist() == [1]


def test_whole_numbers_are_ids_of_a_graph_without_names_and_a_file_may_hold_all_three_splits(tmp_path):
    graph, file = ring(60), tmp_path / "split.json"
    file.write_text(json.dumps({"train": [5, 1], "val": [2], "test": [4, 3]}))
    parts = {name: part.tolist() for name, part in protocol_split(graph, str(file)).items()}
    assert parts == {"train": [1, 5], "val": [2], "test": [3, 4]}


def test_test_nodes_of_a_file_are_left_out_of_the_datas_own_train_and_counted(tmp_path):
    own = {"train": np.arange(10), "val": np.arange(10, 15), "test": np.arange(15, 60)}
    graph, file = ring(60, node_splits=own), tmp_path / "nodes.txt"
    file.write_text("0\n1\n10\n20\n")
    split = protocol_split(graph, str(file))
    assert split["train"].tolist() == list(range(2, 10)) and split["val"].tolist() == [11, 12, 13, 14]
    notes = NodeClassification(graph, split="test", knobs={"protocol": str(file)}).notes
    assert [note.partition(" the data has in ")[2] for note in notes] == [
        "train, which are left out there: 2",
        "val, which are left out there: 1",
    ]
    assert NodeClassification(graph, split="test").notes == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n2\n99\nx\n", "2 of 4 ids are not in graph ring, whose ids are '0' to '59': '99' (line 3), 'x' (line 4)"),
        ("1\n2\n1\n", "'1' is listed twice (line 1 and line 3)"),
        ("", "holds no ids"),
        ("[1, 2", "begins like JSON and is none"),
        ("[1, null]", "test is not a list of ids"),
        ("[1, true]", "test is not a list of ids"),
        ("[1, 100]", "'100' (test[1])"),
        ('{"test": [1], "valid": [2]}', "has the keys 'test', 'valid'; give a list of test nodes, or"),
        ('{"train": [1], "val": [2], "test": [3, 1]}', "node '1' is in train and test; put each node into one split"),
        ("59\n", "without a label in graph ring: '59' (line 1)"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_line_that_names_the_place(tmp_path, content, message):
    graph, file = ring(60), tmp_path / "nodes.txt"
    graph = replace(graph, labels=np.where(np.arange(60) == 59, -1, graph.labels))
    file.write_text(content)
    with pytest.raises(UserError) as error:
        protocol_split(graph, str(file))
    assert message in str(error.value) and str(file) in str(error.value) and "\n" not in str(error.value)


def test_protocols_that_do_not_exist_or_do_not_fit():
    with pytest.raises(UserError, match="did you mean planetoid"):
        protocol_split(ring(60), "planetiod")
    with pytest.raises(UserError, match="did you mean random-"):
        protocol_split(ring(60), "random-12")
    with pytest.raises(UserError, match="there is no such file"):
        protocol_split(ring(60), "nodes.txt")
    with pytest.raises(NotApplicable, match=r"500 nodes for val .* 240 labelled nodes of graph ring are left"):
        protocol_split(ring(300), "planetoid")
    with pytest.raises(NotApplicable, match="'class 0' of graph ring has 15; use random-0"):
        protocol_split(ring(3000, classes=200), "planetoid")
    with pytest.raises(NotApplicable, match="leaves no node for val"):
        protocol_split(ring(2, classes=2), "random-0")
    unlabelled = TextAttributedGraph.from_edges("plain", ["a", "b"], np.array([[0], [1]]))
    for protocol in PROTOCOLS:
        with pytest.raises(NotApplicable, match="has no labels"):
            protocol_split(unlabelled, protocol)


def test_a_split_that_overlaps_is_refused():
    both = {"train": np.arange(10), "val": np.arange(9, 15), "test": np.array([0, 20])}
    with pytest.raises(UserError, match=r"graph ring: node '9' is in train and val; put each node into one split"):
        protocol_split(replace(ring(60), node_splits=both), None)


def test_the_usual_split_is_as_it_was():
    assert protocol_split(ring(300), None)["test"].tolist() == node_split(ring(300))["test"].tolist()


def test_planetoids_val_has_rare_classes_as_often_as_its_test():
    rng = np.random.default_rng(0)
    labels = (rng.random(6000) < 0.03).astype(np.int64)
    graph = TextAttributedGraph.from_edges(
        "g",
        [f"text {node}" for node in range(6000)],
        rng.integers(6000, size=(2, 100)),
        labels=labels,
        label_names=["common", "rare"],
    )
    split = protocol_split(graph, "planetoid")
    val, test = (float((labels[split[name]] == 1).mean()) for name in ("val", "test"))
    assert 0.01 < val < 0.05 and 0.01 < test < 0.05
