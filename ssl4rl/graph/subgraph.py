"""Cutting a small subgraph out of a large one, at the cost of the neighbourhood, never of the graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ssl4rl.graph.adjacency import Adjacency

Pair = frozenset[int]


@dataclass(frozen=True)
class Subgraph:
    """Nodes in the order they were reached (the centres first), and the edges that join them.

    ``edges`` are columns of the graph's ``edge_index``; ``hops[i]`` is the distance at which ``nodes[i]`` was reached.
    Of the edges, ``needed`` are shown however many there are.
    """

    nodes: tuple[int, ...]
    hops: tuple[int, ...]
    edges: tuple[int, ...]
    needed: tuple[int, ...] = ()


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
    2017, §3.1, without replacement), until ``max_nodes``, of which each centre gets its part. The pairs in
    ``hidden_pairs`` are treated as not joined, in both directions and for every relation; ``hidden_nodes`` are never
    reached.
    """
    nodes = dict.fromkeys(centers, 0)
    hidden = set(hidden_nodes)
    frontier = list(nodes)
    for hop in range(1, num_hops + 1):
        reached: list[int] = []
        # Nodes take turns in a random order, and no centre uses up the node cap before another's turn.
        for turn, node in enumerate(frontier[i] for i in rng.permutation(len(frontier))):
            room = max_nodes - len(nodes)
            if hop == 1:
                room = ceil(room / (len(frontier) - turn))
            room = min(fanout, room)
            barred = hidden.union(*(pair for pair in hidden_pairs if node in pair))
            for other in _sample_neighbors(adjacency, node, room, rng, nodes, barred):
                nodes[other] = hop
                reached.append(other)
        frontier = reached
    edges = induced_edges(adjacency, list(nodes), hidden_pairs)
    if adjacency.on_visit is not None:
        adjacency.on_visit(len(nodes))
    return Subgraph(tuple(nodes), tuple(nodes.values()), edges)


def _sample_neighbors(
    adjacency: Adjacency, node: int, count: int, rng: np.random.Generator, taken: Collection[int], barred: set[int]
) -> list[int]:
    """Up to ``count`` distinct neighbours not taken or barred; reads no more of a hub's row than it needs."""
    start, degree = int(adjacency.indptr[node]), adjacency.degree(node)
    tries = min(degree, 4 * (count + len(taken)))
    if count <= 0 or not degree:
        return []
    found: dict[int, None] = {}
    for other in adjacency.neighbors[start + rng.choice(degree, tries, replace=False)].tolist():
        if other not in taken and other not in barred:
            found[other] = None
            if len(found) == count:
                break
    return list(found)


def induced_edges(adjacency: Adjacency, nodes: Sequence[int], hidden_pairs: Collection[Pair] = ()) -> tuple[int, ...]:
    """All edges with both ends in ``nodes``, sorted, but for those over a hidden pair.

    Every edge is in the rows of both its ends, so the short rows are read whole, all at once, and the hubs' rows are
    only searched for each other: O(n²) at most, whatever the degrees.
    """
    ordered = np.sort(np.asarray(nodes, dtype=np.int64))
    starts = adjacency.indptr[ordered]
    degrees = adjacency.indptr[ordered + 1] - starts
    short = degrees <= 4 * len(ordered) + 64
    counts = np.where(short, degrees, 0)
    # Places of all entries of the short rows, one row after another.
    ends = np.cumsum(counts)
    entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    row = np.repeat(np.arange(len(ordered)), counts)
    others = adjacency.neighbors[entries]
    place = np.minimum(np.searchsorted(ordered, others), len(ordered) - 1)
    # An edge between two short rows occurs in both; it is taken from the row of its smaller end.
    taken = (ordered[place] == others) & ((place > row) | ~short[place])
    for pair in hidden_pairs:
        low, high = min(pair), max(pair)
        taken &= ~((ordered[row] == low) & (others == high) | (ordered[row] == high) & (others == low))
    edges: list[int] = adjacency.edges[entries[taken]].tolist()
    hubs = ordered[~short].tolist()
    for number, hub in enumerate(hubs):
        for other in hubs[number + 1 :]:
            if frozenset((hub, other)) not in hidden_pairs:
                edges += adjacency.between(hub, other).tolist()
    return tuple(sorted(edges))
