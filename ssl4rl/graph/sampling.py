"""Cutting a small subgraph out of a large one. The cost is that of the neighbourhood, never that of the graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ssl4rl.graph.graph import Adjacency

Pair = frozenset[int]


@dataclass(frozen=True)
class Subgraph:
    """Nodes in the order they were reached (the centres first), and the edges that join them.

    ``edges`` are columns of the graph's ``edge_index``; ``hops[i]`` is the distance at which ``nodes[i]`` was reached.
    """

    nodes: tuple[int, ...]
    hops: tuple[int, ...]
    edges: tuple[int, ...]


def ego_subgraph(
    adjacency: Adjacency,
    centers: Sequence[int],
    rng: np.random.Generator,
    *,
    num_hops: int,
    fanout: int,
    max_nodes: int,
    hidden_pairs: Collection[Pair] = (),
    hidden_nodes: Collection[int] = (),
) -> Subgraph:
    """The induced subgraph on ``centers`` and a sample of what surrounds them.

    Every node reached at one hop contributes up to ``fanout`` new neighbours at the next (GraphSAGE, Hamilton et al.
    2017, §3.1, without replacement), until ``max_nodes``. The pairs in ``hidden_pairs`` are treated as not joined,
    in both directions and for every relation; ``hidden_nodes`` are never reached.
    """
    nodes = dict.fromkeys(centers, 0)
    frontier = list(nodes)
    for hop in range(1, num_hops + 1):
        reached: list[int] = []
        # Centres take turns in a random order, so that none of them uses up the node cap by being first.
        for node in (frontier[i] for i in rng.permutation(len(frontier))):
            room = min(fanout, max_nodes - len(nodes))
            for other in _sample_neighbors(adjacency, node, room, rng, nodes, hidden_pairs, hidden_nodes):
                nodes[other] = hop
                reached.append(other)
        frontier = reached
    return Subgraph(tuple(nodes), tuple(nodes.values()), induced_edges(adjacency, list(nodes), hidden_pairs))


def _sample_neighbors(
    adjacency: Adjacency,
    node: int,
    count: int,
    rng: np.random.Generator,
    taken: Collection[int],
    hidden_pairs: Collection[Pair],
    hidden_nodes: Collection[int],
) -> list[int]:
    """Up to ``count`` distinct usable neighbours; reads no more of a hub's row than it has to."""
    start, degree = int(adjacency.indptr[node]), adjacency.degree(node)
    found: dict[int, None] = {}
    tries = min(degree, 4 * (count + len(taken)))
    for place in rng.choice(degree, tries, replace=False) if count > 0 and degree else ():
        other = int(adjacency.neighbors[start + place])
        if other not in taken and other not in hidden_nodes and frozenset((node, other)) not in hidden_pairs:
            found[other] = None
            if len(found) == count:
                break
    return list(found)


def induced_edges(adjacency: Adjacency, nodes: Sequence[int], hidden_pairs: Collection[Pair] = ()) -> tuple[int, ...]:
    """All edges with both ends in ``nodes``, sorted, but for those over a hidden pair.

    Looks each other node up by binary search in a sorted row: O(n² log degree), whatever the degrees.
    """
    ordered = np.sort(np.asarray(nodes, dtype=np.int64))
    edges: set[int] = set()
    for node in ordered:
        start, stop = int(adjacency.indptr[node]), int(adjacency.indptr[node + 1])
        row = adjacency.neighbors[start:stop]
        left, right = np.searchsorted(row, ordered, "left"), np.searchsorted(row, ordered, "right")
        for other in np.flatnonzero(right > left):
            if node < ordered[other] and frozenset((int(node), int(ordered[other]))) not in hidden_pairs:
                edges.update(adjacency.edges[start + left[other] : start + right[other]].tolist())
    return tuple(sorted(edges))
