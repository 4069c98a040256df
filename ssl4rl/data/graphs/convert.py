"""Converts graphs from and to PyTorch Geometric and NetworkX.

PyG's ``Data`` holds texts in ``raw_texts`` (as in TAGLAS, OneForAll and TAPE), classes in ``y`` and ``label_names``,
splits in ``train_mask``, ``val_mask`` and ``test_mask`` (of edges in ``edge_train_mask`` and so on), kinds of nodes
in ``node_type`` and ``node_type_names``, and relations in ``edge_type`` and ``relation_names``; other names that are
in use are read too (:mod:`ssl4rl.data.graphs.fields`). A NetworkX graph holds ``text``, ``label``, ``kind`` and
``split`` as node attributes, and ``relation``, ``text`` and ``split`` as edge attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.attributes import networkx_graph
from ssl4rl.data.graphs.fields import Fields, graph_from_fields
from ssl4rl.data.graphs.hetero import is_hetero, one_kind
from ssl4rl.graph.graph import TextAttributedGraph

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data, HeteroData


def from_pyg(
    data: Data | HeteroData, name: str, *, directed: bool | None = None, mask: int | None = None, **meaning: str
) -> TextAttributedGraph:
    """A graph from PyG's ``Data``, or from a ``HeteroData`` of which one kind of node has texts.

    By default the graph is ``directed`` if there is an ``edge_type``, or if some edge lacks its reverse. Of a mask with
    several columns, ``mask`` picks one by its number; by default the first is used. ``meaning`` takes ``node_meaning``
    and ``edge_meaning``.

    Raises:
        UserError: if texts or edges are missing, lengths do not match, or a node is in two splits.
    """
    place = f"graph {name}"
    content: dict[Any, Any] = data.to_dict()
    fields = one_kind(content, place) if is_hetero(content) else Fields(content, place)
    return graph_from_fields(fields, name, directed=directed, mask=mask, **meaning)


def to_pyg(graph: TextAttributedGraph) -> Data:
    """PyG's ``Data``; as usual there, each edge of an undirected graph appears in both directions.

    Ids of nodes, descriptions of classes and what nodes and edges mean have no place there.
    """
    import torch
    from torch_geometric.data import Data

    def mirrored(values: NDArray[Any]) -> NDArray[Any]:
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
    for split, edges_of_split in graph.edge_splits.items():
        of_edges = np.isin(np.arange(graph.num_edges), edges_of_split)
        data[f"edge_{split}_mask"] = torch.from_numpy(mirrored(of_edges))
    return data


def from_networkx(source: networkx.Graph[Any], name: str, **meaning: str) -> TextAttributedGraph:
    """A graph from any of NetworkX's four classes; a node's id is its NetworkX key as text.

    Attributes of nodes and edges are read as the columns of files are. Where edges of a multigraph have no
    ``relation``, and their keys are texts, these are the relations.

    Raises:
        UserError: if no node has a text, two nodes have the same key as text, or only some edges have a relation.
    """
    return networkx_graph(source, name, {key.removesuffix("_meaning"): value for key, value in meaning.items()})


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
    split_of_edge = {int(edge): split for split, part in graph.edge_splits.items() for edge in part}
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
        if edge in split_of_edge:
            attributes["split"] = split_of_edge[edge]
        result.add_edge(graph.node_name(head), graph.node_name(tail), **attributes)
    return result
