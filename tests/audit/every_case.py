"""Every registered task and benchmark at every level, each on a source at hand that has what it needs."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.registry import BENCHMARKS, SOURCE_KINDS, TASKS
from ssl4rl.tasks import Task


def relation_graph() -> TextAttributedGraph:
    """A small knowledge graph that never changes: 90 things, 12 relations, 540 edges in a fixed pattern."""
    num_nodes, num_relations = 90, 12
    triples = [
        (node, (node * 7 + 11 * step + 5) % num_nodes, (node * 5 + step) % num_relations)
        for node in range(num_nodes)
        for step in range(6)
    ]
    head, tail, relation = np.array([triple for triple in triples if triple[0] != triple[1]]).T
    return TextAttributedGraph.from_edges(
        "relations",
        [f"thing {node} of group {node % 9}, seen with {node * 13 % 31}" for node in range(num_nodes)],
        np.stack([head, tail]),
        directed=True,
        relations=relation,
        relation_names=[f"relation {number}" for number in range(num_relations)],
    )


def sparse_graph() -> TextAttributedGraph:
    """A knowledge graph that never changes, with few edges for its size: 400 things, 5 relations, 1,600 edges."""
    num_nodes = 400
    triples = [
        (node, (node * (3 + 2 * step) + 29 * step + 7) % num_nodes, step if step < 3 else 3 + node % 2)
        for node in range(num_nodes)
        for step in range(4)
    ]
    head, tail, relation = np.array([triple for triple in triples if triple[0] != triple[1]]).T
    return TextAttributedGraph.from_edges(
        "sparse",
        [f"thing {node} of group {node % 9}, seen with {node * 13 % 31}" for node in range(num_nodes)],
        np.stack([head, tail]),
        directed=True,
        relations=relation,
        relation_names=["part of", "made by", "used for", "sold in", "kept in"],
    )


def circle_graph() -> TextAttributedGraph:
    """A directed graph that never changes: 2,500 things on a circle, each of which points at eight further on."""
    nodes = np.arange(2500)
    ends = np.concatenate([np.stack([nodes, (nodes + step) % 2500]) for step in (1, 2, 5, 11, 23, 47, 95, 191)], axis=1)
    texts = [f"thing {node} of hour {node * 24 // 2500}, seen with {node * 13 % 31}" for node in nodes]
    return TextAttributedGraph.from_edges("circle", texts, ends, directed=True)


FURTHER = {"graph": [relation_graph, sparse_graph, circle_graph]}
"""Sources for what a kind's embedded one does not have."""


@cache
def sources_of(source_kind: str) -> list[Any]:
    """The sources at hand of a kind, the embedded one first."""
    return [SOURCE_KINDS.get(source_kind).load(), *(make() for make in FURTHER.get(source_kind, ()))]


@dataclass(frozen=True)
class Case:
    """A task or benchmark at one of its levels."""

    kind: type[Task[Any, Any]]
    level: str
    split: str

    def __str__(self) -> str:
        return f"{'benchmark' if self.split == 'test' else 'task'} {self.kind.name}@{self.level}"

    def build(self) -> Task[Any, Any]:
        """The task on the first source that has what it needs."""
        for source in sources_of(self.kind.source_kind.name):
            try:
                return self.kind(source, level=self.level, split=self.split)
            except NotApplicable:
                continue
        raise AssertionError(f"no source at hand has what {self} needs: add one to FURTHER in {__file__}")


CASES = [
    Case(kind, level, split)
    for registry, split in ((TASKS, "train"), (BENCHMARKS, "test"))
    for kind in map(registry.get, registry.names())
    for level in kind.levels
]
