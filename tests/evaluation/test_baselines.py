"""Baselines on graphs whose right answers are known."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.evaluation.baselines.classical import (
    adamic_adar,
    common_neighbours,
    degree_product,
    frequency_at_ends,
    joined,
    label_propagation,
    tfidf,
)
from ssl4rl.evaluation.baselines.graph import best_threshold, predict
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.benchmarks.relation import RelationPrediction
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split

NETWORKS = {"gcn", "graphsage", "gat"}
WORDS = ("orchid moss fern", "quartz basalt granite", "violin drum choir")


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    """No answer of another test is found."""
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path))


def planted(num_nodes: int = 300, seed: int = 0, **changes) -> TextAttributedGraph:
    """Three classes that texts tell (three words of five are the class's own) and edges follow (nine of ten)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=num_nodes)
    texts = [
        " ".join([*rng.choice(WORDS[label].split(), 3), *rng.choice(" ".join(WORDS).split(), 2)]) for label in labels
    ]
    ends = []
    for node in range(num_nodes):
        for _ in range(4):
            near = rng.random() < 0.9
            ends.append((node, rng.choice(np.flatnonzero((labels == labels[node]) == near))))
    parts = np.split(rng.permutation(num_nodes), [60, 100])
    fields = {
        "labels": labels,
        "label_names": ("plants", "rocks", "music"),
        "node_splits": dict(zip(("train", "val", "test"), parts, strict=True)),
        **changes,
    }
    graph = TextAttributedGraph.from_edges("planted", fields.pop("texts", texts), np.array(ends).T, **fields)
    # Splits of their own, so that a changed test edge changes nothing else.
    return graph if "edge_splits" in changes else replace(graph, edge_splits=edge_split(graph))


def accuracies(benchmark, limit: int = 600) -> dict[str, float]:
    examples = [benchmark.example(i) for i in range(min(limit, benchmark.size))]
    found = predict(benchmark, examples)
    assert not found.notes
    return {
        name: float(
            np.mean([benchmark.score(f"<answer>{a}</answer>", e).value for a, e in zip(labels, examples, strict=True)])
        )
        for name, labels in found.answers.items()
    }


def test_each_baseline_finds_the_signal_that_it_can_read():
    nodes = accuracies(NodeClassification(planted(), split="test"))
    assert nodes.keys() == {"first option", "majority", "text only", "label propagation", "mlp"} | NETWORKS
    assert min(nodes["text only"], nodes["label propagation"], nodes["mlp"]) > 0.7
    assert min(nodes[name] for name in NETWORKS) > max(nodes["text only"], nodes["mlp"])
    assert max(nodes["majority"], nodes["first option"]) < 0.45
    links = accuracies(LinkPrediction(planted(), split="test", knobs={"negatives": "random"}))
    structure = {"common neighbours", "adamic-adar", "degree product"}
    assert links.keys() == {"first option", "majority", "text only"} | structure | NETWORKS
    assert links["majority"] == 0.5
    assert min(links[name] for name in {"text only"} | NETWORKS) > 0.6


def test_shuffled_labels_leave_every_baseline_at_chance():
    graph = planted()
    benchmark = NodeClassification(
        replace(graph, labels=np.random.default_rng(1).permutation(graph.labels)), split="test"
    )
    # 200 items: a standard error of 0.033.
    assert all(abs(value - 1 / 3) < 0.12 for value in accuracies(benchmark).values())


def test_changing_test_labels_and_test_edges_changes_no_answer():
    graph = planted()
    benchmark = NodeClassification(graph, split="test")
    asked = [benchmark.example(i) for i in range(50)]
    links = LinkPrediction(graph, split="test")
    pairs = [links.example(i) for i in range(50)]

    labels = graph.labels.copy()
    labels[graph.node_splits["test"]] = (labels[graph.node_splits["test"]] + 1) % 3
    known = set(map(tuple, graph.edge_index.T.tolist()))
    unlinked = [(u, v) for u in range(300) for v in range(u + 1, 300) if (u, v) not in known]
    test, rng = graph.edge_splits["test"], np.random.default_rng(0)
    ends = graph.edge_index.copy()
    ends[:, test] = np.array(unlinked)[rng.choice(len(unlinked), size=len(test), replace=False)].T
    changed = replace(graph, labels=labels, edge_index=ends)

    assert predict(benchmark, asked).answers == predict(NodeClassification(changed, split="test"), asked).answers

    class SameTuningPairs(LinkPrediction):
        """Which pairs are no edge depends on all edges by definition, so validation items are held fixed."""

        size = 100

        def example(self, index):
            return validation[index]

    validation = [LinkPrediction(graph, split="val").example(i) for i in range(100)]
    answers = [predict(SameTuningPairs(source, split="test"), pairs).answers for source in (graph, changed)]
    assert answers[0] == answers[1]
    assert len(set(answers[0]["text only"])) == 2


def test_label_propagation_follows_edges_and_falls_back_to_frequencies():
    # Two triangles joined by nothing, a chain, and a node alone; class 1 is the more frequent one.
    matrix = joined(9, np.array([[0, 1, 0, 3, 4, 3, 5, 6], [1, 2, 2, 4, 5, 5, 6, 7]]))
    scores = label_propagation(matrix, np.array([0, 3, 4]), np.array([0, 1, 1]), 2)
    assert scores.argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert scores[8].tolist() == [1, 2]


def test_pair_scores_by_hand(house):
    matrix = joined(house.num_nodes, house.edge_index)
    pairs = np.array([[0, 0, 2, 0], [1, 2, 4, 4]])
    # 0 and 1 share the roof; 0 and 2 share 1 and 3; 2 and 4 share 1; 0 and 4 share 1.
    assert common_neighbours(matrix, pairs).tolist() == [1, 2, 1, 1]
    # Each of them counts 1 / ln(its degree).
    rare, common = 1 / np.log(2), 1 / np.log(3)
    assert np.allclose(adamic_adar(matrix, pairs), [rare, rare + common, common, common])
    # Degrees are 3 3 2 2 2; a pair's own edge does not count.
    assert degree_product(matrix, pairs).tolist() == [4, 6, 4, 2]


def test_threshold_is_the_best_on_the_tuning_pairs():
    assert best_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])) == 1.5
    assert best_threshold(np.array([0.0, 1.0, 2.0]), np.array([True, True, True])) == -np.inf
    assert best_threshold(np.array([0.0, 1.0, 2.0]), np.array([False, False, False])) == np.inf


