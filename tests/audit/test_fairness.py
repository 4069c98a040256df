"""The audit finds rewards that can be had without the task, and finds none where there are none."""

from dataclasses import replace
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest

from ssl4rl.audit.fairness import Cell, clustered_error, judge, measure
from ssl4rl.audit.offers import read_offers, shown_options
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.drafts import Draft, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.task import ContextKnobs, GraphTask
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.prompts import write_options


def cell(excess=0.0, error=0.01, p=0.5, clusters=500, **more):
    known = {"source": "s", "task": "t", "split": "val", "rule": "r", "examples": 500, "chance": 0.25}
    known |= {"need": False, "exempt": False}
    return Cell(score=0.25 + excess, excess=excess, error=error, p=p, clusters=clusters, **(known | more))


def test_a_finding_is_above_three_errors_and_two_points_after_holm():
    cells = [cell(0.1, 0.01, 1e-9), cell(0.019, 0.001, 1e-9), cell(0.025, 0.009, 0.003)]
    assert [each.verdict for each in judge(cells)] == ["finding", "passed", "passed"]
    alone = judge([cell(0.04, 0.013, 0.001)])
    assert alone[0].verdict == "finding"
    among = judge([cell(0.04, 0.013, 0.001), *[cell()] * 200])
    assert among[0].verdict == "passed"


def test_what_could_not_have_been_detected_is_not_passed():
    assert [each.verdict for each in judge([cell(error=0.02), cell(clusters=10)])] == ["not testable"] * 2


def test_clusters_widen_the_error():
    values = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    independent, _ = clustered_error(values, map(str, range(8)))
    clustered, count = clustered_error(values, "aaaabbbb")
    assert count == 2 and clustered > 2 * independent
    assert clustered_error(values, "aaaabcde")[1] == 3  # one large cluster is worth less than its examples


def test_options_are_read_from_the_prompt():
    prompt = "A: not these\nNodes:\n[1] A: nor this\nWhich?\nA: one\nB: two: three\nAnswer with one letter."
    assert shown_options(prompt, "ABC") == {"A": "one", "B": "two: three"}
    assert shown_options("Which?\n1: a\n2: b", "12") == {"1": "a", "2": "b"}
    assert shown_options("Is it?", ["yes", "no"]) == {}


def test_the_offers_of_every_graph_task_hold_the_gold():
    for kind in (Link, Neighbor):
        examples = [kind(default_graph()).example(index) for index in range(20)]
        for offer in read_offers(examples):
            assert offer.right <= set(offer.labels)
            order = sorted(offer.labels, key=lambda label, right=offer.right: label not in right)
            assert offer.score(order) == 1


class Planted(GraphTask[ContextKnobs]):
    """Asks nothing; its answer can be had by one shortcut."""

    name: ClassVar[str] = "planted"
    knobs_type = ContextKnobs
    levels: ClassVar = {"medium": {}}
    shortcut: ClassVar[str] = "none"
    reversed_in_val: ClassVar[bool] = False

    def draft(self, index, rng):
        slot = self.slot(index, 4)
        pool = np.argsort(self.view.full.degrees, kind="stable") if self.shortcut == "popular" else rng.permutation(400)
        if self.shortcut == "popular":
            right, wrong = int(rng.choice(pool[-60:])), rng.choice(pool[:-60], 3, replace=False).tolist()
        elif self.shortcut == "memorised":
            known = np.arange(40) if self.split == "train" or not self.reversed_in_val else np.arange(40, 400)
            others = np.setdiff1d(np.arange(400), known)
            right, wrong = int(rng.choice(known)), rng.choice(others, 3, replace=False).tolist()
        else:
            right, *wrong = pool[:4].tolist()
        candidates = inserted(right, wrong, slot)
        texts = [f"{self.source.texts[node]} {node}" for node in candidates]
        prompt = self.prompt("Which one?", write_options(texts), self.form("one letter"))
        items = (f"example:{index}",)
        return Draft.any_of(prompt, ["ABCD"[slot]], list("ABCD"), items, {"candidates": candidates, "asked": []})


@pytest.mark.parametrize(
    ("shortcut", "reverse", "split", "rule"),
    [
        ("popular", False, "val", "highest degree"),
        ("memorised", False, "train", "memorised option"),
        ("memorised", True, "val", "reverse of: memorised option"),
    ],
)
def test_a_planted_shortcut_is_found(shortcut, reverse, split, rule):
    task = type("P", (Planted,), {"shortcut": shortcut, "reversed_in_val": reverse})(default_graph())
    found = {(each.split, each.rule) for each in judge(measure(task, 300)) if each.verdict == "finding"}
    assert (split, rule) in found


def test_nothing_is_found_where_nothing_is_planted():
    assert [each for each in judge(measure(Planted(default_graph()), 600)) if each.verdict == "finding"] == []


