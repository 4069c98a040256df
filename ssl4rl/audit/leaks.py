"""What the prompt of a graph task must not show, found by reading the prompt back rather than asking its author."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ssl4rl.answers import words
from ssl4rl.example import Example
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split
from ssl4rl.tasks import Task

NODE_LINE = re.compile(r"\[(\d+)\] (.*)")
EDGE_LINE = re.compile(r"\[(\d+)\] --.*?-*>? ?\[(\d+)\]")
SHORT_EDGES = re.compile(r"Edges: (.*)\.")
SHORT_EDGE = re.compile(r"(\d+)(?:->|-)(\d+)")
QUOTE = 8
"""Words of a masked text that count as a quotation of it."""


def find_leaks(task: Task[Any, Any], examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Each kind of leak, and the first example with it; nothing for tasks that do not show part of a graph."""
    if not isinstance(task.source, TextAttributedGraph) or not all(_shows_graph(example) for example in examples):
        return []
    leaks, first = _leaks_on(task.source), dict[str, str]()
    for example in examples:
        for leak in leaks.of(example):
            first.setdefault(leak, str(example.id))
    return list(first.items())


def _shows_graph(example: Example) -> bool:
    return "nodes" in example.meta and "edges" in example.meta and "\nEdges:" in example.text


def shown_edges(prompt: str) -> Iterator[tuple[int, int]]:
    """The edges that a prompt shows, in local numbers, read from its text."""
    after = prompt[prompt.index("\nEdges:") + 1 :]
    if short := SHORT_EDGES.match(after):
        for pair in short.group(1).split(", "):
            if edge := SHORT_EDGE.fullmatch(pair):
                yield int(edge[1]), int(edge[2])
    for line in after.splitlines()[1:]:
        if edge := EDGE_LINE.match(line):
            yield int(edge[1]), int(edge[2])


@lru_cache(maxsize=1)
def _leaks_on(graph: TextAttributedGraph) -> Leaks:
    # The edges of a large graph take longer to collect than a task's examples to read.
    return Leaks(graph)


class Leaks:
    """Finds what the prompts on one graph must not show."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self.graph = graph
        split = edge_split(graph)
        ends = graph.edge_index
        held_out = np.concatenate([split["val"], split["test"]])
        self.linked = {frozenset(pair) for pair in ends.T.tolist()}
        self.held_out = {frozenset(pair) for pair in ends[:, held_out].T.tolist()}

    def of(self, example: Example) -> list[str]:
        """What is wrong with the prompt, one line each."""
        meta, prompt = example.meta, example.text
        node_of = {int(number): node for number, node in meta["nodes"].items()}
        pairs = [frozenset(node_of[end] for end in edge) for edge in shown_edges(prompt)]
        problems = []
        if len(pairs) != len(meta["edges"]):
            problems.append("the prompt's edges cannot all be read back")
        if any(pair not in self.linked for pair in pairs):
            problems.append("shows an edge that does not exist")
        if any(pair in self.held_out for pair in pairs):
            problems.append("shows an edge of val or test")
        if "asked" in meta and frozenset(meta["asked"]) in pairs:
            problems.append("shows the asked edge")
        for node in meta.get("hidden", ()):
            if frozenset((meta["target"], node)) in pairs or node in node_of.values():
                problems.append("shows a hidden neighbour")
        return [*problems, *self._quotations(meta, prompt)]

    def _quotations(self, meta: Mapping[str, Any], prompt: str) -> list[str]:
        nodes = filter(None, map(NODE_LINE.fullmatch, prompt.splitlines()))
        shown = [f" {' '.join(words(line[2]))} " for line in nodes]
        problems = []
        for node in meta.get("masked", ()):
            quotation = f" {' '.join(words(self.graph.texts[node])[:QUOTE])} "
            if any(quotation in text for text in shown):
                problems.append("shows a masked text")
        return problems
