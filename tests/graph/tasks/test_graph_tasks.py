"""The three graph tasks, on graphs small enough to check by hand."""

import dataclasses

import numpy as np
import pytest

from ssl4rl.answers import words
from ssl4rl.benchmarks import accepted_answers
from ssl4rl.data.graphs.citations import citation_graph, default_graph
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.quotes import is_quoted
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.cloze import Cloze
from ssl4rl.graph.tasks.constants import best_constant
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor, best_blind_jaccard
from ssl4rl.graph.tasks.odd import OddOneOut
from ssl4rl.graph.tasks.order import Order
from ssl4rl.graph.view import edge_view


def test_link_is_balanced_and_its_negatives_are_not_linked():
    graph = default_graph()
    view = edge_view(graph)
    for level in ("easy", "medium", "hard"):
        examples = [Link(graph, level=level).example(i) for i in range(400)]
        assert 160 < sum(example.gold == "yes" for example in examples) < 240
        for example in examples:
            assert len(view.full.between(*example.meta["asked"])) == (example.gold == "yes")


@pytest.mark.parametrize("level", ["easy", "medium"])
def test_unlinked_nodes_have_and_show_as_many_edges_as_linked_ones(level):
    # Preferential attachment: a linked pair's ends are hubs, those of a pair of any two nodes are not.
    rng = np.random.default_rng(0)
    ends = [(i, int(rng.integers(i) * rng.random())) for i in range(1, 1500) for _ in range(3)]
    graph = TextAttributedGraph.from_edges("hubs", [f"text {i}" for i in range(1500)], np.array(ends).T)

    task = Link(graph, level=level)
    has: dict[str, list[int]] = {"yes": [], "no": []}
    shows: dict[str, list[int]] = {"yes": [], "no": []}
    for i in range(1500):
        example = task.example(i)
        ends = [node for edge in example.meta["edges"] for node in edge]
        has[example.gold] += [task.view.visible.degree(node) for node in example.meta["asked"]]
        shows[example.gold] += [ends.count(node) for node in example.meta["asked"]]
    for counts in (has, shows):
        yes, no = (np.minimum(counts[answer], 10) for answer in ("yes", "no"))
        assert abs(yes.mean() - no.mean()) / np.hypot(yes.std() / len(yes) ** 0.5, no.std() / len(no) ** 0.5) < 3.5


def test_distance_two_negatives_share_a_neighbour_that_nobody_is_shown():
    task = Link(default_graph(), level="hard")
    for i in range(200):
        example = task.example(i)
        first, second = example.meta["asked"]
        common = set(task.view.visible.around(first)) & set(task.view.visible.around(second))
        assert common or example.gold == "yes"
        assert not common & set(example.meta["nodes"].values())


def test_relation_options_hold_every_true_relation_drawn_and_score_any(kinship):
    task = Link(kinship, knobs={"answer": "relation", "num_options": 2})
    seen = set()
    for i in range(100):
        example = task.example(i)
        head, tail = example.meta["asked"]
        named = [kinship.relation_names[relation] for relation in example.meta["options"]]
        true = {
            kinship.relation_names[relation]
            for (a, b), relation in zip(kinship.edge_index.T.tolist(), kinship.relations, strict=True)
            if (a, b) == (head, tail)
        }
        gold = {named["AB".index(letter)] for letter in accepted_answers(example)}
        assert gold == true & set(named) and gold
        assert example.chance == len(gold) / 2
        for letter in accepted_answers(example):
            assert task.score(f"<answer>{letter}</answer>", example).value == 1
        seen.add(len(gold))
    # Ada is both parent and teacher of Bea, but an option that is right besides the other would favour one of them.
    assert seen == {1}


def test_relations_are_asked_uniformly_in_training():
    ring = np.stack([np.arange(100), (np.arange(100) + 1) % 100])
    graph = TextAttributedGraph.from_edges(
        "ring",
        [f"t{i}" for i in range(100)],
        ring,
        directed=True,
        relations=(np.arange(100) < 10).astype(int),
        relation_names=["frequent", "rare"],
    )
    task = Link(graph, knobs={"answer": "relation", "num_options": 2})
    examples = [task.example(i) for i in range(300)]
    rare = sum(example.meta["options"]["AB".index(example.gold)] == 1 for example in examples)
    assert 120 < rare < 180


