"""What a prompt may show of a graph, and what each split may ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split, full_adjacency, pair_keys, text_split


@dataclass(frozen=True)
class EdgeView:
    """What a prompt may show, and what a task may ask, on one graph.

    ``visible`` is the adjacency over training edges whose pair occurs in neither val nor test (their reverses and
    inverse relations are gone too); ``full`` is over all edges, and is used only to make sure that a "non-edge" is
    one. ``asked`` are the edges that each split may ask about; ``dropped_train`` counts training edges left out
    because val or test has their pair.
    """

    visible: Adjacency
    full: Adjacency
    asked: dict[str, IntArray]
    dropped_train: int


@lru_cache(maxsize=8)
def edge_view(graph: TextAttributedGraph) -> EdgeView:
    """The adjacencies of the split, built once per graph, or read from the store.

    Raises:
        NotApplicable: if the graph has no edges.
    """
    if not graph.num_edges:
        raise NotApplicable(f"graph {graph.name} has no edges, and every graph task needs some")
    if graph.stored is not None and graph.stored.view is not None:
        return graph.stored.view
    split, full = edge_split(graph), full_adjacency(graph)
    train = split["train"]
    if graph.edge_splits:
        # Only splits that come with the data can have a pair in two of them.
        held_out = pair_keys(graph, np.concatenate([split["val"], split["test"]]))
        train = train[~np.isin(pair_keys(graph, train), held_out)]
    shown = np.zeros(graph.num_edges, dtype=bool)
    shown[train] = True
    return EdgeView(
        visible=full.only(shown),
        full=full,
        asked={"train": train, "val": split["val"], "test": split["test"]},
        dropped_train=len(split["train"]) - len(train),
    )


@lru_cache(maxsize=2)
def inductive_view(graph: TextAttributedGraph) -> EdgeView:
    """The view of a training prompt that shows no val or test node: only edges between two others are left.

    Val and test nodes are those of the tasks' own split, and those of the data's own where it brings one.

    Raises:
        NotApplicable: if no edge is left.
    """
    view = edge_view(graph)
    allowed = np.ones(graph.num_nodes, dtype=bool)
    for parts in (text_split(graph), graph.node_splits):
        for split in ("val", "test"):
            allowed[parts.get(split, np.zeros(0, dtype=np.int64))] = False
    shown = allowed[graph.edge_index[0]] & allowed[graph.edge_index[1]]
    train = view.asked["train"]
    train = train[shown[train]]
    if not len(train):
        raise NotApplicable(
            f"graph {graph.name}: task.inductive leaves no edge between two training nodes "
            f"(there are {int(allowed.sum()):,}); set it to false, or bring a split with more of them"
        )
    return EdgeView(view.visible.only(shown), view.full, {**view.asked, "train": train}, view.dropped_train)