def test_frequency_at_ends_by_hand():
    # Node 0 is a head of relations 0, 0, 1; node 3 a tail of 0 and 1; nodes 4 and 5 have neither.
    train, relations = np.array([[0, 0, 0, 1], [3, 2, 3, 2]]), np.array([0, 0, 1, 1])
    found = frequency_at_ends(train, relations, np.array([[0, 4], [3, 5]]), num_nodes=6, count=3)
    prior = np.array([7, 7, 1]) / 15
    at_head, at_tail = (np.array([2, 1, 0]) + prior) / 4, (np.array([1, 1, 0]) + prior) / 3
    assert np.allclose(np.exp(found), [at_head * at_tail / prior, prior])


def triples_by_text(num_nodes: int = 240) -> TextAttributedGraph:
    """A triple's relation is the kind that its head's text names; kind 0 is every other one."""
    rng = np.random.default_rng(0)
    kinds = rng.choice([0, 0, 1, 2], size=num_nodes)
    heads = np.repeat(np.arange(num_nodes), 3)
    tails = (heads + rng.integers(1, num_nodes, size=len(heads))) % num_nodes
    order = rng.permutation(len(heads))
    return TextAttributedGraph.from_edges(
        "kinds",
        [f"{WORDS[kind].split()[0]} number" for kind in kinds],
        np.stack([heads, tails]),
        directed=True,
        relations=kinds[heads],
        relation_names=["grows", "weighs", "sounds"],
        edge_splits=dict(zip(("train", "val", "test"), np.split(order, [500, 600]), strict=True)),
    )


def test_relations_are_ranked_among_those_offered():
    benchmark = RelationPrediction(triples_by_text(), split="test", knobs={"num_options": 2})
    examples = [benchmark.example(i) for i in range(benchmark.size)]
    found = predict(benchmark, examples).answers
    assert found.keys() == {"first option", "majority", "frequency at ends", "complex", "text only", "gcn"}
    for example, answer in zip(examples, found["majority"], strict=True):
        # The relation "grows" is the most frequent one in train, then whichever of the others is.
        assert (benchmark.choices(example)[answer] == "grows") == (0 in example.meta["options"])
    scores = accuracies(benchmark)
    assert scores["text only"] == 1
    assert min(scores["gcn"], scores["frequency at ends"]) > scores["majority"]


def test_complex_finds_relations_that_head_and_tail_decide_together():
    from ssl4rl.evaluation.baselines.knowledge import embed_relations

    rng = np.random.default_rng(0)
    groups = rng.integers(3, size=60)
    ends = rng.integers(60, size=(2, 1600))
    relations = (groups[ends[0]] - groups[ends[1]]) % 3
    train, val, test = (slice(1200), slice(1200, 1400), slice(1400, 1600))
    triples = [(ends[:, part], relations[part]) for part in (train, val)]
    found = embed_relations(*triples, ends[:, test], (60, 3))
    assert (found.argmax(axis=1) == relations[test]).mean() > 0.9
    alone = frequency_at_ends(*triples[0], ends[:, test], 60, 3)
    assert (alone.argmax(axis=1) == relations[test]).mean() < 0.5


