"""A NetworkX graph as tables of nodes and edges, so that its attributes are read by the rules of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ssl4rl.data.graphs.rows import RELATIONS, graph_of
from ssl4rl.data.tables import Problems, Table, table_of
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.tally import Tally

if TYPE_CHECKING:
    import networkx

NODE, HEAD, TAIL, RELATION = "(node)", "(head)", "(tail)", "(relation)"
"""Columns that hold the keys of nodes and edges; no attribute is called so."""


def networkx_graph(
    source: networkx.Graph[Any], name: str, settings: dict[str, Any], place: str = "", *, keyed: bool = True
) -> TextAttributedGraph:
    """The graph; ``settings`` are those of dataset.yaml.

    Texts as keys of parallel edges are relations, unless ``keyed`` says that they are mere ids. What lacks an attribute
    has the default that ``source.graph`` holds for it under ``node_default`` or ``edge_default``, where NetworkX puts
    those of files.

    Raises:
        UserError: if no node has a text, two nodes have the same key as text, or only some edges have a relation.
    """
    place = place or f"graph {name}"
    ids = [str(node) for node in source.nodes]
    if len(set(ids)) != len(ids):
        repeated = next(node for node in ids if ids.count(node) > 1)
        raise UserError(f"{place}: two nodes are both called {repeated!r} when written as text")
    defaults = _defaults(source, "node_default")
    nodes = table_of(
        place,
        [
            (row, {NODE: node, **defaults, **source.nodes[key]})
            for row, (node, key) in enumerate(zip(ids, source.nodes, strict=True))
        ],
        row_names=[f"node {node!r}" for node in source.nodes],
    )
    edges, relation = _edges(source, place, keyed)
    columns = {"id": NODE, "source": HEAD, "target": TAIL}
    columns |= {"relation": settings.get("relation", relation)} if relation else {}
    try:
        graph = graph_of(
            name, nodes, edges, {"directed": source.is_directed(), **settings, **columns}, Problems(strict=True)
        )
    except UserError as error:
        if "there is no column 'text'" in str(error):
            raise UserError(f"{place}: no node has an attribute 'text' (or 'title')") from error
        raise
    if not any(graph.texts):
        raise UserError(f"{place}: no node has an attribute 'text' that says something")
    attributes = [
        Tally.of_named(
            f"attributes of {noun}",
            [column for column in table.every_column if column not in (NODE, HEAD, TAIL, RELATION)],
            table.used,
            f"unused attributes of {noun}",
        )
        for noun, table in (("nodes", nodes), ("edges", edges))
    ]
    # The reading of a table of edges says what that of the edges does.
    return replace(graph, reading=[*attributes, replace(graph.reading[0], what="nodes"), *graph.reading[2:]])


def _defaults(source: networkx.Graph[Any], key: str) -> Mapping[str, Any]:
    defaults = source.graph.get(key)
    return defaults if isinstance(defaults, Mapping) else {}


def _edges(source: networkx.Graph[Any], place: str, keyed_by_relation: bool) -> tuple[Table, str]:
    """The table of edges, and the column of their relations, ``""`` if they have none."""
    if source.is_multigraph():
        keyed: list[Any] = list(source.edges(keys=True, data=True))
    else:
        keyed = [(head, tail, None, attributes) for head, tail, attributes in source.edges(data=True)]
    defaults = _defaults(source, "edge_default")
    records = [
        (row, {HEAD: str(head), TAIL: str(tail), **defaults, **attributes})
        for row, (head, tail, _, attributes) in enumerate(keyed)
    ]
    table = table_of(place, records, row_names=[f"the edge {head!r} to {tail!r}" for head, tail, *_ in keyed])
    relation = table.find(*RELATIONS)
    if relation:
        for row, cells in table.rows:
            if not cells.get(relation, "").strip() and not any(
                row == bad for bad, _ in table.unreadable.get(relation, [])
            ):
                raise UserError(f"{place}: {table.row_names[row]} has no {relation!r}, but others have one")
        return table, relation
    keys = [key for _, _, key, _ in keyed] if keyed_by_relation else []
    # NetworkX numbers parallel edges itself where nobody names them.
    if keys and all(isinstance(key, str) for key in keys):
        for key, (_, cells) in zip(keys, table.rows, strict=True):
            cells[RELATION] = key
        table.columns.append(RELATION)
        return table, RELATION
    if any(isinstance(key, str) for key in keys):
        row = next(row for row, key in enumerate(keys) if not isinstance(key, str))
        raise UserError(f"{place}: {table.row_names[row]} has the key {keys[row]!r}, but others have a text as key")
    return table, ""
