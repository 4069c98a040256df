"""What there is to say about a graph in numbers: for ``data info`` and ``data validate``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl4rl.graph.graph import TextAttributedGraph


def summary(graph: TextAttributedGraph) -> dict[str, Any]:
    """Counts and split sizes, ready for JSON.

    ``num_edges`` is the number that the source counts (for an undirected dataset often both directions);
    ``num_pairs`` that of distinct unordered pairs of nodes after self-loops and duplicates were dropped.
    """
    from ssl4rl.graph.splits import edge_split, node_split, pair_keys

    degrees = np.bincount(graph.edge_index.reshape(-1), minlength=graph.num_nodes)
    lengths = np.array([len(text.split()) for text in graph.texts] or [0])
    return {
        "name": graph.name,
        "num_nodes": graph.num_nodes,
        "num_edges": graph.counts.get("edges", graph.num_edges),
        "num_pairs": len(np.unique(pair_keys(graph))),
        "num_classes": len(graph.label_names),
        "num_relations": len(graph.relation_names),
        "directed": graph.directed,
        "node_meaning": graph.node_meaning,
        "edge_meaning": graph.edge_meaning,
        "self_loops": graph.counts.get("self_loops", 0),
        "duplicates": graph.counts.get("duplicates", 0),
        "isolated_nodes": int((degrees == 0).sum()),
        "empty_texts": int((lengths == 0).sum()),
        "median_words": int(np.median(lengths)),
        "unlabelled_nodes": 0 if graph.labels is None else int((graph.labels < 0).sum()),
        "node_splits": {split: len(part) for split, part in node_split(graph).items()},
        "node_splits_from": "data" if graph.node_splits else "seed",
        "edge_splits": {split: len(part) for split, part in edge_split(graph).items()},
        "edge_splits_from": "data" if graph.edge_splits else "seed",
        "counts": dict(graph.counts),
        "fingerprint": graph.fingerprint,
    }
