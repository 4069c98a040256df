"""Which nodes and edges are in train, val and test.

Splits that come with the data are used as they are. Otherwise they are seeded by the data, not by a run's seed: a
dataset has one test set. Link splits are over unordered pairs, so the reverse of a test edge is never in train.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ssl4rl.graph.adjacency import Adjacency, Indices, IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import seeded_rng

VAL_SHARE, TEST_SHARE = 0.05, 0.10
"""Shares of the pairs, as in PyG's ``RandomLinkSplit`` examples and in TAGLAS: 85/5/10."""

LABELLED_PER_CLASS, LABELLED_VAL = 20, 500
"""Planetoid's semi-supervised split (Yang et al. 2016, §5.1)."""


def pair_keys(graph: TextAttributedGraph, edges: Indices | None = None) -> IntArray:
    """One integer per edge that is equal for edges over the same unordered pair, [E] (or ``[len(edges)]``)."""
    ends = graph.edge_index if edges is None else graph.edge_index[:, edges]
    return np.asarray(ends.min(axis=0) * graph.num_nodes + ends.max(axis=0), dtype=np.int64)


def edge_split(graph: TextAttributedGraph) -> dict[str, IntArray]:
    """Edge indices of train, val and test: the data's own, else 85/5/10 over unordered pairs.

    Parallel edges (several relations between the same two nodes) are always in the same split.
    """
    if graph.edge_splits:
        return {split: graph.edge_splits[split] for split in ("train", "val", "test")}
    if graph.stored is not None and graph.stored.view is not None:
        return dict(graph.stored.view.asked)
    # Each edge once, by its smaller node, then the larger one: pairs are numbered in that order.
    full = full_adjacency(graph)
    ends = np.repeat(np.arange(graph.num_nodes, dtype=full.neighbors.dtype), full.degrees)
    once = ends < full.neighbors
    ends, others, by_pair = ends[once], full.neighbors[once], full.edges[once]
    pair_of_edge = np.zeros(graph.num_edges, dtype=np.int64)
    pair_of_edge[by_pair[1:]] = np.cumsum((ends[1:] != ends[:-1]) | (others[1:] != others[:-1]))
    num_pairs = int(pair_of_edge.max(initial=-1)) + 1
    order = seeded_rng("edge split", graph.fingerprint).permutation(num_pairs)
    num_val, num_test = round(num_pairs * VAL_SHARE), round(num_pairs * TEST_SHARE)
    side = np.zeros(num_pairs, dtype=np.int8)
    side[order[:num_val]] = 1
    side[order[num_val : num_val + num_test]] = 2
    return {split: np.flatnonzero(side[pair_of_edge] == code) for code, split in enumerate(("train", "val", "test"))}


def node_split(graph: TextAttributedGraph, reserved: Sequence[int] = ()) -> dict[str, IntArray]:
    """Node indices of train, val and test: the data's own, else seeded.

    This is the split of labels, which benchmarks ask about. A labelled graph gets 20 nodes per class for train (at most
    half of the class), 500 for val (at most a fifth of the rest) and the rest for test, as Planetoid does; a graph
    without labels gets 85/5/10. ``reserved`` nodes are in none of them.
    """
    if graph.node_splits:
        own = {split: graph.node_splits[split] for split in ("train", "val", "test")}
        return {split: part[~np.isin(part, reserved)] for split, part in own.items()} if len(reserved) else own
    rng = seeded_rng("node split", graph.fingerprint)
    order = rng.permutation(graph.num_nodes)
    order = order[~np.isin(order, reserved)] if len(reserved) else order
    if graph.labels is None:
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
        rest = order[~np.isin(order, train)]
        num_val = min(LABELLED_VAL, len(rest) // 5)
        parts = {"train": train, "val": rest[:num_val], "test": rest[num_val:]}
    return {split: np.sort(parts[split]) for split in ("train", "val", "test")}


@lru_cache(maxsize=4)
def text_split(graph: TextAttributedGraph) -> dict[str, IntArray]:
    """The split of the self-supervised tasks, whatever labels or splits the data has: 85/5/10 of the nodes with a text.

    Splits for labels give training a few nodes of each class; texts need no labels to be learnt from.
    """
    nodes = seeded_rng("text split", graph.fingerprint).permutation(np.flatnonzero(graph.has_text))
    num_val, num_test = round(len(nodes) * VAL_SHARE), round(len(nodes) * TEST_SHARE)
    parts = {"val": nodes[:num_val], "test": nodes[num_val : num_val + num_test], "train": nodes[num_val + num_test :]}
    return {split: np.sort(parts[split]) for split in ("train", "val", "test")}


@lru_cache(maxsize=1)
def full_adjacency(graph: TextAttributedGraph) -> Adjacency:
    """The adjacency over all edges."""
    return Adjacency.build(graph.num_nodes, graph.edge_index, np.arange(graph.num_edges))
