"""Rewiring a graph: every node keeps its degree, and nothing else is left of who is linked with whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.cleaning import first_of_each, ordered_ends
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import seeded_rng

ROUNDS = 20
"""Times that edges which came out as self-loops, twice, or as they were, are drawn again."""


def rewired(graph: TextAttributedGraph, visible: Adjacency) -> tuple[TextAttributedGraph, Adjacency]:
    """A copy in which the visible edges have other targets, and the adjacency over these edges.

    Targets are exchanged between edges (the configuration model), so every node is as often a source and as often a
    target as before, and an edge keeps its relation and its text. Edges that remain self-loops or doubles are left out.
    """
    columns = np.unique(visible.edges).astype(np.int64)
    sources, before = graph.edge_index[:, columns]
    rng = seeded_rng("rewired", graph.fingerprint)
    targets = before[rng.permutation(len(before))]
    relations = None if graph.relations is None else graph.relations[columns]

    def doubles() -> NDArray[np.bool_]:
        ends = ordered_ends(np.stack([sources, targets]), slice(None), graph.directed)
        repeated = np.ones(len(columns), dtype=bool)
        repeated[first_of_each(ends, relations)] = False
        return repeated

    for _ in range(ROUNDS):
        wrong = np.flatnonzero((targets == sources) | (targets == before) | doubles())
        if not len(wrong):
            break
        # Exchanged with any others, as these few may all have the same target.
        others = rng.integers(len(targets), size=len(wrong))
        for place, other in zip(wrong.tolist(), others.tolist(), strict=True):
            targets[place], targets[other] = targets[other], targets[place]
    ends = graph.edge_index.copy()
    ends[1, columns] = targets
    kept = columns[(targets != sources) & ~doubles()]
    return replace(graph, edge_index=ends), Adjacency.build(graph.num_nodes, ends, kept)
