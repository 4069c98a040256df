"""Reads a graph from a folder of plain files: nodes and edges as csv, jsonl or parquet, and an optional dataset.yaml.

``load_folder`` stops at the first problem; ``check_folder`` names them all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssl4rl.data.graphs.rows import graph_of
from ssl4rl.data.graphs.settings import read_settings
from ssl4rl.data.graphs.summary import summarise
from ssl4rl.data.readers import open_table
from ssl4rl.data.tables import Problems, find_table
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import Report
from ssl4rl.tally import of_folder, skipped_in


def load_folder(folder: Path) -> TextAttributedGraph:
    """Reads a folder of plain files.

    Raises:
        UserError: at the first problem; it names file, row and field.
    """
    return read_folder(folder, Problems(strict=True))


def check_folder(folder: Path) -> Report:
    """Reads a folder of plain files and collects every problem."""
    problems = Problems(strict=False)
    try:
        graph = read_folder(folder, problems)
    except UserError as error:
        problems.add(str(error))
        return Report(problems.messages, None)
    return Report(problems.messages, None if problems.messages else summarise(graph), skipped_in(graph.reading))


def read_folder(folder: Path, problems: Problems) -> TextAttributedGraph:
    """The graph in a folder; bad rows go to ``problems``.

    Raises:
        UserError: if a file cannot be read as a whole, or there are no edges.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    settings = read_settings(folder / "dataset.yaml")
    nodes_file, edges_file = (find_table(folder, stem) for stem in ("nodes", "edges"))
    nodes, edges = (open_table(file, problems) for file in (nodes_file, edges_file))
    graph = graph_of(folder.resolve().name, nodes, edges, settings, problems)
    if not graph.num_edges and not problems.messages:
        kind = "only self-loops" if graph.counts["self_loops"] else "no edges"
        raise UserError(f"{edges.path} has {kind}; every graph task needs edges between two nodes")
    files = of_folder(folder, [nodes_file, edges_file, folder / "dataset.yaml"])
    return replace(graph, reading=[files, nodes.tally_columns(), edges.tally_columns(), *graph.reading])
