"""Restatements say the same, and ablations take away what they name, on the same questions."""

import re
from collections import Counter

import pytest

import ssl4rl
from ssl4rl.data.graphs.convert import from_networkx
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.text import EMPTY

NODE, EDGE = re.compile(r"(?m)^\[(\d+)\] (.*)$"), re.compile(r"(\d+)-(\d+)")


def parts_of(prompt):
    """Texts by number, edges as pairs of numbers, and what follows them."""
    nodes, _, rest = prompt.partition("\nEdges: ")
    edges, _, question = rest.partition(".\n")
    return dict(NODE.findall(nodes)), EDGE.findall(edges), question


def meaning(example):
    """What is said of the graph, whatever the numbers and the order: texts, edges between texts, and what is asked."""
    texts, edges, question = parts_of(example.text)
    linked = Counter(frozenset((texts[a], texts[b])) for a, b in edges)
    asked = frozenset(texts[number] for number in re.findall(r"\[(\d+)\]", question))
    options = re.findall(r"(?m)^[A-Z]: (.*)$", question)
    gold = example.meta.get("choices", {}).get(example.gold, example.gold)
    return Counter(texts.values()), linked, asked, frozenset(options), gold


def asked(name, **knobs):
    benchmark = ssl4rl.benchmark(name, **knobs)
    return [benchmark.example(index) for index in range(40)]


@pytest.mark.parametrize("name", ["node", "link"])
@pytest.mark.parametrize("form", ["numbers", "lines", "edges", "ends", "options"])
def test_another_form_says_the_same(name, form):
    if (name, form) == ("link", "options"):
        with pytest.raises(NotApplicable, match="no options"):
            asked(name, restated=form)
        return
    usual, restated = asked(name), asked(name, restated=form)
    assert [one.meta["item"] for one in usual] == [one.meta["item"] for one in restated]
    for one, other in zip(usual, restated, strict=True):
        assert meaning(one) == meaning(other) and one.id != other.id
    changed = sum(one.text != other.text for one, other in zip(usual, restated, strict=True))
    assert changed >= 35  # a single edge has no other order
    # And the form that was asked for is the only thing that changes.
    first, second = parts_of(usual[0].text), parts_of(restated[0].text)
    same = {part for part, (a, b) in enumerate(zip(first, second, strict=True)) if list(a) == list(b)}
    assert {"numbers": set(), "lines": {1, 2}, "edges": {0, 2}, "options": {0, 1}}.get(form, same) <= same


def test_options_move_all_and_the_swapped_ends_are_those_of_the_question():
    for one, other in zip(asked("node"), asked("node", restated="options"), strict=True):
        before, after = one.meta["choices"], other.meta["choices"]
        assert set(before.values()) == set(after.values()) and not any(before[key] == after[key] for key in before)
    for one, other in zip(asked("link"), asked("link", restated="ends"), strict=True):
        ends = [re.findall(r"\[(\d+)\]", parts_of(each.text)[2]) for each in (one, other)]
        assert ends[0] == ends[1][::-1]


def test_edges_with_a_direction_keep_it(directed):
    with pytest.raises(NotApplicable, match="have a direction"):
        ssl4rl.benchmark("node", directed, restated="ends")
    usual, swapped = (ssl4rl.benchmark("link", directed, restated=form).example(0).text for form in (None, "ends"))
    assert usual != swapped and usual.split("\nNot every")[0] == swapped.split("\nNot every")[0]


def test_reversed_edges_are_the_same_the_other_way_round(directed):
    usual, back = (ssl4rl.benchmark("link", directed, corrupt=what) for what in (None, "directions"))
    for index in range(10):
        one, other = (each.example(index) for each in (usual, back))
        assert sorted(one.meta["edges"]) == sorted([b, a] for a, b in other.meta["edges"])
        assert one.meta["nodes"] == other.meta["nodes"] and one.gold == other.gold
    with pytest.raises(NotApplicable, match="no direction"):
        ssl4rl.benchmark("link", corrupt="directions")


@pytest.mark.parametrize(
    ("corrupt", "blank"), [("text", {True, False}), ("asked_text", {True}), ("other_text", {False})]
)
def test_whose_texts_are_left_out(corrupt, blank):
    for one, other in zip(asked("node"), asked("node", corrupt=corrupt), strict=True):
        before, after = parts_of(one.text), parts_of(other.text)
        assert before[1:] == after[1:] and one.meta["nodes"] == other.meta["nodes"]
        for number, text in after[0].items():
            is_asked = one.meta["nodes"][number] == one.meta["node"]
            assert text == (EMPTY if is_asked in blank else before[0][number])


@pytest.fixture
def directed():
    """A graph whose edges have a direction."""
    import networkx as nx

    graph = nx.gnm_random_graph(60, 240, seed=1, directed=True)
    for node, data in graph.nodes(data=True):
        data.update(
            text=f"node number {node} is about subject {node % 7} and has some more words", label=f"c{node % 3}"
        )
    return from_networkx(graph, "directed")
