"""Edges around each node, in compressed sparse row form: what sampling reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.arrays import Place, blocks, in_memory, release

IntArray = NDArray[np.int64]
Indices = NDArray[np.integer[Any]]
"""Whole numbers in 32 bits where they fit, else in 64."""


ENTRIES_AT_ONCE = 1 << 24
"""Entries that are sorted at a time, at about 50 bytes of memory each. All those of one node are, if it has more."""


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
    stored_degrees: IntArray | None = None
    """The degrees, where they are mapped as well."""

    @classmethod
    def build(
        cls,
        num_nodes: int,
        edge_index: IntArray,
        edges: Indices | None = None,
        place: Place = in_memory,
        name: str = "",
    ) -> Adjacency:
        """From the columns ``edges`` of ``edge_index`` [2, E], or all; the arrays grow in ``place``, called ``name_…``.

        The edges are gone through once for each part of the nodes whose entries are sorted at a time.
        """
        edges = None if edges is None else np.sort(edges)
        number = edge_index.shape[1] if edges is None else len(edges)
        node, edge = index_type(num_nodes), index_type(edge_index.shape[1])

        def ends(part: slice) -> tuple[IntArray, Indices]:
            columns = np.arange(part.start, part.stop) if edges is None else edges[part]
            return edge_index[:, part if edges is None else columns], columns

        indptr = np.zeros(num_nodes + 1, dtype=np.int64)
        for part in blocks(number, edge_index):
            indptr[1:] += np.bincount(ends(part)[0].reshape(-1), minlength=num_nodes)
        np.cumsum(indptr, out=indptr)
        neighbors, columns = place(f"{name}_neighbors", node), place(f"{name}_edges", edge)
        for first, last in node_ranges(indptr) if number else ():
            found = []
            for part in blocks(number, edge_index):
                pair, which = ends(part)
                # Entries are kept in the order of edges, so that parallel edges stay in it.
                inside = np.sort(np.concatenate([2 * _within(pair[i], first, last) + i for i in (0, 1)]))
                place_of, end = inside >> 1, inside & 1
                entries = pair[end, place_of] - first, pair[1 - end, place_of], which[place_of]
                found.append([each.astype(kind) for each, kind in zip(entries, (node, node, edge), strict=True)])
            at, others, of = (np.concatenate(each) for each in zip(*found, strict=True))
            order = np.argsort(at.astype(np.int64) * num_nodes + others, kind="stable")
            neighbors.append(others[order])
            columns.append(of[order])
        starts = place(f"{name}_indptr", np.int64)
        starts.append(indptr)
        return cls(starts.finish(), neighbors.finish(), columns.finish())

    def only(self, shown: NDArray[np.bool_], place: Place = in_memory, name: str = "") -> Adjacency:
        """The same without the edges for which ``shown`` [E] is false."""
        neighbors = place(f"{name}_neighbors", self.neighbors.dtype)
        edges = place(f"{name}_edges", self.edges.dtype)
        indptr = np.zeros_like(self.indptr)
        total = 0
        for part in blocks(len(self.edges), self.edges, self.neighbors):
            kept = shown[self.edges[part]]
            before = np.zeros(len(kept) + 1, dtype=np.int64)
            np.cumsum(kept, out=before[1:])
            first = np.searchsorted(self.indptr, part.start, "left")
            last = np.searchsorted(self.indptr, part.stop, "right")
            indptr[first:last] = total + before[self.indptr[first:last] - part.start]
            total += int(before[-1])
            neighbors.append(self.neighbors[part][kept])
            edges.append(self.edges[part][kept])
        starts = place(f"{name}_indptr", np.int64)
        starts.append(indptr)
        return Adjacency(starts.finish(), neighbors.finish(), edges.finish())

    def rows(self) -> Iterator[tuple[IntArray, Indices, Indices]]:
        """All entries, those of some nodes at a time: the node, the neighbour and the edge of each."""
        for first, last in node_ranges(self.indptr):
            part = slice(int(self.indptr[first]), int(self.indptr[last]))
            ends = np.repeat(np.arange(first, last), np.diff(self.indptr[first : last + 1]))
            yield ends, self.neighbors[part], self.edges[part]
            release(self.neighbors, self.edges)

    def degree(self, node: int) -> int:
        """Number of entries around ``node`` (parallel edges count each)."""
        return int(self.indptr[node + 1] - self.indptr[node])

    @cached_property
    def degrees(self) -> IntArray:
        """Number of entries around every node, [N]."""
        return np.diff(self.indptr) if self.stored_degrees is None else self.stored_degrees

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


def node_ranges(indptr: IntArray) -> Iterator[tuple[int, int]]:
    """The nodes in ranges, first and behind the last, of as many entries as are sorted at a time, or of one node."""
    first, last_node = 0, len(indptr) - 1
    while first < last_node:
        last = int(np.searchsorted(indptr, indptr[first] + ENTRIES_AT_ONCE, "right")) - 1
        last = min(max(last, first + 1), last_node)
        yield first, last
        first = last


def _within(nodes: IntArray, first: int, last: int) -> IntArray:
    """The places of the nodes from ``first`` to before ``last``."""
    return np.flatnonzero((nodes >= first) & (nodes < last))
