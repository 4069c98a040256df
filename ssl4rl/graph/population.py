"""Stand-ins for a right answer: nodes that are right answers elsewhere, of the same group and about the same degree.

Were wrong answers any nodes, a right one could be told by its popularity: most ends of edges are hubs, most nodes are
not. Nodes are parted into cells by group and degree. A stand-in is drawn from the right answer's cell, each node as
often as it is right itself; so, of a set of options, each is as likely to be the right one as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import Indices, IntArray, index_type

FEWEST_IN_CELL = 24
"""Nodes of neighbouring degrees share a cell until it has so many."""
SAME_DEGREE = 1.5
"""Degrees that differ by no more than this factor share a cell anyway: too few nodes near a target have exactly one."""


@dataclass(frozen=True)
class Population:
    """The nodes that may be right, by cell; :meth:`build` makes it."""

    degrees: IntArray
    """How many edges each node has, [N]."""
    nodes: Indices
    """The nodes, by group and degree, [M]."""
    place: Indices
    """Where each node is among them, [N]; −1 for one that is never right."""
    weights: NDArray[Any]
    """How often each is right, [M], up to a factor."""
    sums: NDArray[np.float64]
    """The weights of those before each, and of all, [M + 1]."""
    cell_starts: IntArray
    """Where the cells start, and M."""
    group_starts: IntArray
    """Where the groups start, and M."""
    most: NDArray[np.float64]
    """The most that a node of each cell is right for each of its edges."""

    @classmethod
    def build(cls, weights: NDArray[Any], degrees: IntArray, groups: IntArray | None) -> Population:
        """``weights`` [N] says how often each node is right (0: never), and ``groups`` [N] what kind of node it is."""
        return cls(degrees, **cls.parts(weights, degrees, groups))

    @staticmethod
    def parts(weights: NDArray[Any], degrees: IntArray, groups: IntArray | None) -> dict[str, NDArray[Any]]:
        """All but the degrees."""
        nodes = np.flatnonzero(weights > 0)
        group = np.zeros(len(nodes), dtype=np.int64) if groups is None else groups[nodes]
        order = np.lexsort((degrees[nodes], group))
        nodes, group = nodes[order], group[order]
        own, degree = weights[nodes], degrees[nodes]
        place = np.full(len(weights), -1, dtype=index_type(len(weights)))
        place[nodes] = np.arange(len(nodes))
        starts = _cell_starts(group, degree)
        # A walk comes upon a node in proportion to its degree, which is set off against how often the node is right.
        rates = own / np.maximum(degree, 1)
        return {
            "nodes": nodes.astype(place.dtype),
            "place": place,
            "weights": own,
            "sums": np.concatenate([[0.0], np.cumsum(own, dtype=np.float64)]),
            "cell_starts": np.append(starts, len(nodes)),
            "group_starts": np.append(np.flatnonzero(np.diff(group, prepend=group[:1] - 1)), len(nodes)),
            "most": np.maximum.reduceat(rates, starts) if len(starts) else np.zeros(0),
        }

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, node: int) -> bool:
        return bool(self.place[node] >= 0)

    def cell(self, node: int) -> int:
        """The number of the node's cell; −1 for a node that is never right."""
        place = int(self.place[node])
        return -1 if place < 0 else int(np.searchsorted(self.cell_starts, place, "right")) - 1

    def draw(self, like: int, rng: np.random.Generator, *, same_degree: bool = True) -> int:
        """A node of the cell of ``like``, or of any degree in its group; any node if ``like`` is in no cell."""
        place = int(self.place[like])
        starts = self.cell_starts if same_degree else self.group_starts
        left, right = 0, len(self.nodes)
        if place >= 0:
            cell = int(np.searchsorted(starts, place, "right"))
            left, right = int(starts[cell - 1]), int(starts[cell])
        point = self.sums[left] + rng.random() * (self.sums[right] - self.sums[left])
        found = int(np.searchsorted(self.sums, point, "right")) - 1
        return int(self.nodes[min(max(found, left), right - 1)])

    def accepts(self, node: int, like: int, rng: np.random.Generator) -> bool:
        """Whether a node that a walk came upon may stand in for ``like``: in its cell, and as often as it is right."""
        cell = self.cell(node)
        if cell < 0 or cell != self.cell(like):
            return False
        place = self.place[node]
        return bool(rng.random() * self.most[cell] < self.weights[place] / max(self.degrees[node], 1))


def _cell_starts(group: IntArray, degrees: IntArray) -> IntArray:
    """Where the cells of nodes that are sorted by group and degree start."""
    if not len(group):
        return np.zeros(0, dtype=np.int64)
    new_group = np.diff(group, prepend=group[0] - 1) != 0
    runs = np.flatnonzero(new_group | (np.diff(degrees, prepend=-1) != 0)).tolist()
    starts: list[int] = []
    for run in runs:
        if new_group[run]:
            # The last cell of a group may be small: it is joined to the one before.
            if len(starts) > 1 and run - starts[-1] < FEWEST_IN_CELL and not new_group[starts[-1]]:
                starts.pop()
            starts.append(run)
        elif run - starts[-1] >= FEWEST_IN_CELL and degrees[run] > SAME_DEGREE * degrees[starts[-1]]:
            starts.append(run)
    if len(starts) > 1 and len(group) - starts[-1] < FEWEST_IN_CELL and not new_group[starts[-1]]:
        starts.pop()
    return np.array(starts, dtype=np.int64)
