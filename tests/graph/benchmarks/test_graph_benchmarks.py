"""The graph benchmarks: which items there are, and that they stay the same whatever a prompt shows."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ssl4rl.benchmarks import accepted_answers
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.data.graphs.folder import load_folder
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.benchmarks.relation import RelationPrediction
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.splits import edge_split, node_split
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.registry import BENCHMARKS


def test_node_asks_about_every_labelled_test_node_once():
    graph = default_graph()
    benchmark = NodeClassification(graph, split="test")
    examples = [benchmark.example(i) for i in range(benchmark.size)]
    assert sorted(example.meta["node"] for example in examples) == node_split(graph)["test"].tolist()
    for example in examples:
        choices = benchmark.choices(example)
        true = graph.label_names[graph.labels[example.meta["node"]]]
        assert [choices[label] for label in accepted_answers(example)] == [true] == [example.meta["class"]]
        assert sorted(choices.values()) == sorted(graph.label_names)
    # No letter says anything: the right one is spread over all of them.
    spread = Counter(example.gold for example in examples)
    assert set(spread) == set("ABCDEFGH") and max(spread.values()) < 2 * min(spread.values())
    with pytest.raises(IndexError):
        benchmark.example(benchmark.size)


def test_link_asks_about_every_test_pair_and_as_many_that_are_not_linked():
    graph = default_graph()
    benchmark = LinkPrediction(graph, split="test")
    pairs: dict[str, list[frozenset[int]]] = {"yes": [], "no": []}
    for i in range(benchmark.size):
        example = benchmark.example(i)
        pairs[example.gold].append(frozenset(example.meta["asked"]))
        assert (example.gold == "yes") == (i % 2 == 0)
    test = {frozenset(pair) for pair in graph.edge_index[:, edge_split(graph)["test"]].T.tolist()}
    linked = {frozenset(pair) for pair in graph.edge_index.T.tolist()}
    assert set(pairs["yes"]) == test and len(pairs["yes"]) == len(test)
    assert len(set(pairs["no"])) == len(pairs["no"]) == len(test) and not set(pairs["no"]) & linked


def test_relation_offers_k_or_all_and_accepts_every_true_one(kinship):
    splits = {"train": np.array([1, 3, 4]), "val": np.array([5]), "test": np.array([0, 2])}
    kinship = replace(kinship, edge_splits=splits)
    benchmark = RelationPrediction(kinship, split="test")
    examples = {example.meta["item"]: example for example in map(benchmark.example, range(benchmark.size))}
    # Ada is parent and teacher of Bea: two items, and each accepts both.
    assert set(examples) == {"relation:0-0-1", "relation:0-1-1"}
    for example in examples.values():
        choices = benchmark.choices(example)
        assert {choices[label] for label in accepted_answers(example)} == {"parent of", "teacher of"}
        assert len(choices) == 3 and example.chance == 2 / 3
    assert len(benchmark.choices(RelationPrediction(kinship, split="test", knobs={"num_options": 2}).example(0))) == 2


@pytest.mark.parametrize("num_relations", [2, 3])
@pytest.mark.parametrize("num_options", [2, None])
def test_some_option_of_every_relation_item_is_wrong(num_relations, num_options):
    """Where all relations that there are hold between two nodes, nothing is asked of them."""
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for a in range(20) for b in range(20) if a != b and rng.random() < 0.4])
    held = [(pair, relation) for pair in pairs for relation in range(num_relations) if rng.random() < 0.7]
    graph = TextAttributedGraph.from_edges(
        "friends",
        [f"friend {i}" for i in range(20)],
        np.array([pair for pair, _ in held]).T,
        directed=True,
        relations=np.array([relation for _, relation in held]),
        relation_names=["likes", "knows", "helps"][:num_relations],
    )
    benchmark = RelationPrediction(graph, split="test", knobs={"num_options": num_options})
    assert 0 < benchmark.size < len(benchmark.asked)
    for example in map(benchmark.example, range(benchmark.size)):
        assert 0 < len(accepted_answers(example)) < len(benchmark.choices(example)) and example.chance < 1


def test_relations_that_all_hold_everywhere_are_not_asked_about():
    pairs = np.array([(a, (a + step) % 30) for a in range(30) for step in (1, 2, 5)])
    graph = TextAttributedGraph.from_edges(
        "friends",
        [f"friend {i}" for i in range(30)],
        np.concatenate([pairs, pairs]).T,
        directed=True,
        relations=np.repeat([0, 1], len(pairs)),
        relation_names=["likes", "knows"],
    )
    with pytest.raises(NotApplicable, match="all 2 relations hold between its ends"):
        RelationPrediction(graph, split="test")


def test_more_options_than_letters_are_numbered():
    rng = np.random.default_rng(0)
    names = [f"kind {i}" for i in range(40)]
    edges = np.array([(a, b) for a in range(30) for b in range(30) if a != b and rng.random() < 0.3])
    graph = TextAttributedGraph.from_edges(
        "kinds",
        [f"thing {i}" for i in range(30)],
        edges.T,
        directed=True,
        relations=np.arange(len(edges)) % 40,
        relation_names=names,
    )
    benchmark = RelationPrediction(graph, split="test", level="all")
    example = benchmark.example(0)
    assert list(benchmark.choices(example)) == [str(i) for i in range(1, 41)]
    assert "\n40: kind " in example.text and "one number from 1 to 40" in example.text
    assert benchmark.score(f"<answer>{example.gold}</answer>", example).value == 1


@pytest.mark.parametrize("name", ["node", "link"])
def test_the_items_are_the_same_whatever_the_prompt_shows(name):
    kind, graph = BENCHMARKS.get(name), default_graph()
    full, bare = kind(graph, split="test"), kind(graph, split="test", level="no-graph")
    for i in range(50):
        with_graph, without = full.example(i), bare.example(i)
        assert with_graph.meta["item"] == without.meta["item"] and with_graph.scoring == without.scoring
        assert full.choices(with_graph) == bare.choices(without)
        assert len(without.meta["nodes"]) == (1 if name == "node" else 2) and "Edges: none shown." in without.text
        # Taking the graph away leaves the asked nodes' own texts.
        for node in without.meta["nodes"].values():
            assert graph.texts[node] in without.text
    assert sum(len(full.example(i).meta["nodes"]) for i in range(50)) > 150


def test_the_first_items_of_a_seed_are_a_sample_and_another_seed_takes_others():
    graph = default_graph()

    def first(seed):
        benchmark = NodeClassification(graph, split="test", seed=seed)
        return [benchmark.example(i).meta["item"] for i in range(100)]

    assert first(0) == first(0) and len(set(first(0)) & set(first(1))) < 40


def test_only_training_edges_are_shown_for_node_classification():
    graph = default_graph()
    held_out = {frozenset(pair) for pair in graph.edge_index[:, edge_split(graph)["test"]].T.tolist()}
    benchmark = NodeClassification(graph, split="test", level="two-hop", knobs={"fanout": 50})
    for i in range(50):
        assert not held_out & {frozenset(pair) for pair in benchmark.example(i).meta["edges"]}


def test_graphs_that_lack_what_a_benchmark_needs(house):
    with pytest.raises(NotApplicable, match="no labels, which node classification needs"):
        NodeClassification(house, split="test")
    with pytest.raises(NotApplicable, match="has no relations"):
        RelationPrediction(default_graph(), split="test")
    labelled = replace(house, labels=np.full(5, -1), label_names=["a", "b"])
    with pytest.raises(NotApplicable, match="no labelled test nodes"):
        NodeClassification(labelled, split="test")


def with_classes(house, names):
    return replace(
        house,
        labels=np.zeros(5, dtype=int),
        label_names=names,
        node_splits={"train": np.array([0]), "val": np.array([1]), "test": np.array([2, 3, 4])},
    )


@pytest.mark.parametrize(
    ("names", "labels", "noun"),
    [
        ([f"class {letter}" for letter in OPTION_LETTERS], list(OPTION_LETTERS), "one letter"),
        ([f"class {number}" for number in range(30)], [str(number) for number in range(1, 31)], "one number"),
        # Classes that read like letters have numbers, and those that read like numbers, letters.
        (list("ABCD"), list("1234"), "one number"),
        (["0", "1", "2"], list("ABC"), "one letter"),
        (
            list(map(str, range(30))),
            [f"A{letter}" for letter in OPTION_LETTERS] + ["BA", "BB", "BC", "BD"],
            "one option from AA to BD",
        ),
    ],
)
def test_no_class_can_be_taken_for_the_label_of_another(house, names, labels, noun):
    benchmark = NodeClassification(with_classes(house, names), split="test")
    example = benchmark.example(0)
    assert list(benchmark.choices(example)) == labels == example.scoring.arguments["choices"]
    assert noun in example.text.splitlines()[-1]
    assert all(f"{label}: {name}" in example.text for label, name in benchmark.choices(example).items())
    for name in names:
        assert benchmark.score(f"<answer>{name}</answer>", example).outcome == "invalid"


@pytest.mark.parametrize(("names", "said"), [(["a b", "A-B.", "c"], "read the same"), (["a", "???"], "no letter")])
def test_classes_that_read_the_same_are_refused(house, names, said):
    with pytest.raises(NotApplicable, match=rf"classes of graph house cannot be options: .*{said}"):
        NodeClassification(with_classes(house, names), split="test")


def test_taking_the_graph_away_changes_no_word_of_the_asked_texts():
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(500)])
    texts = [" ".join(rng.choice(words, size=int(rng.integers(5, 200)))) for _ in range(300)]
    graph = TextAttributedGraph.from_edges("long", texts, rng.integers(0, 300, size=(2, 500)))
    full, bare = (LinkPrediction(graph, split="test", level=level) for level in ("one-hop", "no-graph"))
    cut = 0
    for i in range(full.size):
        prompts = [benchmark.example(i).text for benchmark in (full, bare)]
        shown = [line.split("] ", 1)[1] for line in prompts[1].splitlines() if line.startswith("[")]
        assert len(shown) == 2 and all(f"] {text}\n" in prompts[0] for text in shown)
        cut += sum(text.endswith("…") for text in shown)
    assert cut > 10


def test_no_pair_that_the_test_asks_about_is_an_example_elsewhere():
    rng = np.random.default_rng(1)
    edges = rng.integers(0, 16, size=(2, 60))
    graph = TextAttributedGraph.from_edges("dense", [f"text {i}" for i in range(16)], edges)
    asked = {}
    for split in ("train", "val", "test"):
        benchmark = LinkPrediction(graph, split=split, knobs={"negatives": "random"})
        asked[split] = {benchmark.example(i).meta["item"] for i in range(benchmark.size if split != "train" else 20)}
    assert not asked["test"] & (asked["train"] | asked["val"]) and not asked["val"] & asked["train"]
    crowded = TextAttributedGraph.from_edges("crowded", graph.texts, rng.integers(0, 16, size=(2, 200)))
    with pytest.raises(NotApplicable, match="too few unlinked pairs"):
        benchmark = LinkPrediction(crowded, split="train", knobs={"negatives": "random"})
        benchmark.example(benchmark.size - 1)


def test_a_pair_that_the_test_asks_is_not_one_of_val():
    forward = np.array([(a, a + 60) for a in range(60)])
    graph = TextAttributedGraph.from_edges(
        "g",
        [f"thing {i}" for i in range(120)],
        np.concatenate([forward, forward[:, ::-1], forward[:, [0, 0]] + [0, 1]]).T,
        directed=True,
        relations=np.repeat([0, 1, 2], 60),
        relation_names=["likes", "is liked by", "knows"],
        edge_splits={"train": np.arange(120, 180), "val": np.arange(60), "test": np.arange(90, 120)},
    )
    asked = {}
    for split in ("val", "test"):
        benchmark = LinkPrediction(graph, split=split)
        linked = [benchmark.example(index) for index in range(0, benchmark.size, 2)]
        asked[split] = {frozenset(example.meta["asked"]) for example in linked}
    assert len(asked["val"]) == len(asked["test"]) == 30 and not asked["val"] & asked["test"]


def test_many_small_components_have_no_sides():
    """Of 300 circles of four nodes, any two nodes that are not linked are a pair."""
    edges = np.array([(4 * circle + a, 4 * circle + (a + 1) % 4) for circle in range(300) for a in range(4)])
    graph = TextAttributedGraph.from_edges("circles", [f"text {node}" for node in range(1200)], edges.T)
    assert node_groups(graph) is None
    assert LinkPrediction(graph, split="test").example(1).gold == "no"


def test_a_column_of_splits_that_is_empty_gives_none(tmp_path):
    rows = [f"{node},text {node},{'ab'[node % 2]}," for node in range(100)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,text,label,split", *rows]) + "\n")
    edges = [f"{node},{(node + 1) % 100}" for node in range(100)]
    (tmp_path / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n")
    assert NodeClassification(load_folder(tmp_path), split="test").size > 10
