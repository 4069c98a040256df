"""Edges around each node, in compressed sparse row form: what sampling reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Indices = NDArray[np.integer[Any]]
"""Whole numbers in 32 bits where they fit, else in 64."""


def index_type(largest: int) -> type[np.integer[Any]]:
    """The smallest type that holds node or edge numbers up to ``largest``."""
    return np.int32 if largest <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True)
class Adjacency:
    """Edges around each node, in compressed sparse row form, both directions.

    The entries of node ``u`` are ``indptr[u]:indptr[u + 1]``, sorted by neighbour, then by edge. ``neighbors`` holds
    the node at the other end, ``edges`` the column of ``edge_index`` that the entry stands for. Shapes: ``indptr``
    [N + 1], ``neighbors`` and ``edges`` [2 E]. The arrays may be mapped from files, in which case only
    the parts in use are read.
    """

    indptr: IntArray
    neighbors: Indices
    edges: Indices
    on_visit: Callable[[int], None] | None = None
    """Called with the number of nodes that a subgraph reached, where the arrays are mapped and the memory that their
    pages take has to be bounded."""

    @classmethod
    def build(cls, num_nodes: int, edge_index: IntArray, edges: IntArray) -> Adjacency:
        """From the columns ``edges`` of ``edge_index`` [2, E]; one sort, about 30 bytes of memory per entry."""
        edges = np.sort(edges)
        kind = index_type(num_nodes)
        ends = edge_index[:, edges].astype(kind).T.reshape(-1)
        others = edge_index[::-1, edges].astype(kind).T.reshape(-1)
        indptr = np.zeros(num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(ends, minlength=num_nodes), out=indptr[1:])
        # Entries start out in the order of edges, and a stable sort keeps parallel edges in it.
        order = np.argsort(ends.astype(np.int64) * num_nodes + others, kind="stable")
        neighbors = others[order]
        order >>= 1
        return cls(indptr, neighbors, edges.astype(index_type(edge_index.shape[1]))[order])

    def only(self, shown: NDArray[np.bool_]) -> Adjacency:
        """The same without the edges for which ``shown`` [E] is false."""
        kept = shown[self.edges]
        before = np.zeros(len(kept) + 1, dtype=np.int64)
        np.cumsum(kept, out=before[1:])
        return Adjacency(before[self.indptr], self.neighbors[kept], self.edges[kept])

    def degree(self, node: int) -> int:
        """Number of entries around ``node`` (parallel edges count each)."""
        return int(self.indptr[node + 1] - self.indptr[node])

    @cached_property
    def degrees(self) -> IntArray:
        """Number of entries around every node, [N]."""
        return np.diff(self.indptr)

    def around(self, node: int) -> Indices:
        """The distinct neighbours of ``node``, sorted."""
        row = self.neighbors[self.indptr[node] : self.indptr[node + 1]]
        if len(row) < 2:
            return row
        first = np.empty(len(row), dtype=np.bool_)
        first[0] = True
        np.not_equal(row[1:], row[:-1], out=first[1:])
        return row[first]

    def between(self, node: int, other: int) -> Indices:
        """The edges that join the two nodes, in either direction (columns of ``edge_index``)."""
        start, stop = int(self.indptr[node]), int(self.indptr[node + 1])
        row = self.neighbors[start:stop]
        wanted = row.dtype.type(other)  # searching for another type would convert the whole row
        return self.edges[start + row.searchsorted(wanted, "left") : start + row.searchsorted(wanted, "right")]
