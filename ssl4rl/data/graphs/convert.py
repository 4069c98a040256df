"""To and from the two graph libraries that people already have their graphs in: PyTorch Geometric and NetworkX.

PyG's ``Data`` carries texts in ``raw_texts`` (as TAGLAS, OneForAll and TAPE do), classes in ``y`` with ``label_names``,
splits in ``train_mask``, ``val_mask`` and ``test_mask``, relations in ``edge_type`` with ``relation_names``. NetworkX
carries the node attributes ``text``, ``label`` and ``split`` and the edge attributes ``relation`` and ``text``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4rl.data.text import indexed
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import IntArray, TextAttributedGraph

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data

SPLITS = ("train", "val", "test")


def from_pyg(data: Data, name: str, *, directed: bool | None = None, **meaning: str) -> TextAttributedGraph:
    """A graph from PyG's ``Data``; ``meaning`` takes ``node_meaning`` and ``edge_meaning``.

    ``directed`` is by default true if there is an ``edge_type`` or if some edge lacks its reverse. Masks of several
    columns are read in their first.

    Raises:
        UserError: if texts or edges are missing, or if lengths do not fit together.
    """
    fields: dict[str, Any] = data.to_dict()
    for key in ("raw_texts", "edge_index"):
        if fields.get(key) is None:
            raise UserError(f"graph {name}: Data has no {key!r}; it has {', '.join(map(str, fields)) or 'nothing'}")
    texts = [str(text) for text in fields["raw_texts"]]
    if data.num_nodes != len(texts):
        raise UserError(f"graph {name}: {len(texts)} raw_texts for {data.num_nodes} nodes")
    edge_index = np.asarray(fields["edge_index"], dtype=np.int64)
    kinds = fields.get("edge_type")
    relations = None if kinds is None else np.asarray(kinds, dtype=np.int64).reshape(-1)
    if relations is not None and len(relations) != edge_index.shape[1]:
        raise UserError(f"graph {name}: {len(relations)} edge_type for {edge_index.shape[1]} edges")
    if directed is None:
        directed = relations is not None or not _symmetric(edge_index, len(texts))
    rest: dict[str, Any] = dict(meaning)
    if relations is not None:
        rest["relation_names"] = _names(fields.get("relation_names"), relations, "relation")
    if fields.get("y") is not None:
        rest["labels"] = np.asarray(fields["y"], dtype=np.int64).reshape(-1)
        if len(rest["labels"]) != len(texts):
            raise UserError(f"graph {name}: {len(rest['labels'])} labels in y for {len(texts)} nodes")
        rest["label_names"] = _names(fields.get("label_names"), rest["labels"], "class")
    if all(fields.get(f"{split}_mask") is not None for split in SPLITS):
        masks = {split: np.asarray(fields[f"{split}_mask"], dtype=bool) for split in SPLITS}
        rest["node_splits"] = {
            split: np.flatnonzero(mask.reshape(len(texts), -1)[:, 0]) for split, mask in masks.items()
        }
    if fields.get("edge_texts") is not None:
        rest["edge_texts"] = list(fields["edge_texts"])
    return TextAttributedGraph.from_edges(name, texts, edge_index, directed=directed, relations=relations, **rest)


def to_pyg(graph: TextAttributedGraph) -> Data:
    """PyG's ``Data``; each edge of an undirected graph appears in both directions, as PyG has it."""
    import torch
    from torch_geometric.data import Data

    def mirrored(values: IntArray) -> IntArray:
        return values if graph.directed else np.concatenate([values, values])

    edges = graph.edge_index if graph.directed else np.concatenate([graph.edge_index, graph.edge_index[::-1]], axis=1)
    data = Data(edge_index=torch.from_numpy(edges.copy()), num_nodes=graph.num_nodes)
    data.raw_texts = list(graph.texts)
    if graph.relations is not None:
        data.edge_type = torch.from_numpy(mirrored(graph.relations).copy())
        data.relation_names = list(graph.relation_names)
    if graph.edge_texts is not None:
        data.edge_texts = list(graph.edge_texts) * (1 if graph.directed else 2)
    if graph.labels is not None:
        data.y = torch.from_numpy(graph.labels.copy())
        data.label_names = list(graph.label_names)
    for split, nodes in graph.node_splits.items():
        mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
        mask[torch.from_numpy(nodes.copy())] = True
        data[f"{split}_mask"] = mask
    return data


