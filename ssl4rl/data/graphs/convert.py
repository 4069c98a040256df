"""Converts graphs from and to PyTorch Geometric and NetworkX.

PyG's ``Data`` holds texts in ``raw_texts`` (as in TAGLAS, OneForAll and TAPE), classes in ``y`` and ``label_names``,
splits in ``train_mask``, ``val_mask`` and ``test_mask``, kinds of nodes in ``node_type`` and ``node_type_names``, and
relations in ``edge_type`` and ``relation_names``. A NetworkX graph holds ``text``, ``label``, ``kind`` and ``split`` as
node attributes, and ``relation`` and ``text`` as edge attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4rl.data.text import class_name, indexed
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import SPLITS

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


def from_pyg(data: Data, name: str, *, directed: bool | None = None, **meaning: str) -> TextAttributedGraph:
    """A graph from PyG's ``Data``; ``meaning`` takes ``node_meaning`` and ``edge_meaning``.

    By default the graph is ``directed`` if there is an ``edge_type``, or if some edge lacks its reverse. Of a mask with
    several columns, the first is used.

    Raises:
        UserError: if texts or edges are missing, or if lengths do not match.
    """
    fields: dict[str, Any] = data.to_dict()
    for key in ("raw_texts", "edge_index"):
        if fields.get(key) is None:
            raise UserError(f"graph {name}: Data has no {key!r}; it has {', '.join(map(str, fields)) or 'no fields'}")
    texts = [str(text) for text in fields["raw_texts"]]
    if data.num_nodes != len(texts):
        raise UserError(f"graph {name}: {len(texts)} raw_texts for {data.num_nodes} nodes")
    edge_index = np.asarray(fields["edge_index"], dtype=np.int64)
    edge_type = fields.get("edge_type")
    relations = None if edge_type is None else np.asarray(edge_type, dtype=np.int64).reshape(-1)
    if relations is not None and len(relations) != edge_index.shape[1]:
        raise UserError(f"graph {name}: {len(relations)} edge_type for {edge_index.shape[1]} edges")
    if directed is None:
        directed = relations is not None or not _symmetric(edge_index, len(texts))
    rest: dict[str, Any] = dict(meaning)
    if relations is not None:
        rest["relation_names"] = _names(fields.get("relation_names"), relations, "relation")
    if fields.get("y") is not None:
        # Whatever stands for "no class", −1 or a gap, is −1.
        labels = np.nan_to_num(np.asarray(fields["y"], dtype=np.float64).reshape(-1), nan=-1)
        rest["labels"] = np.maximum(labels, -1).astype(np.int64)
        if len(rest["labels"]) != len(texts):
            raise UserError(f"graph {name}: {len(rest['labels'])} labels in y for {len(texts)} nodes")
        rest["label_names"] = _names(fields.get("label_names"), rest["labels"], "class")
    if fields.get("node_type") is not None:
        rest["kinds"] = np.asarray(fields["node_type"], dtype=np.int64).reshape(-1)
        if len(rest["kinds"]) != len(texts):
            raise UserError(f"graph {name}: {len(rest['kinds'])} node_type for {len(texts)} nodes")
        rest["kind_names"] = _names(fields.get("node_type_names"), rest["kinds"], "kind")
    if all(fields.get(f"{split}_mask") is not None for split in SPLITS):
        rest["node_splits"] = {split: _members(fields[f"{split}_mask"], len(texts)) for split in SPLITS}
    if fields.get("edge_texts") is not None:
        rest["edge_texts"] = list(fields["edge_texts"])
    return TextAttributedGraph.from_edges(name, texts, edge_index, directed=directed, relations=relations, **rest)


def to_pyg(graph: TextAttributedGraph) -> Data:
    """PyG's ``Data``; as usual there, each edge of an undirected graph appears in both directions."""
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
    if graph.kinds is not None:
        data.node_type = torch.from_numpy(graph.kinds.copy())
        data.node_type_names = list(graph.kind_names)
    for split, nodes in graph.node_splits.items():
        mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
        mask[torch.from_numpy(nodes.copy())] = True
        data[f"{split}_mask"] = mask
    return data


