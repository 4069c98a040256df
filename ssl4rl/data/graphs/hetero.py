"""A PyG ``HeteroData`` as plain fields: one kind of node has texts, and the edges among its nodes are the graph's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ssl4rl.data.graphs.fields import TEXTS, Fields
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.tally import Tally


def is_hetero(content: Mapping[Any, Any]) -> bool:
    """Whether the content is that of a ``HeteroData``: fields by kind of node and by (kind, relation, kind)."""
    return any(isinstance(key, tuple) and len(key) == 3 for key in content)


def one_kind(content: Mapping[Any, Any], place: str) -> Fields:
    """The fields of the one kind of node that has texts; how many other kinds there are is counted in them.

    Several relations among its nodes become the relations of the graph.

    Raises:
        UserError: if no kind has texts or several do, or no edges join nodes of that kind.
    """
    nodes = {key: value for key, value in content.items() if isinstance(key, str) and key != "_global_store"}
    edges = {key: value for key, value in content.items() if isinstance(key, tuple)}
    written = [kind for kind, fields in nodes.items() if any(fields.get(name) is not None for name in TEXTS)]
    if not written:
        raise UserError(f"{place}: no kind of node has texts ({', '.join(TEXTS)}); its kinds are {', '.join(nodes)}")
    if len(written) > 1:
        raise UserError(
            f"{place}: the kinds {' and '.join(written)} all have texts; keep those of one, or join them into one Data "
            "with node_type"
        )
    kind = written[0]
    among = {key: value for key, value in edges.items() if key[0] == key[2] == kind}
    if not among:
        raise UserError(
            f"{place}: no edges join two {kind} nodes; its edges are {', '.join(map(' '.join, edges)) or 'none'}"
        )
    fields = dict(nodes[kind])
    parts: list[IntArray] = []
    texts: list[Any] = []
    unread: list[Tally] = []
    have_texts = all(store.get("edge_texts") is not None for store in among.values())
    for key, store in among.items():
        part = Fields(store, place)
        index = part.get("edge_index")
        if index is None:
            raise UserError(f"{place}: the edges {' '.join(key)} have no edge_index")
        parts.append(part.whole("edge_index", index))
        if parts[-1].ndim != 2 or len(parts[-1]) != 2:
            raise part.error(f"edge_index is {list(parts[-1].shape)}; it must be [2, E]")
        if have_texts:
            texts += part.items(part.find("edge_texts"))
        names = list(part.all)
        unread.append(Tally.of_named(f"fields of the edges {key[1]}", names, part.used, "fields of edges"))
    if have_texts:
        fields["edge_texts"] = texts
    fields["edge_index"] = np.concatenate(parts, axis=1)
    if len(among) > 1:
        fields["edge_type"] = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        fields["relation_names"] = [key[1].replace("_", " ") for key in among]
    kinds = [
        Tally.of("kinds of nodes", len(nodes), {"kinds of nodes without texts": len(nodes) - 1}),
        Tally.of("kinds of edges", len(edges), {"kinds of edges to others": len(edges) - len(among)}, len(among)),
        *unread,
    ]
    return Fields(fields, place, kinds)
