"""Weights of directed edges under which nothing about a node says which way its edges point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import IntArray

ROUNDS, STEP = 400, 0.4
"""Rounds of balancing, and how much of an imbalance each takes away."""
PARTS = 2
"""Bins of degrees in a factor of two; edges between the same bins are also told apart by which end has more edges."""

MOST_BINS = 128
"""More than the bins of any number of edges, in either direction."""

Array = NDArray[np.float64]


def balanced(ends: IntArray, degrees: IntArray) -> tuple[IntArray, Array, float]:
    """Edges with weights under which every node is as often a source as a target, and the end of more edges as well.

    ``ends`` [2, E]. Only edges on cycles can have a weight: along any order of the nodes, whatever comes first is a
    source. The weights are the ones of greatest entropy: of an edge from u to v, exp(f(u) - f(v) + g(class)), which is
    how a matrix is balanced by a diagonal one (Osborne 1960; Schneider and Zenios 1990). Also returned: the columns
    that they are of, and the share of the weight that is still unbalanced.
    """
    columns = np.arange(ends.shape[1])
    before = -1
    while len(columns) != before:
        before = len(columns)
        columns = columns[_on_cycles(ends[:, columns], len(degrees))]
        own, mirrored = _classes(degrees[ends[:, columns]])
        columns = columns[np.isin(own, mirrored)]
    if not len(columns):
        return columns, np.zeros(0), 1.0
    (source, target), (own, mirrored) = ends[:, columns], _classes(degrees[ends[:, columns]])
    names, first, place = np.unique(own, return_index=True, return_inverse=True)
    mirror = np.searchsorted(names, mirrored[first])
    of_node, of_class = np.zeros(len(degrees)), np.zeros(len(names))
    for _ in range(ROUNDS):
        weights = np.exp(of_node[source] - of_node[target] + of_class[place])
        weights /= weights.sum()
        out, into = (np.bincount(end, weights, len(degrees)) for end in (source, target))
        used = out > 0
        of_node[used] += STEP / 2 * np.log(into[used] / out[used])
        in_class = np.bincount(place, weights)
        of_class += STEP / 2 * np.log(in_class[mirror] / in_class)
    return columns, weights, float(np.abs(out - into).sum() / 2)


def _on_cycles(ends: IntArray, num_nodes: int) -> NDArray[np.bool_]:
    """Which edges lie on a cycle: those within a strongly connected component."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    matrix = coo_matrix((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(num_nodes, num_nodes))
    _, component = connected_components(matrix, directed=True, connection="strong")
    return np.asarray(component[ends[0]] == component[ends[1]])


def _classes(numbers: IntArray, parts: int = PARTS) -> tuple[IntArray, IntArray]:
    """One number for those of the two ends of each edge, and the one that its reverse would have."""
    first, second = (np.sign(numbers) * parts * np.log2(1 + np.abs(numbers))).astype(np.int64) + MOST_BINS
    more = np.sign(numbers[0] - numbers[1])
    width = 2 * MOST_BINS
    return (first * width + second) * 3 + more + 1, (second * width + first) * 3 - more + 1


def evened(into: IntArray, out: IntArray) -> tuple[IntArray, Array]:
    """Edges with weights under which nothing that can be counted at their ends is more often at a source.

    Neither how many edges an end has, nor how many more lead ``into`` it than ``out`` of it, both [2, E]. Returns their
    columns as well.
    """
    of_all, of_lean = _classes(into + out), _classes(into - out, 1)
    own, mirrored = (one * (12 * MOST_BINS**2) + other for one, other in zip(of_all, of_lean, strict=True))
    columns = np.flatnonzero(np.isin(own, mirrored))
    names, place, counts = np.unique(own[columns], return_inverse=True, return_counts=True)
    other = counts[np.searchsorted(names, mirrored[columns])]
    weights = other / (counts[place] + other)
    return columns, weights / max(weights.sum(), 1e-9)
