"""Which layout a graph's file or folder has, and its reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssl4rl.data.graphs.files import FORMATS, is_graph_file, read_file
from ssl4rl.data.graphs.folder import read_folder
from ssl4rl.data.graphs.ogb import is_ogb, read_ogb
from ssl4rl.data.graphs.triples import holds_triples, read_triples, train_file
from ssl4rl.data.tables import Problems, tables_named
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.tally import of_folder


def has_layout(place: Path) -> bool:
    """Whether a path is a graph's file, or a folder that holds tables, one such file, triples, or OGB's layout."""
    if place.is_file():
        return is_graph_file(place)
    return place.is_dir() and (has_tables(place) or bool(graph_files(place)) or is_ogb(place) or holds_triples(place))


def has_tables(folder: Path) -> bool:
    """Whether a folder holds a table of nodes or edges."""
    return folder.is_dir() and any(tables_named(folder, stem) for stem in ("nodes", "edges"))


def graph_files(folder: Path) -> list[Path]:
    """The files in a folder that each hold a whole graph."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and is_graph_file(path)]


def read_layout(place: Path) -> TextAttributedGraph:
    """The graph of a file or a folder.

    Raises:
        UserError: at the first problem; it names file, row and field.
    """
    if place.is_file():
        return read_file(place, place.stem, None)
    if has_tables(place):
        return read_folder(place, Problems(strict=True))
    if is_ogb(place):
        return read_ogb(place)
    if holds_triples(place):
        return read_triples(place)
    files = graph_files(place)
    if len(files) > 1:
        raise UserError(f"{place} holds {' and '.join(path.name for path in files)}; name the file to read")
    if not files:
        raise UserError(
            f"{place} holds no nodes.csv, nodes.jsonl or nodes.parquet, and no other graph (.pt, {', '.join(FORMATS)}, "
            f"train.txt of triples, OGB's raw/edge.csv){_why_no_triples(place)}{_instead(place)}"
        )
    graph = read_file(files[0], place.resolve().name, place)
    return replace(graph, reading=[of_folder(place, [files[0], place / "dataset.yaml"]), *graph.reading])


def _why_no_triples(place: Path) -> str:
    path = train_file(place)
    return f"; {path.name} does not begin with a head, a relation and a tail, separated by tabs" if path else ""


def _instead(place: Path) -> str:
    """Of a folder of images, which side of the command line reads it."""
    return "; it holds images: use ssl4rl vision" if SOURCE_KINDS.get("images").recognises(str(place)) else ""