def from_networkx(source: networkx.Graph[Any], name: str, **meaning: str) -> TextAttributedGraph:
    """A graph from any of NetworkX's four classes; a node's id is its NetworkX key as text.

    Raises:
        UserError: if no node has a text, two nodes have the same key as text, or only some edges have a relation.
    """
    number_of = {node: number for number, node in enumerate(source.nodes)}
    ids = [str(node) for node in number_of]
    if len(set(ids)) != len(ids):
        repeated = next(node for node in ids if ids.count(node) > 1)
        raise UserError(f"graph {name}: two nodes are both called {repeated!r} when written as text")
    texts, labels, kinds, splits = (
        [source.nodes[node].get(key) for node in number_of] for key in ("text", "label", "kind", "split")
    )
    if not any(texts):
        raise UserError(f"graph {name}: no node has an attribute 'text'")
    edges = list(source.edges(data=True))
    relations, edge_texts = ([attributes.get(key) for *_, attributes in edges] for key in ("relation", "text"))
    codes = None
    rest: dict[str, Any] = dict(meaning)
    if any(label is not None for label in labels):
        rest["label_names"], rest["labels"] = indexed(
            ["" if label is None else class_name(str(label)) for label in labels]
        )
    if any(kind is not None for kind in kinds):
        rest["kind_names"], rest["kinds"] = indexed(["" if kind is None else str(kind) for kind in kinds])
    if any(split is not None for split in splits):
        rest["node_splits"] = {split: np.flatnonzero([each == split for each in splits]) for split in SPLITS}
    if any(relation is not None for relation in relations):
        if None in relations:
            head, tail, _ = edges[relations.index(None)]
            raise UserError(f"graph {name}: the edge {head!r} to {tail!r} has no 'relation', but others have one")
        rest["relation_names"], codes = indexed([str(relation) for relation in relations])
    if any(edge_texts):
        rest["edge_texts"] = [str(text or "") for text in edge_texts]
    return TextAttributedGraph.from_edges(
        name,
        [str(text or "") for text in texts],
        np.array([(number_of[head], number_of[tail]) for head, tail, _ in edges], dtype=np.int64).reshape(-1, 2).T,
        directed=source.is_directed(),
        relations=codes,
        node_ids=ids,
        **rest,
    )


def to_networkx(graph: TextAttributedGraph) -> networkx.Graph[Any]:
    """A NetworkX graph: directed if the graph is, a multigraph if it has relations."""
    import networkx

    has_relations = graph.relations is not None
    if graph.directed:
        result: networkx.Graph[Any] = networkx.MultiDiGraph() if has_relations else networkx.DiGraph()
    else:
        result = networkx.MultiGraph() if has_relations else networkx.Graph()
    result.graph.update(name=graph.name, node_meaning=graph.node_meaning, edge_meaning=graph.edge_meaning)
    split_of = {int(node): split for split, part in graph.node_splits.items() for node in part}
    for node, text in enumerate(graph.texts):
        attributes = {"text": text}
        if graph.labels is not None and graph.labels[node] >= 0:
            attributes["label"] = graph.label_names[graph.labels[node]]
        if graph.kinds is not None and graph.kinds[node] >= 0:
            attributes["kind"] = graph.kind_names[graph.kinds[node]]
        if node in split_of:
            attributes["split"] = split_of[node]
        result.add_node(graph.node_name(node), **attributes)
    for edge, (head, tail) in enumerate(graph.edge_index.T.tolist()):
        attributes = {}
        if graph.relations is not None:
            attributes["relation"] = graph.relation_names[graph.relations[edge]]
        if graph.edge_texts is not None:
            attributes["text"] = graph.edge_texts[edge]
        result.add_edge(graph.node_name(head), graph.node_name(tail), **attributes)
    return result


def _members(mask: Any, num_nodes: int) -> IntArray:
    """Indices of the nodes that a mask, [N] or [N, columns], selects."""
    return np.flatnonzero(np.asarray(mask, dtype=bool).reshape(num_nodes, -1)[:, 0])


def _symmetric(edge_index: IntArray, num_nodes: int) -> bool:
    """Whether every edge has its reverse."""
    forward = np.unique(edge_index[0] * num_nodes + edge_index[1])
    return np.array_equal(forward, np.unique(edge_index[1] * num_nodes + edge_index[0]))


def _names(names: Sequence[str] | None, codes: IntArray, kind: str) -> list[str]:
    """One name per code: those of the data, or numbered ones if it has none.

    Raises:
        UserError: if there are fewer names than codes.
    """
    count = int(codes.max(initial=-1)) + 1
    if names is None:
        return [f"{kind} {code}" for code in range(count)]
    if len(names) < count:
        raise UserError(f"{len(names)} names for {count} codes of {kind}")
    return [str(name) for name in names]