def test_neighbor_hides_edges_of_its_split_and_shows_no_candidate_as_a_node():
    graph = default_graph()
    for split in ("train", "val"):
        task = Neighbor(graph, split=split, level="hard")
        allowed = {frozenset(pair) for pair in graph.edge_index[:, task.view.asked[split]].T.tolist()}
        for i in range(100):
            meta = task.example(i).meta
            assert len(meta["hidden"]) == 2 and len(meta["candidates"]) == 8
            assert all(frozenset((meta["target"], node)) in allowed for node in meta["hidden"])
            for node in set(meta["candidates"]) - set(meta["hidden"]):
                assert not len(task.view.full.between(meta["target"], node))
            assert not set(meta["candidates"]) & set(meta["nodes"].values())


def reached(task, node, hops):
    found = {node}
    for _ in range(hops):
        found |= {int(far) for near in found for far in task.view.visible.around(near)}
    return found


def test_near_distractors_are_a_few_visible_hops_away():
    near = {}
    for num_near in (0, 3):
        task = Neighbor(default_graph(), knobs={"num_candidates": 4, "num_near": num_near})
        count = 0
        for i in range(100):
            meta = task.example(i).meta
            # Two from the target that they were drawn for, and the one that is asked is next to it.
            count += len((set(meta["candidates"]) - set(meta["hidden"])) & reached(task, meta["target"], 3))
        near[num_near] = count / 300
    # The rest have no counterpart of about the same degree near them.
    assert near[3] > 0.7 and near[0] < near[3] - 0.2


@pytest.mark.parametrize(
    ("hidden", "candidates", "value"),
    [(1, 4, 1 / 4), (1, 2, 1 / 2), (2, 4, 1 / 2), (2, 3, 2 / 3)],
)
def test_best_blind_jaccard_by_hand(hidden, candidates, value):
    # (2, 3): naming all three earns 2/3; naming two earns 1 in one case of three and 1/3 in two: 5/9.
    assert best_blind_jaccard(hidden, candidates) == pytest.approx(value)


def test_attribute_hides_nodes_of_its_split_and_offers_their_texts_once():
    graph = default_graph()
    for split in ("train", "val"):
        task = Attribute(graph, split=split, level="hard")
        for i in range(60):
            example = task.example(i)
            assert set(example.meta["masked"]) <= set(text_split(graph)[split].tolist())
            for node in example.meta["masked"]:
                assert example.text.count(graph.texts[node]) == 1
            assert example.text.count("(description hidden)") == 3


def test_attribute_generate_pays_what_a_constant_cannot_earn():
    task = Attribute(default_graph(), level="generate")
    short = Attribute(default_graph(), level="generate", knobs={"max_words": 4})
    assert {len(words(short.example(index).gold)) for index in range(20)} == {4}
    examples = [task.example(i) for i in range(300)]
    assert all(task.score(f"<answer>{e.gold}</answer>", e).value == 1 for e in examples)
    for constant in ("and of", "and", "of and in for history theory survey", default_graph().texts[0]):
        gain = np.array([task.score(f"<answer>{constant}</answer>", e).value - e.chance for e in examples])
        assert gain.mean() <= 3 * gain.std() / 300**0.5


def test_best_constant_by_hand():
    # "a b c" earns 4/5 against either text; "a b" only 1 and 1/2. Rescaled by 4/5, "a b" is worth 1 and 0.
    f1, score = best_constant(["a b", "a c"], 4)
    assert f1 == pytest.approx(4 / 5)
    assert score == pytest.approx(1 / 2)


def test_quotations_are_runs_of_eight_words_or_the_whole_text():
    text = "one two three four five six seven eight nine"
    assert is_quoted(text, ["see: Two three four, five six seven eight NINE!"])
    assert not is_quoted(text, ["one two three four five six seven and eight nine"])
    assert is_quoted("dog", ["a dog barks"]) and not is_quoted("dog", ["dogma"])
    assert not is_quoted("", ["anything"])


def test_a_quoted_text_is_redrawn():
    # Every neighbour of node 0 repeats its text; only the other nodes can be asked about.
    texts = [
        "the secret word is here",
        *[f"{i}: the secret word is here" for i in range(1, 4)],
        *map(str, range(4, 12)),
    ]
    edges = np.array([(0, i) for i in range(1, 4)] + [(i, i + 4) for i in range(1, 8)] + [(11, 4), (11, 5)]).T
    graph = TextAttributedGraph.from_edges("quotes", texts, edges)
    task = Attribute(graph, level="easy", knobs={"num_candidates": 2, "fanout": 5})
    assert all(task.example(i).meta["masked"] != [0] for i in range(100))