def test_random_numbers_of_others_are_left_alone():
    import torch

    torch.manual_seed(0)
    expected = torch.rand(3).tolist()
    torch.manual_seed(0)
    benchmark = RelationPrediction(triples_by_text(), split="test")
    answers = predict(benchmark, [benchmark.example(i) for i in range(4)]).answers
    assert {"complex", "gcn"} <= answers.keys()
    assert torch.rand(3).tolist() == expected


def test_answers_to_the_same_questions_are_kept_whatever_their_prompts_show():
    def fitted(graph, **changes):
        benchmark, lines = NodeClassification(graph, split="test", **changes), []
        found = predict(benchmark, [benchmark.example(i) for i in range(20)], lines.append)
        return found, [line.removeprefix("baseline: ") for line in lines]

    first, lines = fitted(planted())
    assert set(lines) == first.answers.keys() - {"first option"} == first.seconds.keys()
    assert fitted(planted(), level="two-hop") == (first, [])
    assert fitted(planted(), seed=1)[1] == lines
    assert fitted(planted(), knobs={"protocol": "random-1"})[1] == lines
    assert fitted(planted(seed=1))[1] == lines


def test_a_damaged_line_is_said_and_fitted_again(tmp_path):
    benchmark = LinkPrediction(planted(), split="test")
    asked = [benchmark.example(i) for i in range(20)]
    first, lines = predict(benchmark, asked), []
    (path,) = (tmp_path / "baselines").iterdir()
    path.write_text(path.read_text().replace('"yes"', '"no"', 1))
    assert predict(benchmark, asked, lines.append).answers == first.answers
    assert lines == [f"1 damaged lines in {path} are ignored; their baselines are fitted again", "baseline: majority"]


def test_embedded_graph():
    scores = accuracies(NodeClassification(default_graph(), split="test"))
    # Each paper's class is the subject that its title half hides; its citations mostly stay within.
    assert scores["gcn"] > scores["text only"] > 0.75
    assert scores["majority"] < 0.2


@pytest.mark.parametrize(
    ("kind", "name", "rest"),
    [("gcn", "GCN", {}), ("graphsage", "GraphSAGE", {}), ("gat", "GAT", {"heads": 4, "act": "elu"})],
)
def test_a_product_with_the_sparse_adjacency_is_what_pyg_gathers_and_scatters(kind, name, rest):
    import torch
    from torch_geometric import nn

    from ssl4rl.evaluation.baselines.networks import Encoder, edges_for, tensor

    graph = planted()
    # A node without edges, too.
    features, matrix = tfidf([*graph.texts, "fern"]), joined(graph.num_nodes + 1, graph.edge_index)
    model = Encoder(kind, features.shape[1], 16, 3, heads=4 if kind == "gat" else 1)
    theirs = getattr(nn, name)(features.shape[1], 16, num_layers=2, out_channels=3, **rest)
    if kind == "gat":  # PyG's model averages as many heads in its last layer
        theirs.convs[1] = nn.GATConv(16, 3)
    for ours, conv in zip((model.first, model.second), theirs.convs, strict=True):
        conv.load_state_dict(ours.state_dict())
    dense, pairs = torch.from_numpy(features.toarray()), torch.from_numpy(np.stack(matrix.nonzero())).long()
    expected = theirs(dense, pairs)
    expected.square().sum().backward()
    for given in (tensor(features), dense):
        model.zero_grad()
        found = model(given, edges_for(kind, matrix))
        torch.testing.assert_close(found, expected)
        found.square().sum().backward()
        for ours, conv in zip((model.first, model.second), theirs.convs, strict=True):
            for mine, other in zip(ours.parameters(), conv.parameters(), strict=True):
                torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_fitted_is_said():
    mute = planted(texts=["–" for _ in range(300)])
    benchmark = NodeClassification(mute, split="test")
    found = predict(benchmark, [benchmark.example(0)])
    assert found.answers.keys() == {"first option", "majority", "label propagation"}
    left_out = ("text only", "mlp", "gcn", "graphsage", "gat")
    assert found.notes == [f"{name} is left out: the texts hold no words" for name in left_out]
    benchmark = NodeClassification(planted(), split="train")
    found = predict(benchmark, [benchmark.example(0)])
    assert found.answers.keys() == {"first option"} and "train" in found.notes[0]


def test_without_pyg_the_others_are_still_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "ssl4rl.evaluation.baselines.networks", raising=False)
    monkeypatch.delattr("ssl4rl.evaluation.baselines.networks", raising=False)
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    benchmark = NodeClassification(planted(), split="test")
    found = predict(benchmark, [benchmark.example(0)])
    assert "text only" in found.answers and not found.answers.keys() & {"mlp", *NETWORKS}
    assert "gcn is left out: it needs torch_geometric.nn, pip install 'ssl4rl[graph]'" in found.notes