def test_the_tasks_of_the_embedded_graph_have_no_finding():
    cells = []
    for kind in (Link, Neighbor):
        for level in ("easy", "medium"):
            try:
                cells += measure(kind(default_graph(), level=level), 600)
            except NotApplicable:
                continue
    assert [each for each in judge(cells) if each.verdict == "finding"] == []


def crowded_graph(nodes=60):
    """Nodes that are linked with anything from a fifth to nearly all of the others."""
    rng = np.random.default_rng(0)
    liking = rng.uniform(-2, 2, nodes)
    pairs = [(a, b) for a in range(nodes) for b in range(a)]
    ends = np.array([pair for pair in pairs if rng.random() < 1 / (1 + np.exp(1.5 - liking[list(pair)].sum()))]).T
    return TextAttributedGraph.from_edges("crowd", [f"person {name} of the crowd" for name in range(nodes)], ends)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (Link, "medium"),
        (Link, "easy"),
        (Neighbor, "easy"),
        pytest.param(Neighbor, "hard", marks=pytest.mark.slow),
        (Attribute, "easy"),
    ],
)
def test_in_a_crowded_graph_nothing_tells_the_answer(kind, level):
    task = kind(crowded_graph(), level=level)
    assert task.is_crowded and not Link(default_graph()).is_crowded
    # At hard, where most draws are refused, an example takes 0.1 s.
    cells = [cell for cell in judge(measure(task, 200 if level == "hard" else 400)) if not cell.need]
    assert not [cell for cell in cells if cell.verdict == "finding"]
    # Also where a few nodes make the errors large.
    assert all(
        cell.excess < max(0.09, 3 * cell.error) for cell in cells if "memorised" in cell.rule or "degree" in cell.rule
    )


def graph_of_hubs():
    """Each node is linked with three that are linked much already, so that hubs are linked with leaves."""
    edges = nx.barabasi_albert_graph(300, 3, seed=0).edges
    return TextAttributedGraph.from_edges("hubs", [f"person {name} of many" for name in range(300)], np.array(edges).T)


@pytest.mark.parametrize(
    ("graph", "level"), [(crowded_graph, "medium"), *((graph_of_hubs, level) for level in ("easy", "medium", "hard"))]
)
def test_every_node_is_in_linked_and_unlinked_pairs_as_often(graph, level):
    task = Link(graph(), level=level)
    nodes = task.source.num_nodes
    counts = {"yes": np.zeros(nodes), "no": np.zeros(nodes)}
    differences: dict[str, list[float]] = {"yes": [], "no": []}
    degrees = task.view.visible.degrees
    for index in range(3000):
        example = task.example(index)
        counts[example.gold][example.meta["asked"]] += 1
        one, other = (np.log(1 + degrees[node]) for node in example.meta["asked"])
        differences[example.gold].append(abs(one - other))
    expected = (counts["yes"] + counts["no"]) / 2
    assert np.abs(counts["yes"] - expected).max() < 4 * np.sqrt(expected.max() / 2)
    # Nor does it tell whether a hub is asked about together with a leaf.
    assert abs(np.mean(differences["yes"]) - np.mean(differences["no"])) < 0.1


def test_what_is_remembered_of_the_pairs_of_a_small_graph_is_no_property_of_them():
    # Each linked pair is asked about several times, and texts of many lengths name the nodes.
    graph = graph_of_hubs()
    texts = [" ".join(["word"] * (1 + 7 * node % 53)) + f" number {node}" for node in range(graph.num_nodes)]
    cells = judge(measure(Link(replace(graph, texts=texts)), 1500))
    [boosted] = [cell for cell in cells if cell.split == "train" and "gradient boosting" in cell.rule]
    assert boosted.excess < 0.05
    assert not [cell for cell in cells if cell.verdict == "finding"]


def graph_of_lengths():
    """Short texts are mostly linked with short ones, and long ones with long ones."""
    rng = np.random.default_rng(0)
    ends = rng.integers(400, size=(2, 6000))
    long = ends >= 200
    ends = ends[:, (long[0] == long[1]) | (rng.random(6000) < 0.1)]
    texts = [" ".join(["word"] * int(rng.integers(2, 6) + 12 * (node >= 200))) + f" {node}" for node in range(400)]
    return TextAttributedGraph.from_edges("lengths", texts, ends)


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_equally_long_texts_do_not_tell_that_two_nodes_are_linked(level):
    task = Link(graph_of_lengths(), level=level)
    near = {"yes": [], "no": []}
    for example in map(task.example, range(600)):
        one, other = (node >= 200 for node in example.meta["asked"])
        near[example.gold].append(one == other)
    assert abs(np.mean(near["yes"]) - np.mean(near["no"])) < 0.1
    assert not [cell for cell in judge(measure(task, 600)) if cell.verdict == "finding"]


def test_a_classifier_sees_that_equally_long_texts_are_linked():
    # Where nothing is done about it: so the test above could fail.
    cells = judge(measure(Link(graph_of_lengths(), knobs={"negatives": "random"}), 600))
    found = {cell.rule for cell in cells if cell.verdict == "finding"}
    assert "gradient boosting on surface features" in found
