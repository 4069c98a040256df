"""A graph says the same in every format, and the audit reads each of them back."""

from collections import Counter
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ssl4rl
from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.leaks import find_leaks
from ssl4rl.audit.registered import every_task
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.formats import Form, GraphFormat
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.read_graph import graph_format, mentions, read_node, shown_edges, shown_texts
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.text import write_subgraph
from ssl4rl.registry import TASKS

FORMATS = get_args(GraphFormat)
WORDS = st.sampled_from(["Ada", "loom, wool", 'a "quoted" word', "[9]", "x --> [2]", "{}", "zwölf", "\\n", "<b>"])
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@st.composite
def graphs(draw):
    """Small graphs of any kind: directed or not, with relations, edge texts, parallel edges and loops or without."""
    nodes = draw(st.integers(1, 6))
    ends = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=10))
    return TextAttributedGraph.from_edges(
        "g",
        draw(st.lists(TEXTS, min_size=nodes, max_size=nodes)),
        np.array(ends, dtype=np.int64).reshape(-1, 2).T,
        directed=draw(st.booleans()),
        relations=np.array([place % 2 for place in range(len(ends))]) if draw(st.booleans()) else None,
        relation_names=draw(
            st.sampled_from([["parent of", "met--at"], ["cites [3] of", "[2]"], ["a --> b", "of [1]: x"]])
        ),
        edge_texts=draw(st.lists(TEXTS, min_size=len(ends), max_size=len(ends))) if draw(st.booleans()) else None,
    )


def written_in(graph, graph_format, **options):
    every = Subgraph(tuple(range(graph.num_nodes)), (0,) * graph.num_nodes, tuple(range(graph.num_edges)))
    form = Form(np.random.default_rng(0), graph_format)
    return write_subgraph(graph, every, form, text_budget=4000, **options)


@settings(deadline=None, max_examples=400)
@given(graphs(), st.sampled_from(FORMATS), st.data())
def test_nodes_and_edges_can_be_read_back_from_every_format(graph, name, data):
    written = written_in(graph, name, keep=data.draw(st.sets(st.integers(0, graph.num_nodes - 1), max_size=2)))
    prompt = f"Part of a graph.\n{written.text}\nWhich?"
    assert graph_format(prompt) == name
    nodes = dict(filter(None, map(read_node, prompt.splitlines())))
    assert nodes == {number: written.texts[node] for node, number in written.number.items()}
    pairs = [(written.number[a], written.number[b]) for a, b in graph.edge_index[:, list(written.edges)].T.tolist()]
    kind = tuple if graph.directed else frozenset
    assert Counter(map(kind, shown_edges(prompt))) == Counter(map(kind, pairs))
    places = sorted(mentions(prompt))
    assert all(one.end <= other.start for one, other in pairwise(places))
    assert shown_texts(prompt) == {str(number): text for number, text in nodes.items()}
    assert {kind(place.edge) for place in places if place.edge} == set(map(kind, pairs))
    for relation in () if graph.relations is None else graph.relations.tolist():
        assert graph.relation_names[relation] in prompt


def test_an_outline_grows_from_the_asked_node_and_lists_the_edges_that_close_a_circle(house):
    written = written_in(house, "outline", keep=[4])
    roof = written.number[4]
    lines = written.text.splitlines()
    assert lines[:2] == [f"Outline from [{roof}]:", f"[{roof}] roof"]
    assert [len(line) - len(line.lstrip()) for line in lines[2:6]] in ([2, 4, 2, 4], [2, 2, 4, 4], [2, 4, 4, 2])
    assert lines[-1].startswith("Other edges: ") and lines[-1].count("-") == 2


def test_an_adjacency_list_shows_an_edge_at_both_its_ends(kinship):
    written = written_in(kinship, "adjacency_list")
    first, second = written.number[0], written.number[1]
    assert f"  --parent of--> [{second}]" in written.text and f"  <--parent of-- [{first}]" in written.text


@pytest.mark.parametrize(
    "task", [name for name in TASKS.names() if "graph_format" in TASKS.get(name).knobs_type.model_fields]
)
@pytest.mark.parametrize("name", FORMATS[1:])
def test_the_format_changes_nothing_but_the_writing(task, name):
    try:
        usual, other = ssl4rl.task(task), ssl4rl.task(task, graph_format=name)
    except NotApplicable:
        pytest.skip("the embedded graph does not carry it")
    for index in range(20):
        one, same = usual.example(index), other.example(index)
        assert (one.gold, one.meta["nodes"], one.meta["edges"]) == (same.gold, same.meta["nodes"], same.meta["edges"])
        assert one.text != same.text and one.id != same.id and graph_format(same.text) == name
        question = one.text.partition("\nEdges:")[2].split("\n", 1)[1]
        assert same.text.endswith(question)


@pytest.mark.parametrize("name", FORMATS[1:])
def test_the_contract_holds_and_nothing_leaks_in_every_format(name):
    graph = default_graph()
    for task in every_task("graph", graph, "train"):
        if task.level == "medium":
            other = type(task)(graph, level="medium", knobs={"graph_format": name})
            assert check_contract(other, 60).passed


@pytest.mark.parametrize("name", FORMATS)
def test_a_leak_is_found_in_every_format(name):
    task = ssl4rl.task("link", graph_format=name, num_hops=2, fanout=10)
    example = next(each for each in map(task.example, range(100)) if each.gold == "yes" and each.meta["edges"])
    assert find_leaks(task, [example]) == []
    numbers = {node: int(number) for number, node in example.meta["nodes"].items()}
    graph = task.source
    edge = next(i for i, pair in enumerate(graph.edge_index.T.tolist()) if set(pair) == set(example.meta["asked"]))
    nodes = tuple(numbers)
    pairs = [set(pair) for pair in example.meta["edges"]]
    shown = tuple(i for i, pair in enumerate(graph.edge_index.T.tolist()) if set(pair) in pairs)
    leaking = Subgraph(nodes, (0,) * len(nodes), (*shown, edge))
    written = write_subgraph(graph, leaking, Form(np.random.default_rng(0), name), text_budget=4000)
    meta = task.meta(leaking, written, asked=example.meta["asked"])
    planted = example.__class__(**{**vars(example), "parts": (f"Graph.\n{written.text}\nIs there?",), "meta": meta})
    assert find_leaks(task, [planted]) == [("shows the asked edge", str(example.id))]


@pytest.mark.parametrize("name", FORMATS)
def test_restatements_say_the_same_in_every_format(name):
    usual = ssl4rl.benchmark("link", graph_format=name)
    for form in ("numbers", "lines", "edges", "ends"):
        other = ssl4rl.benchmark("link", graph_format=name, restated=form)
        examples = [(usual.example(index), other.example(index)) for index in range(20)]
        assert all(sorted(one.meta["nodes"].values()) == sorted(same.meta["nodes"].values()) for one, same in examples)
        for one, same in examples:
            edges = [
                Counter(frozenset(each.meta["nodes"][str(end)] for end in pair) for pair in shown_edges(each.text))
                for each in (one, same)
            ]
            assert edges[0] == edges[1]
    if name in ("adjacency_list", "outline"):
        with pytest.raises(NotApplicable, match="as its nodes stand"):
            ssl4rl.benchmark("node", graph_format=name, restated="ends")
