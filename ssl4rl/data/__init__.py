"""Where graphs come from: embedded, fetched once (TAGLAS), registered by a third party, or a folder.

A folder holds plain files, or a graph as ``ssl4rl.data.graphs.store.write_graph`` converts it.

Pictures come from ``ssl4rl.data.images.files``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError, unknown
from ssl4rl.registry import GRAPHS

if TYPE_CHECKING:
    from ssl4rl.graph.graph import TextAttributedGraph
    from ssl4rl.tasks import Task
    from ssl4rl.vision.image_set import ImageSet

DEFAULT = "citations"
"""The embedded graph: nothing to download."""


def load_graph(name: str | None = None) -> TextAttributedGraph:
    """The graph of that registered name or folder; the embedded one for None.

    Raises:
        UserError: if there is no such dataset, if it was not fetched yet, or if its files are bad.
    """
    name = DEFAULT if name is None else name
    if name in GRAPHS.names():
        return GRAPHS.get(name)()
    folder = Path(name).expanduser()
    if (folder / "graph.json").is_file():
        from ssl4rl.data.graphs.store import open_folder

        return open_folder(folder)
    if folder.is_dir():
        from ssl4rl.data.graphs.folder import load_folder

        return load_folder(folder)
    if folder.is_file():
        raise UserError(f"{name} is a file; give the folder that holds nodes.csv and edges.csv")
    if len(folder.parts) > 1 or name.startswith((".", "~")):
        raise UserError(f"there is no folder {name}")
    raise UserError(f"{unknown('dataset', name, GRAPHS.names())} (nor is there a folder of that name here)")


def load_source(side: str, name: str | None = None) -> TextAttributedGraph | ImageSet:
    """The graph (``side`` is graph) or the pictures (vision) of that name; the embedded ones for None.

    Raises:
        UserError: as the loaders do.
    """
    if side == "vision":
        from ssl4rl.data.images.files import load_images

        return load_images(name)
    return load_graph(name)


def load_source_of(kind: type[Task[Any, Any]], name: str | None = None) -> Any:
    """What that task or benchmark is cut from, of that name: its own kind of source where it has one.

    Raises:
        UserError: as the loaders do.
    """
    loader = getattr(kind, "loader", None)
    if loader is None:
        return load_source(kind.side, name)
    module, _, function = loader.partition(":")
    return getattr(import_module(module), function)(name)
