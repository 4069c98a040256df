"""What a prompt may show of a graph, and what each split may ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.arrays import Place, blocks, in_memory
from ssl4rl.graph.graph import Computed, TextAttributedGraph
from ssl4rl.graph.splits import edge_split, full_adjacency, pair_numbers, seeded_edge_split, text_split


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
    return build_view(graph, full_adjacency(graph))


def build_view(graph: TextAttributedGraph, full: Adjacency, place: Place = in_memory) -> EdgeView:
    """What prompts and tasks may see of a graph with edges; the arrays grow in ``place``."""
    split = edge_split(graph) if graph.edge_splits else seeded_edge_split(graph, full, place)
    train = split["train"]
    if graph.edge_splits:
        # Only splits that come with the data can have a pair in two of them.
        pair_of_edge, num_pairs = pair_numbers(full)
        held_out = np.zeros(num_pairs, dtype=bool)
        for name in ("val", "test"):
            held_out[pair_of_edge[split[name]]] = True
        train = train[~held_out[pair_of_edge[train]]]
    shown = np.zeros(graph.num_edges, dtype=bool)
    for part in blocks(len(train), train):
        shown[train[part]] = True
    return EdgeView(
        visible=full.only(shown, place, "visible"),
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
    found = graph.kept("inductive", lambda: _inductive(graph, view))
    if not len(found["train"]):
        raise NotApplicable(
            f"graph {graph.name}: task.inductive leaves no edge between two training nodes "
            f"(there are {int(found['allowed']):,}); set it to false, or bring a split with more of them"
        )
    arrays = found["indptr"], found["neighbors"], found["edges"]
    visible = Adjacency(*arrays, on_visit=view.visible.on_visit, stored_degrees=found["degrees"])
    return EdgeView(visible, view.full, {**view.asked, "train": found["train"]}, view.dropped_train)


def in_train_only(graph: TextAttributedGraph) -> NDArray[np.bool_]:
    """Which nodes are in neither val nor test, by their text or by their label, [N]."""
    allowed = np.ones(graph.num_nodes, dtype=bool)
    for parts in (text_split(graph), graph.node_splits):
        for split in ("val", "test"):
            allowed[parts.get(split, np.zeros(0, dtype=np.int64))] = False
    return allowed


def _inductive(graph: TextAttributedGraph, view: EdgeView) -> Computed:
    """The training edges, and the adjacency over visible ones, between nodes that are in neither val nor test."""
    allowed = in_train_only(graph)
    shown = allowed[graph.edge_index[0]] & allowed[graph.edge_index[1]]
    train = view.asked["train"]
    visible = view.visible.only(shown)
    return {
        "indptr": visible.indptr,
        "neighbors": visible.neighbors,
        "edges": visible.edges,
        "degrees": visible.degrees,
        "train": train[shown[train]],
        "allowed": np.array(allowed.sum()),
    }
