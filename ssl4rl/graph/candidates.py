"""Candidates of ranking that a file gives, as benchmarks publish them: of each edge, nodes that are no end of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.records import parse_json

Side = Literal["tail", "head"]
"""The end of an edge that is looked for."""
KEYS = ("head", "tail", "relation", "tails", "heads")


def given_candidates(
    graph: TextAttributedGraph, file: str, edges: IntArray, sides: Sequence[Side], split: str
) -> dict[tuple[int, Side], IntArray]:
    """The wrong candidates of each of ``edges``, which are of ``split``, and sides, as a file gives them.

    It holds an edge a line: ``{"head": ID, "tail": ID, "tails": [IDS], "heads": [IDS]}``, with its ``relation`` where
    edges have one. In an undirected graph either end may be called the head. An id that is listed twice counts once.

    Raises:
        UserError: naming the line, or the first edge that has none.
    """
    path = Path(file).expanduser()
    node_of = {graph.node_name(node): node for node in range(graph.num_nodes)}
    edge_of = {_key(graph, edge): edge for edge in edges.tolist()}
    found: dict[tuple[int, Side], IntArray] = {}
    for place, row in _rows(path):
        head, tail = (_node(row.get(key), node_of, f"{place}: {key}") for key in ("head", "tail"))
        relation = str(row.get("relation")) if graph.relations is not None else None
        swapped = not graph.directed and head > tail
        edge = edge_of.get((tail, head, relation) if swapped else (head, tail, relation))
        if edge is None:
            continue  # of another split, or another part of the data
        for side in sides:
            field = ("heads" if side == "tail" else "tails") if swapped else f"{side}s"
            ids = row.get(field)
            if not isinstance(ids, list) or not ids:
                remedy = "add one, or rank one side only (task.side)" if graph.directed else "add one"
                raise UserError(f"{place}: it has no list {field!r}; {remedy}")
            nodes = [_node(each, node_of, f"{place}: {field}") for each in ids]
            if (edge, side) in found:
                raise UserError(f"{place}: {row['head']} and {row['tail']} have a line before; keep one of them")
            found[edge, side] = np.unique(np.array(nodes, dtype=np.int64))
    missing = [edge for edge in edge_of.values() if any((edge, side) not in found for side in sides)]
    if missing:
        first, last = (graph.node_name(int(node)) for node in graph.edge_index[:, missing[0]])
        raise UserError(
            f"{path} has no candidates for {len(missing):,} of {len(edges):,} {split} edges, the first of them from "
            f"{first!r} to {last!r}; add a line for each"
        )
    return found


def _key(graph: TextAttributedGraph, edge: int) -> tuple[int, int, str | None]:
    head, tail = (int(node) for node in graph.edge_index[:, edge])
    return head, tail, None if graph.relations is None else graph.relation_names[graph.relations[edge]]


def _rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"task.negatives={path} cannot be read ({error}); give a file of JSON lines") from error
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path} line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise UserError(f"{place}: not JSON ({error}); give an edge a line") from error
        if not isinstance(row, dict) or not {"head", "tail"} <= row.keys() <= set(KEYS):
            raise UserError(f"{place}: an edge has the keys head, tail, tails and heads, and relation where it has one")
        rows.append((place, row))
    return rows


def _node(identity: Any, node_of: Mapping[str, int], place: str) -> int:
    if type(identity) not in (int, str) or str(identity) not in node_of:
        raise UserError(f"{place}: {identity!r} is no node of the graph")
    return node_of[str(identity)]
