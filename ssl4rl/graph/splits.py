"""Which nodes and edges are in train, val and test.

Splits that come with the data are used as they are. Otherwise they are seeded by the data, not by a run's seed: a
dataset has one test set. Link splits are over unordered pairs, so the reverse of a test edge is never in train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from ssl4rl.graph.adjacency import Adjacency, Indices, IntArray, index_type
from ssl4rl.graph.arrays import Place, blocks, in_memory
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import seeded_rng
from ssl4rl.source import SPLITS

VAL_SHARE, TEST_SHARE = 0.05, 0.10
"""Shares of the pairs, as in PyG's ``RandomLinkSplit`` examples and in TAGLAS: 85/5/10."""

NONE = np.empty(0, dtype=np.int64)

LABELLED_PER_CLASS, LABELLED_VAL = 20, 500
"""Planetoid's semi-supervised split (Yang et al. 2016, §5.1)."""


def pair_keys(graph: TextAttributedGraph, edges: Indices | None = None) -> IntArray:
    """One integer per edge that is equal for edges over the same unordered pair, [E] (or ``[len(edges)]``)."""
    ends = graph.edge_index if edges is None else graph.edge_index[:, edges]
    return np.asarray(ends.min(axis=0) * graph.num_nodes + ends.max(axis=0), dtype=np.int64)


def edge_split(graph: TextAttributedGraph) -> dict[str, IntArray]:
    """Edge indices of train, val and test: the data's own, else 85/5/10 over unordered pairs.

    Parallel edges (several relations between the same two nodes) are in the same split, unless the data's own says
    otherwise.
    """
    if graph.edge_splits:
        return {split: graph.edge_splits.get(split, NONE) for split in SPLITS}
    if graph.stored is not None and graph.stored.view is not None:
        return dict(graph.stored.view.asked)
    return seeded_edge_split(graph, full_adjacency(graph))


def seeded_edge_split(graph: TextAttributedGraph, full: Adjacency, place: Place = in_memory) -> dict[str, IntArray]:
    """Edge indices of train, val and test, 85/5/10 over unordered pairs; they grow in ``place``, as ``asked_…``."""
    pair_of_edge, num_pairs = pair_numbers(full)
    order = np.arange(num_pairs, dtype=index_type(num_pairs))
    seeded_rng("edge split", graph.fingerprint).shuffle(order)
    num_val, num_test = round(num_pairs * VAL_SHARE), round(num_pairs * TEST_SHARE)
    side = np.zeros(num_pairs, dtype=np.int8)
    side[order[:num_val]] = 1
    side[order[num_val : num_val + num_test]] = 2
    del order
    parts = [place(f"asked_{split}", np.int64) for split in SPLITS]
    for part in blocks(graph.num_edges):
        side_of_edge = side[pair_of_edge[part]]
        for code, edges in enumerate(parts):
            edges.append(np.flatnonzero(side_of_edge == code) + part.start)
    return dict(zip(SPLITS, (edges.finish() for edges in parts), strict=True))


def pair_numbers(full: Adjacency) -> tuple[Indices, int]:
    """The number of each edge's unordered pair of nodes, [E], and how many pairs there are.

    Pairs are numbered by the smaller node, then by the larger one.
    """
    num_edges = len(full.edges) // 2
    numbers = np.zeros(num_edges, dtype=index_type(num_edges))
    num_pairs = 0
    for ends, others, edges in full.rows():
        # Each edge once, from its smaller node.
        once = ends < others
        ends, others, edges = ends[once], others[once], edges[once]
        new = np.ones(len(ends), dtype=bool)
        new[1:] = (ends[1:] != ends[:-1]) | (others[1:] != others[:-1])
        numbers[edges] = num_pairs - 1 + np.cumsum(new)
        num_pairs += int(new.sum())
    return numbers, num_pairs


def node_split(graph: TextAttributedGraph, reserved: Sequence[int] = ()) -> dict[str, IntArray]:
    """Node indices of train, val and test: the data's own, else seeded.

    This is the split of labels, which benchmarks ask about. A labelled graph gets 20 nodes per class for train (at most
    half of the class), 500 other labelled nodes for val (at most a fifth of them) and the rest for test, as Planetoid
    does; a graph without labels gets 85/5/10. ``reserved`` nodes are in none of them.
    """
    if graph.node_splits:
        own = {split: graph.node_splits.get(split, NONE) for split in SPLITS}
        return {split: part[~np.isin(part, reserved)] for split, part in own.items()} if len(reserved) else own
    if len(reserved):
        return _seeded_node_split(graph, reserved)
    return dict(graph.kept("node_split", lambda: _seeded_node_split(graph, reserved)))


def _seeded_node_split(graph: TextAttributedGraph, reserved: Sequence[int]) -> dict[str, IntArray]:
    rng = seeded_rng("node split", graph.fingerprint)
    order = rng.permutation(graph.num_nodes)
    order = order[~np.isin(order, reserved)] if len(reserved) else order
    if graph.labels is None or not graph.label_names:
        num_val, num_test = round(graph.num_nodes * VAL_SHARE), round(graph.num_nodes * TEST_SHARE)
        parts = {
            "val": order[:num_val],
            "test": order[num_val : num_val + num_test],
            "train": order[num_val + num_test :],
        }
    else:
        labels = graph.labels[order]
        classes = [order[labels == label] for label in range(len(graph.label_names))]
        # Of a small class, half: something has to be left to test on.
        train = np.concatenate([nodes[: min(LABELLED_PER_CLASS, (len(nodes) + 1) // 2)] for nodes in classes])
        # Drawn anew: what is left of the first order begins with nodes of large classes and without a label.
        rest = rng.permutation(np.setdiff1d(order[labels >= 0], train))
        num_val = min(LABELLED_VAL, len(rest) // 5)
        parts = {"train": train, "val": rest[:num_val], "test": rest[num_val:]}
    return {split: np.sort(parts[split]) for split in SPLITS}


@lru_cache(maxsize=4)
def text_split(graph: TextAttributedGraph) -> Mapping[str, IntArray]:
    """The split of the self-supervised tasks, whatever labels or splits the data has: 85/5/10 of the nodes with a text.

    Splits for labels give training a few nodes of each class; texts need no labels to be learnt from.
    """

    def compute() -> dict[str, IntArray]:
        nodes = seeded_rng("text split", graph.fingerprint).permutation(np.flatnonzero(graph.has_text))
        num_val, num_test = round(len(nodes) * VAL_SHARE), round(len(nodes) * TEST_SHARE)
        val, test, train = np.split(nodes, [num_val, num_val + num_test])
        return {"train": np.sort(train), "val": np.sort(val), "test": np.sort(test)}

    return graph.kept("text_split", compute)


@lru_cache(maxsize=1)
def full_adjacency(graph: TextAttributedGraph) -> Adjacency:
    """The adjacency over all edges."""
    if graph.stored is not None and graph.stored.view is not None:
        return graph.stored.view.full
    return Adjacency.build(graph.num_nodes, graph.edge_index)
