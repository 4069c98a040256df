"""Which of the edges that are given a graph keeps: no self-loops, and of equal edges the first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import IntArray, node_ranges
from ssl4rl.graph.arrays import blocks
from ssl4rl.source import SPLITS


def ordered_ends(edge_index: IntArray, part: slice, directed: bool) -> IntArray:
    """A part of the columns; of an undirected graph, with the smaller node first."""
    return edge_index[:, part] if directed else np.sort(edge_index[:, part], axis=0)


def distinct_edges(
    edge_index: IntArray, num_nodes: int, directed: bool, relations: IntArray | None
) -> tuple[NDArray[np.bool_], int]:
    """Which edges are neither self-loops nor duplicates, [E], and how many self-loops there are.

    Of equal edges the first is kept. The edges are gone through once for each part of the nodes whose edges are
    compared at a time.
    """
    given = edge_index.shape[1]
    kept = np.zeros(given, dtype=bool)
    starts = np.zeros(num_nodes + 1, dtype=np.int64)
    loops = 0
    for part in blocks(given, edge_index):
        first, last = ordered_ends(edge_index, part, directed)
        starts[1:] += np.bincount(first, minlength=num_nodes)
        loops += int((first == last).sum())
    np.cumsum(starts, out=starts)
    for low, high in node_ranges(starts) if given else ():
        found = []
        for part in blocks(given, edge_index):
            ends = ordered_ends(edge_index, part, directed)
            inside = np.flatnonzero((ends[0] >= low) & (ends[0] < high))
            found.append((ends[:, inside], inside + part.start))
        ends, columns = np.concatenate([each for each, _ in found], axis=1), np.concatenate([each for _, each in found])
        of = None if relations is None else np.asarray(relations, dtype=np.int64)[columns]
        columns = columns[first_of_each(ends, of)]
        kept[columns] = True
    for part in blocks(given, edge_index):
        kept[part] &= edge_index[0, part] != edge_index[1, part]
    return kept, loops


def splits_of_kept(
    edge_index: IntArray,
    num_nodes: int,
    directed: bool,
    relations: IntArray | None,
    kept: NDArray[np.bool_],
    splits: Mapping[str, IntArray],
) -> tuple[dict[str, IntArray], int]:
    """The kept edges of each split, where what was given repeats some: an edge is in the last split that any of its
    copies is in, as what is tested must not be trained on. And how many edges had copies in two splits.
    """
    ends = ordered_ends(edge_index, slice(None), directed)
    keys = ends[0] * num_nodes + ends[1]
    if relations is not None:
        keys = keys * (int(relations.max(initial=0)) + 1) + relations
    columns = np.flatnonzero(kept)
    inside = {split: np.isin(keys[columns], keys[splits[split]]) for split in SPLITS if split in splits}
    taken = np.zeros(len(columns), dtype=bool)
    found = {}
    for split, members in reversed(inside.items()):
        found[split] = columns[members & ~taken]
        taken |= members
    return found, int((np.sum(list(inside.values()), axis=0) > 1).sum())


def first_of_each(edge_index: IntArray, relations: IntArray | None) -> IntArray:
    """The places of the first of equal columns, ascending; with ``relations`` these must be equal as well."""
    pairs = edge_index[0] * (edge_index.max(initial=0) + 1) + edge_index[1]
    order = np.argsort(pairs, kind="stable") if relations is None else np.lexsort((relations, pairs))
    new = np.ones(len(order), dtype=bool)
    in_order = pairs[order]
    new[1:] = in_order[1:] != in_order[:-1]
    if relations is not None:
        in_order = relations[order]
        new[1:] |= in_order[1:] != in_order[:-1]
    return np.sort(order[new])