def test_what_a_graph_lacks_is_said():
    with pytest.raises(NotApplicable, match="has no edges"):
        Link(TextAttributedGraph.from_edges("lonely", ["a", "b"], np.zeros((2, 0), dtype=int)))
    small = citation_graph(40)
    with pytest.raises(NotApplicable, match="lower task"):
        Neighbor(small, split="val", knobs={"num_hidden": 8, "num_candidates": 16})
    empty = TextAttributedGraph.from_edges("mute", [""] * 30, np.stack([np.arange(29), np.arange(1, 30)]))
    with pytest.raises(NotApplicable, match="nodes with a text"):
        Attribute(empty)
    with pytest.raises(NotApplicable, match="too few neighbours with a text"):
        Neighbor(dataclasses.replace(empty, texts=["alone", *[""] * 29])).example(0)


def test_attribute_asks_the_same_questions_where_edges_are_rewired():
    plain, rewired = Attribute(default_graph()), Attribute(default_graph(), knobs={"corrupt": "edges"})
    for index in range(60):
        asked, again = plain.example(index).meta, rewired.example(index).meta
        assert [asked["masked"], asked["candidates"]] == [again["masked"], again["candidates"]]
    assert not rewired.redrawn


def pairs_of(texts: list[str]) -> TextAttributedGraph:
    """A circle of nodes with these texts."""
    nodes = np.arange(len(texts))
    return TextAttributedGraph.from_edges("circle", texts, np.stack([nodes, (nodes + 1) % len(texts)]))


def test_a_text_without_words_is_not_to_be_written():
    task = Attribute(pairs_of(["???", "one more text", "and another text"] * 30), level="generate")
    assert {task.example(index).gold for index in range(40)} == {"one more text", "and another text"}
    with pytest.raises(NotApplicable, match="one description is right for all nodes"):
        Attribute(pairs_of(["the same text"] * 60), level="generate")
    with pytest.raises(NotApplicable):
        Attribute(pairs_of(["???"] * 60), level="generate").tried()


def test_no_neighbour_no_question():
    with pytest.raises(UserError, match="num_hops=0 shows no neighbour"):
        Attribute(default_graph(), knobs={"num_hops": 0})


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_edges_are_left_to_show_where_several_relations_join_the_same_nodes(level):
    rng = np.random.default_rng(0)
    once = np.array([(a, int(b)) for a in range(300) for b in rng.integers(300, size=2) if a != b]).T
    ends, relations = np.concatenate([once, once], axis=1), np.repeat([0, 1], once.shape[1])
    names = ["first", "second"]
    graph = TextAttributedGraph.from_edges(
        "twice", [f"thing {n}" for n in range(300)], ends, directed=True, relations=relations, relation_names=names
    )
    task = Neighbor(graph, level=level)
    assert task._shows_edges
    assert all(len(example.meta["edges"]) > 0 for example in map(task.example, range(60)))


def echoing(count: int = 400, texts: int = 48) -> TextAttributedGraph:
    """Nodes of which many have the same text."""
    rng = np.random.default_rng(0)
    ends = rng.integers(count, size=(2, 4 * count))
    return TextAttributedGraph.from_edges("echo", [f"thing number {n % texts}" for n in range(count)], ends)


@pytest.mark.parametrize(("kind", "key"), [(Neighbor, "candidates"), (OddOneOut, "lists")])
def test_nothing_wrong_reads_like_a_true_neighbour(kind, key):
    graph = echoing()
    task = kind(graph, level="medium")
    for meta in (task.example(index).meta for index in range(40)):
        if kind is Neighbor:
            pairs = [(meta["target"], node) for node in meta[key] if node not in meta["hidden"]]
        else:
            pairs = [
                (target, meta["odd"]) for target, near in zip(meta["of"], meta[key], strict=True) if meta["odd"] in near
            ]
        for target, node in pairs:
            assert graph.texts[node] not in {graph.texts[near] for near in task.view.full.around(target)}


@pytest.mark.parametrize("kind", [Attribute, Order, Cloze])
def test_a_text_that_an_edge_repeats_is_not_asked_about(kind):
    graph = citation_graph(400)
    texts = [f"cites the paper {graph.texts[target]}" for target in graph.edge_index[1]]
    quoting = dataclasses.replace(graph, edge_texts=texts)
    task = kind(quoting)
    for example in map(task.example, range(20)):
        [hidden] = example.meta.get("masked") or [example.meta["target"]]
        shown = [line for line in example.text.splitlines() if "cites the paper" in line]
        assert not is_quoted(graph.texts[hidden], shown)


def test_a_text_with_tags_of_an_answer_is_not_to_be_written():
    task = Attribute(
        pairs_of(["no </think> here", "<answer>x</answer>", "one more text", "another one"] * 30), level="generate"
    )
    for example in map(task.example, range(30)):
        assert task.score(example.gold_reply, example).value == 1
