"""Graphs as sources: the embedded one, TAGLAS's once fetched, those that a package registers, and a user's folders.

A user's folder holds plain files (``nodes.csv`` and ``edges.csv``), or a graph that ``ssl4rl data convert`` wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS
from ssl4rl.source import Report, SourceKind, imported

if TYPE_CHECKING:
    from ssl4rl.graph.graph import TextAttributedGraph


def read(path: str) -> TextAttributedGraph:
    """The graph in a folder.

    Raises:
        UserError: at the first problem; it names file, row and field.
    """
    folder = _existing(path)
    if _is_converted(folder):
        from ssl4rl.data.graphs.store import open_folder

        return open_folder(folder)
    from ssl4rl.data.graphs.folder import load_folder

    return load_folder(folder)


def recognises(path: str) -> bool:
    """Whether the path is a folder that holds a converted graph, or a table of nodes or edges."""
    folder = Path(path).expanduser()
    return _is_converted(folder) or any(any(folder.glob(f"{stem}.*")) for stem in ("nodes", "edges"))


def check(path: str) -> Report:
    """Reads the graph in a folder and collects every problem."""
    from ssl4rl.data.graphs.folder import check_folder

    try:
        folder = _existing(path)
        return Report([], GRAPH.summarise(read(path))) if _is_converted(folder) else check_folder(folder)
    except UserError as error:
        return Report([str(error)], None)


def locate(name: str) -> dict[str, Any] | None:
    """Where a TAGLAS dataset is fetched from, and whether it is here; None for a graph that needs no fetching."""
    from ssl4rl.data.graphs.fetch import fetch_state
    from ssl4rl.data.graphs.taglas_raw import RAW

    return fetch_state(name) if name in RAW else None


def _existing(path: str) -> Path:
    folder = Path(path).expanduser()
    if folder.is_file():
        raise UserError(f"{path} is a file; give the folder that holds nodes.csv and edges.csv")
    if not folder.is_dir():
        raise UserError(f"there is no folder {path}")
    return folder


def _is_converted(folder: Path) -> bool:
    return (folder / "graph.json").is_file()


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