def from_networkx(source: networkx.Graph[Any], name: str, **meaning: str) -> TextAttributedGraph:
    """A graph from any of NetworkX's four classes; a node is identified by its name written as text.

    Raises:
        UserError: if no node has a text, two nodes have the same name as text, or only some edges have a relation.
    """
    nodes = list(source.nodes)
    ids = [str(node) for node in nodes]
    if len(set(ids)) != len(ids):
        twice = next(node for node in ids if ids.count(node) > 1)
        raise UserError(f"graph {name}: two nodes are both called {twice!r} when written as text")
    attributes: list[Mapping[str, Any]] = [source.nodes[node] for node in nodes]
    if not any(found.get("text") for found in attributes):
        raise UserError(f"graph {name}: no node has an attribute 'text'")
    rest: dict[str, Any] = dict(meaning)
    if any(found.get("label") is not None for found in attributes):
        labels = ["" if found.get("label") is None else str(found["label"]) for found in attributes]
        rest["label_names"], rest["labels"] = indexed(labels)
    if any(found.get("split") is not None for found in attributes):
        rest["node_splits"] = {
            split: np.flatnonzero([found.get("split") == split for found in attributes]) for split in SPLITS
        }
    place = {node: number for number, node in enumerate(nodes)}
    edges = list(source.edges(data=True))
    relations = None
    if any(found.get("relation") is not None for *_, found in edges):
        for head, tail, found in edges:
            if found.get("relation") is None:
                raise UserError(f"graph {name}: the edge {head!r} to {tail!r} has no 'relation', but others have one")
        rest["relation_names"], relations = indexed([str(found["relation"]) for *_, found in edges])
    if any(found.get("text") for *_, found in edges):
        rest["edge_texts"] = [str(found.get("text") or "") for *_, found in edges]
    return TextAttributedGraph.from_edges(
        name,
        [str(found.get("text") or "") for found in attributes],
        np.array([(place[head], place[tail]) for head, tail, _ in edges], dtype=np.int64).reshape(-1, 2).T,
        directed=source.is_directed(),
        relations=relations,
        node_ids=ids,
        **rest,
    )


def to_networkx(graph: TextAttributedGraph) -> networkx.Graph[Any]:
    """A NetworkX graph: directed if the graph is, a multigraph if it has relations."""
    import networkx

    many = graph.relations is not None
    if graph.directed:
        result: networkx.Graph[Any] = networkx.MultiDiGraph() if many else networkx.DiGraph()
    else:
        result = networkx.MultiGraph() if many else networkx.Graph()
    result.graph.update(name=graph.name, node_meaning=graph.node_meaning, edge_meaning=graph.edge_meaning)
    split_of = {int(node): split for split, part in graph.node_splits.items() for node in part}
    for node, text in enumerate(graph.texts):
        found = {"text": text}
        if graph.labels is not None and graph.labels[node] >= 0:
            found["label"] = graph.label_names[graph.labels[node]]
        if node in split_of:
            found["split"] = split_of[node]
        result.add_node(graph.node_name(node), **found)
    for edge, (head, tail) in enumerate(graph.edge_index.T.tolist()):
        found = {}
        if graph.relations is not None:
            found["relation"] = graph.relation_names[graph.relations[edge]]
        if graph.edge_texts is not None:
            found["text"] = graph.edge_texts[edge]
        result.add_edge(graph.node_name(head), graph.node_name(tail), **found)
    return result


def _symmetric(edge_index: IntArray, num_nodes: int) -> bool:
    """Whether the reverse of every edge is there too."""
    forward = np.unique(edge_index[0] * num_nodes + edge_index[1])
    return np.array_equal(forward, np.unique(edge_index[1] * num_nodes + edge_index[0]))


def _names(given: Sequence[str] | None, codes: IntArray, kind: str) -> list[str]:
    """One name per code: as given, else numbered.

    Raises:
        UserError: if there are fewer names than codes.
    """
    count = int(codes.max(initial=-1)) + 1
    if given is None:
        return [f"{kind} {code}" for code in range(count)]
    if len(given) < count:
        raise UserError(f"{len(given)} names for {count} codes of {kind}")
    return [str(name) for name in given]
