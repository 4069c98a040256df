"""Groups of nodes that edges do not join at random: the kinds that the data names, or the two sides of a graph.

Where customers buy products, two customers are never linked. A wrong answer of the wrong group would give itself away
without its text being read, so unlinked pairs and distractors keep to the groups of the right answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.arrays import BLOCK, release
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import full_adjacency, pair_numbers

FEWEST_CYCLES = 10
"""A tree always has two sides, which says nothing. Of ``n`` cycles that came by chance, all are even once in 2**n."""


@lru_cache(maxsize=4)
def node_groups(graph: TextAttributedGraph) -> IntArray | None:
    """The group of each node, [N]: its kind where the data has kinds, else its side; None where there are no groups."""
    if graph.kinds is not None:
        return graph.kinds

    def compute() -> dict[str, IntArray]:
        found = sides(graph)
        return {} if found is None else {"sides": found}

    return graph.kept("sides", compute).get("sides")


def sides(graph: TextAttributedGraph) -> IntArray | None:
    """The side of each node, [N], if every edge joins two sides; each component has two sides of its own.

    None if some cycle is odd, or if no component has enough cycles to tell.
    """
    if not graph.num_edges:
        return None
    adjacency = full_adjacency(graph)
    side = np.full(graph.num_nodes, -1, dtype=np.int64)
    components = 0
    unseen = np.flatnonzero(adjacency.degrees > 0)
    for start in unseen.tolist():
        if side[start] < 0:
            if not _colour(adjacency, start, 2 * components, side):
                return None
            components += 1
    linked = len(unseen)
    pairs = pair_numbers(adjacency)[1]
    if pairs - linked + components < FEWEST_CYCLES:
        return None
    # Nodes of two components are never of one side, so that many small ones would leave nothing to choose from.
    component = side[unseen] // 2
    entries = np.bincount(component, weights=adjacency.degrees[unseen])
    if (entries / 2 - np.bincount(component) + 1).max() < FEWEST_CYCLES:
        return None
    side[side < 0] = 2 * components
    return side


def _colour(adjacency: Adjacency, start: int, code: int, side: IntArray) -> bool:
    """Gives the nodes around ``start`` the sides ``code`` and ``code + 1`` in turn; False at the first odd cycle."""
    side[start] = code
    frontier: NDArray[np.int64] = np.array([start])
    here = code
    while len(frontier):
        there = 2 * code + 1 - here
        found = []
        for nodes in _of_bounded_degree(adjacency, frontier):
            starts = adjacency.indptr[nodes]
            counts = adjacency.indptr[nodes + 1] - starts
            ends = np.cumsum(counts)
            places = np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)
            reached = np.unique(adjacency.neighbors[places]).astype(np.int64)
            if (side[reached] == here).any():
                return False
            found.append(reached[side[reached] < 0])
            side[found[-1]] = there
            release(adjacency.neighbors)
        frontier, here = np.concatenate(found), there
    return True


def _of_bounded_degree(adjacency: Adjacency, nodes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The nodes, as many at a time as have a bounded number of entries (one has as many as it has)."""
    ends = np.cumsum(adjacency.indptr[nodes + 1] - adjacency.indptr[nodes])
    cuts = np.flatnonzero(np.diff(ends // BLOCK)) + 1
    return iter(np.split(nodes, cuts))
