"""Path queries, checked against a plain walk over the triples."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from ssl4rl.audit.ambiguous import find_ambiguous
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.path import PathQuery
from tests.audit.every_case import relation_graph, sparse_graph


def follow(graph, start, chain):
    ends = defaultdict(set)
    for (head, tail), relation in zip(graph.edge_index.T.tolist(), graph.relations.tolist(), strict=True):
        ends[head, relation].add(tail)
    nodes = {start}
    for relation in chain:
        nodes = set().union(*(ends[node, relation] for node in nodes))
    return nodes


@pytest.mark.parametrize("level", ["medium", "hard", "hidden"])
def test_only_the_right_entity_is_reached_over_the_chain(level):
    graph = sparse_graph()
    task = PathQuery(graph, level=level)
    for index in range(40):
        meta = task.example(index).meta
        reached = follow(graph, meta["node"], meta["chain"])
        assert reached & set(meta["candidates"]) == {meta["path"][-1]}


def test_the_path_is_shown_up_to_its_last_edge_and_no_candidate_is():
    graph = sparse_graph()
    for level in ("medium", "hard"):
        task = PathQuery(graph, level=level, knobs={"text_budget": 60})
        for index in range(40):
            meta = task.example(index).meta
            pairs = list(zip(meta["path"], meta["path"][1:], strict=False))
            assert all(list(pair) in meta["edges"] for pair in pairs[:-1])
            assert not set(meta["candidates"]) & set(meta["nodes"].values())
    hidden = PathQuery(graph, level="hidden").example(0).meta
    assert not set(hidden["path"][1:]) & set(hidden["nodes"].values())


def test_the_last_edge_is_of_the_split():
    graph = sparse_graph()
    task = PathQuery(graph, split="val")
    asked = {tuple(pair) for pair in graph.edge_index[:, task.view.asked["val"]].T.tolist()}
    assert all(tuple(task.example(index).meta["path"][-2:]) in asked for index in range(20))


def test_what_it_needs_is_said(house):
    with pytest.raises(NotApplicable, match="has no relations"):
        PathQuery(house)
    with pytest.raises(NotApplicable, match="edges between so many of its nodes"):
        PathQuery(relation_graph())
    with pytest.raises(NotApplicable, match=r"no relation with 26 val edges"):
        PathQuery(sparse_graph(), split="val", knobs={"num_candidates": 26})


def test_no_entity_is_called_like_another_ones_letter():
    graph = sparse_graph()
    task = PathQuery(replace(graph, texts=[f"thing {node}" if node % 2 else "ABCD"[node % 4] for node in range(400)]))
    for index in range(30):
        options = [line.split(": ", 1) for line in task.example(index).text.splitlines() if line[1:3] == ": "]
        assert all(len(text) > 1 or text == letter for letter, text in options)


def test_where_wrong_ends_come_from_is_no_setting():
    with pytest.raises(UserError, match=r"task\.num_near=3"):
        PathQuery(sparse_graph(), knobs={"num_near": 3})


def test_no_wrong_end_reads_like_another_right_one():
    rng = np.random.default_rng(0)
    edges = rng.integers(600, size=(2, 2500))
    edges = edges[:, edges[0] != edges[1]]
    relations = rng.integers(3, size=edges.shape[1])
    texts = [f"name {node % 35}" for node in range(600)]
    graph = TextAttributedGraph.from_edges(
        "names", texts, edges, directed=True, relations=relations, relation_names=["one", "two", "three"]
    )
    task = PathQuery(graph)
    examples = [task.example(index) for index in range(40)]
    assert task.redrawn["a wrong end reads like another that is right"] and find_ambiguous(task, examples) == []
