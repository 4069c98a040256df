"""Following chains of relations: what they lead to from some nodes, or what leads to these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssl4rl.graph.adjacency import Adjacency, Indices
from ssl4rl.graph.graph import TextAttributedGraph


def follow(
    graph: TextAttributedGraph, adjacency: Adjacency, nodes: Sequence[int], chain: Sequence[int], end: int
) -> frozenset[int]:
    """What any path over these relations leads to; the nodes that it starts from are at ``end`` of its edges, 0 or 1.

    Edges that have no direction are followed both ways.
    """
    for relation in chain:
        others, edges = steps(graph, adjacency, nodes, end)
        holds = np.zeros(len(edges), dtype=bool) if graph.relations is None else graph.relations[edges] == relation
        nodes = np.unique(others[holds]).tolist()
    return frozenset(nodes)


def steps(graph: TextAttributedGraph, adjacency: Adjacency, nodes: Sequence[int], end: int) -> tuple[Indices, Indices]:
    """The neighbours of nodes, and the edges that join them: those that have the nodes at ``end``, 0 or 1."""
    rows = [slice(*adjacency.indptr[node : node + 2].tolist()) for node in nodes]
    if not rows:
        return adjacency.neighbors[:0], adjacency.edges[:0]
    others = np.concatenate([adjacency.neighbors[row] for row in rows])
    edges = np.concatenate([adjacency.edges[row] for row in rows])
    if graph.directed:
        fits = graph.edge_index[1 - end, edges] == others
        others, edges = others[fits], edges[fits]
    return others, edges
