"""Graphs that are unlike the usual ones: without training edges, texts or spaces, or with parallel edges."""

import numpy as np
import pytest

from ssl4rl.answers import token_f1, words
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.benchmarks.ranking import Ranking
from ssl4rl.graph.budget import count_pieces
from ssl4rl.graph.content import ContentWords
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.quotes import is_quoted
from ssl4rl.graph.rewire import rewired
from ssl4rl.graph.tasks.attribute import Attribute, first_words
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.graph.tasks.order import Order
from ssl4rl.graph.view import edge_view


def random_graph(nodes, edges, seed=0, **changes):
    rng = np.random.default_rng(seed)
    ends = np.stack([rng.integers(nodes, size=edges), rng.integers(nodes, size=edges)])
    texts = changes.pop("texts", None) or [f"text {node} about topic {node % 7}" for node in range(nodes)]
    return TextAttributedGraph.from_edges("odd", texts, ends, **changes)


@pytest.mark.parametrize("few", [60, 400])
def test_links_are_asked_about_where_the_data_leaves_no_training_edge(few):
    graph = random_graph(300, few, edge_splits={"test": np.arange(few)})
    for asked in (LinkPrediction(graph, split="test"), Link(graph, split="test")):
        assert {asked.example(index).gold for index in range(20)} == {"yes", "no"}


@pytest.mark.parametrize("negatives", ["random", "degree", "distance_two"])
def test_the_link_task_asks_about_nodes_with_texts(negatives):
    texts = [f"text {node} about it" if node % 2 else "" for node in range(400)]
    for split in ("train", "test"):
        task = Link(random_graph(400, 3000, texts=texts), split=split, knobs={"negatives": negatives})
        for index in range(40):
            assert all(texts[node] for node in task.example(index).meta["asked"])
    without = Link(random_graph(400, 3000, texts=["one", *[""] * 399]))
    assert without.example(0).gold in ("yes", "no")


def test_benchmarks_say_how_much_they_ask_about_nodes_without_a_text():
    texts = [f"text {node}" if node % 2 else "" for node in range(400)]
    graph = random_graph(400, 900, texts=texts, labels=np.arange(400) % 3, label_names=["x", "y", "z"])
    ends = graph.edge_index[:, edge_view(graph).asked["test"]]
    edges = f"{int((ends % 2 == 0).any(axis=0).sum())} of {ends.shape[1]} test edges that are asked about have an end"
    for benchmark in (LinkPrediction(graph, split="test"), Ranking(graph, split="test")):
        assert edges in benchmark.notes[0]
    assert "test nodes that are asked about have no text" in NodeClassification(graph, split="test").notes[-1]
    assert not LinkPrediction(random_graph(400, 900), split="test").notes


def test_parallel_edges_crowd_no_graph():
    rng = np.random.default_rng(1)
    pairs = np.array([(a, b) for a in range(60) for b in range(a)])[rng.permutation(1770)[:100]].T
    edges, relations = np.repeat(pairs, 4, axis=1), np.tile(np.arange(4), 100)
    related = {"directed": True, "relations": relations, "relation_names": list("rstu")}
    graph = TextAttributedGraph.from_edges("g", [f"text {node}" for node in range(60)], edges, **related)
    assert not Link(graph).is_crowded and Link(random_graph(60, 600)).is_crowded


@pytest.mark.parametrize("related", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_rewired_edges_are_as_distinct_as_the_graph_s_own(directed, related):
    edges = 500
    relations = {"relations": np.arange(edges) % 3, "relation_names": ["r", "s", "t"]} if related else {}
    graph = random_graph(60, edges, directed=directed, **relations)
    visible = edge_view(graph).visible
    copy, adjacency = rewired(graph, visible)
    columns = np.unique(adjacency.edges)
    ends = copy.edge_index[:, columns]
    ends = ends if directed else np.sort(ends, axis=0)
    keys = np.vstack([ends, copy.relations[columns][None]]) if related else ends
    assert np.unique(keys, axis=1).shape[1] == len(columns) and (ends[0] != ends[1]).all()
    assert len(columns) >= 0.95 * len(np.unique(visible.edges))


def test_to_hide_what_is_hidden_anyway_is_refused():
    texts = [f"text {node} " + "of words that go on and on " * 6 for node in range(300)]
    for task in (Attribute, Order):
        with pytest.raises(NotApplicable, match=r"corrupt=asked_text: .* hides the texts of the asked nodes anyway"):
            task(random_graph(300, 900, texts=texts), knobs={"corrupt": "asked_text"})


def test_a_file_of_candidates_is_that_of_the_split_that_is_asked(tmp_path):
    with pytest.raises(Exception, match="cannot be read"):
        Ranking(random_graph(200, 900), split="val", knobs={"negatives": str(tmp_path / "nowhere.jsonl")})
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(Exception, match=r"has no candidates for .* val edges"):
        Ranking(random_graph(200, 900), split="val", knobs={"negatives": str(tmp_path / "empty.jsonl")})


def test_edges_and_their_texts_share_half_of_the_budget():
    rng = np.random.default_rng(2)
    said = [" ".join(rng.choice(["alpha", "beta", "gamma", "delta"], 30)) for _ in range(2000)]
    task = Neighbor(random_graph(300, 2000, edge_texts=said), knobs={"num_hops": 2, "fanout": 8, "text_budget": 400})
    for index in range(15):
        prompt = task.example(index).parts[0]
        lines = [line for line in prompt.split("\n") if line.startswith("[") and "--" in line.split(":")[0]]
        assert lines and count_pieces("\n".join(lines)) <= 240  # 200, and a line break each
        assert sum(line.split(": ")[-1].split(" ")[0].strip("…") != "" for line in lines) == len(lines)


HINDI = "विद्यालय की किताब"


def test_words_are_whole_in_any_script():
    assert words(HINDI) == HINDI.split() != words("विद्यालय का किताबें")
    assert token_f1("की", "का", 10) == 0 and token_f1(HINDI, HINDI, 10) == 1
    assert words("Trees, 木が สี x̄ naïve_1") == ["trees", "木", "が", "สี", "x̄", "naïve_1"]
    assert first_words(f"{HINDI} पुरानी", 3) == HINDI and first_words("木がある。家", 4) == "木がある"
    graph = random_graph(40, 90, texts=[f"नमकपारा समझदारी {node}" for node in range(40)])
    assert ContentWords(graph, 10).words(0) == {"नमकपारा", "समझदारी"}


def test_quotations_are_found_in_scripts_without_spaces():
    text = "机器学习是人工智能的一个分支，它研究如何让计算机从数据中学习规律并做出预测"
    assert is_quoted(text, [f"参见：{text[:30]}。"])
    assert not is_quoted(text, ["人工智能研究计算机", f"见{text[:12]}等"])
