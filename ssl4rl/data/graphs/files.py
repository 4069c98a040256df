"""Graphs in one file: PyG's ``.pt``, what NetworkX reads (GraphML, GEXF, GML), and CS-TAG's table with neighbours."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.data.graphs.attributes import networkx_graph
from ssl4rl.data.graphs.fields import Fields, graph_from_fields
from ssl4rl.data.graphs.graph_xml import Declared, read_declared
from ssl4rl.data.graphs.hetero import is_hetero, one_kind
from ssl4rl.data.graphs.pt import read_pt
from ssl4rl.data.graphs.rows import ID, graph_of
from ssl4rl.data.graphs.settings import KEYS, MEANING, meanings, read_settings
from ssl4rl.data.readers import read_table
from ssl4rl.data.tables import Problems, plain_column, table_of
from ssl4rl.errors import UserError, listed
from ssl4rl.graph.graph import TextAttributedGraph

if TYPE_CHECKING:
    import networkx

NEIGHBOURS = ("neighbour", "neighbor", "neighbours", "neighbors", "neighbor_ids", "neighbour_ids")
"""Columns of a table of nodes that list the nodes that each is linked with, as CS-TAG's do."""

FORMATS = {".graphml": "read_graphml", ".gexf": "read_gexf", ".gml": "read_gml"}
"""NetworkX's reader by a file's ending."""


def is_graph_file(path: Path) -> bool:
    """Whether a file holds a whole graph, by its ending, or by its header if it is a csv."""
    if path.suffix.lower() == ".csv":
        return has_neighbours(path)
    return path.suffix.lower() in (".pt", *FORMATS)


def has_neighbours(path: Path) -> bool:
    """Whether a csv is a table of nodes with their neighbours."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns = {plain_column(column) for column in next(csv.reader(file), [])}
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return not columns.isdisjoint(NEIGHBOURS)


def read_file(path: Path, name: str, settings_in: Path | None) -> TextAttributedGraph:
    """The graph in a file, called ``name`` unless the dataset.yaml of the folder ``settings_in`` says otherwise.

    Raises:
        UserError: if the file cannot be read; the message names the place in it.
    """
    suffix = path.suffix.lower()
    keys = MEANING if suffix == ".pt" else tuple(key for key in KEYS if key not in ("id", "source", "target"))
    settings = read_settings(settings_in / "dataset.yaml", KEYS if suffix == ".csv" else keys) if settings_in else {}
    readers: Mapping[str, Callable[[Path, str, dict[str, Any]], TextAttributedGraph]] = {
        ".pt": _read_pt,
        ".csv": _read_neighbours,
    }
    return readers.get(suffix, _read_networkx)(path, settings.get("name", name), settings)


def _read_pt(path: Path, name: str, settings: dict[str, Any]) -> TextAttributedGraph:
    content = read_pt(path)
    fields = one_kind(content, str(path)) if is_hetero(content) else Fields(content, str(path))
    return graph_from_fields(
        fields, name, directed=settings.get("directed"), mask=settings.get("mask"), **meanings(settings)
    )


def _read_networkx(path: Path, name: str, settings: dict[str, Any]) -> TextAttributedGraph:
    import networkx

    is_gml = path.suffix.lower() == ".gml"
    try:
        source = _read_gml(path) if is_gml else getattr(networkx, FORMATS[path.suffix.lower()])(path)
    except StopIteration as error:
        raise UserError(f"{path} holds no graph") from error
    except Exception as error:  # each reader raises errors of its own and of the parser beneath it
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from error
    declared = Declared() if is_gml else read_declared(path)
    source.graph |= {f"{kind}_default": values for kind, values in declared.defaults.items()}
    if not source.number_of_edges():
        raise UserError(f"{path} has no edges; every graph task needs edges between two nodes")
    if path.suffix.lower() == ".gexf":
        # GEXF calls a node's name its label, whereas `label` is a class here.
        classes = declared.labels or "label" in declared.defaults["node"]
        for node, attributes in source.nodes.items():
            if "label" in attributes and (classes or "label" not in settings.values()):
                attributes.setdefault("title", attributes.pop("label"))
            if node in declared.labels:
                attributes["label"] = declared.labels[node]
    # GraphML and GEXF number their edges, and NetworkX takes that for keys once two are parallel.
    return networkx_graph(source, name, settings, str(path), keyed=is_gml)


def _read_gml(path: Path) -> networkx.Graph[Any]:
    """As ``networkx.read_gml``, which takes neither UTF-8 nor nodes without a label, as igraph writes them."""
    import networkx

    text = path.read_text(encoding="utf-8-sig")
    try:
        return networkx.parse_gml(text)
    except networkx.NetworkXError as error:
        if "'label'" not in str(error):
            raise
        return networkx.parse_gml(text, label="id")


def _read_neighbours(path: Path, name: str, settings: dict[str, Any]) -> TextAttributedGraph:
    """CS-TAG's csv: ``node_id``, ``text``, ``label``, and a list of neighbours in each row."""
    problems = Problems(strict=True)
    nodes = read_table(path, problems)
    column = nodes.find(*NEIGHBOURS)
    identity = settings.get("id") or nodes.find(*ID)
    if not identity:
        raise UserError(f"{path}: there is no column 'node_id'; its columns are {listed(nodes.every_column)}")
    records: list[tuple[int, dict[str, Any]]] = []
    for row, cells in nodes.rows:
        for neighbour in _list(cells.get(column, ""), nodes.place(row, column)):
            records.append((row, {"source": cells.get(identity, ""), column: neighbour}))
    if not records:
        raise UserError(f"{path}: no row lists a neighbour in the column {column!r}")
    edges = table_of(path, records, ("source", column))
    graph = graph_of(name, nodes, edges, {**settings, "id": identity, "source": "source", "target": column}, problems)
    # Of the reading of a table of edges, which there is none of, the edges alone are left.
    return replace(graph, reading=[nodes.tally_columns(), graph.reading[0], *graph.reading[2:]])


def _list(cell: str, place: str) -> list[Any]:
    if not cell.strip():
        return []
    try:
        values = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        values = None
    if not isinstance(values, list | tuple | set):
        raise UserError(f"{place}: {cell[:40]!r} is not a list of nodes such as [1, 2]")
    return sorted(values, key=str) if isinstance(values, set) else list(values)
