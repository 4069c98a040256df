"""Graphs as sources: the embedded one, TAGLAS's once fetched, those that a package registers, and a user's folders.

A user's graph is a folder of plain files (``nodes.csv`` and ``edges.csv``), a file or folder in one of the layouts that
other tools write (:mod:`ssl4rl.data.graphs.layouts`), or what ``ssl4rl data convert`` wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS
from ssl4rl.source import Report, SourceKind, imported, near_folders

if TYPE_CHECKING:
    from ssl4rl.graph.graph import TextAttributedGraph


def read(path: str) -> TextAttributedGraph:
    """The graph in a file or a folder.

    Raises:
        UserError: at the first problem; it names file, row and field.
    """
    from ssl4rl.data.graphs.layouts import read_layout

    place = _existing(path)
    if _is_converted(place):
        from ssl4rl.data.graphs.store import open_folder

        return open_folder(place)
    return read_layout(place)


def recognises(path: str) -> bool:
    """Whether the path is a graph's file, or a folder that holds one, or a converted graph, or tables of one."""
    from ssl4rl.data.graphs.layouts import has_layout

    place = Path(path).expanduser()
    return _is_converted(place) or has_layout(place)


def check(path: str) -> Report:
    """Reads the graph in a file or a folder and collects every problem."""
    from ssl4rl.data.graphs.folder import check_folder
    from ssl4rl.data.graphs.layouts import has_tables, read_layout
    from ssl4rl.tally import skipped_in

    try:
        place = _existing(path)
        if _is_converted(place):
            graph = read(path)
            return Report([], GRAPH.summarise(graph), skipped_in(graph.reading))
        if has_tables(place):
            return check_folder(place)
        graph = read_layout(place)
        return Report([], GRAPH.summarise(graph), skipped_in(graph.reading))
    except UserError as error:
        return Report([str(error)], None)


def locate(name: str) -> dict[str, Any] | None:
    """Where a TAGLAS dataset is fetched from, and whether it is here; None for a graph that needs no fetching."""
    from ssl4rl.data.graphs.fetch import fetch_state
    from ssl4rl.data.graphs.taglas_raw import RAW

    return fetch_state(name) if name in RAW else None


def _existing(path: str) -> Path:
    place = Path(path).expanduser()
    if place.is_file():
        from ssl4rl.data.graphs.files import is_graph_file

        if not is_graph_file(place):
            raise UserError(f"{path} is a file; give the folder that holds nodes.csv and edges.csv")
    elif not place.is_dir():
        raise UserError(f"there is no folder {path}{near_folders(place)}")
    return place


def _is_converted(folder: Path) -> bool:
    if not (folder / "graph.json").is_file():
        return False
    from ssl4rl.data.graphs.store import is_converted

    return is_converted(folder)


GRAPH: SourceKind[TextAttributedGraph] = SourceKind(
    name="graph",
    side="graph",
    default="citations",
    default_noun="the embedded procedural graph",
    registry=GRAPHS,
    read=read,
    recognises=recognises,
    check=check,
    summarise=imported("ssl4rl.data.graphs.summary:summarise"),
    default_task="link",
    locate=locate,
)
