"""Opens the files of a converted graph, and keeps what is computed of it, so that no process does so again."""

from __future__ import annotations

import json
import mmap
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.arrays import Texts, mapped, mapped_texts, release
from ssl4rl.graph.graph import Computed, Stored, TextAttributedGraph
from ssl4rl.graph.splits import node_split
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.graph.view import EdgeView
from ssl4rl.source import SPLITS
from ssl4rl.tally import from_data

SMALL = 256 << 20
"""Bytes up to which a graph counts as small: its content is checked on opening, and all of it may stay in memory."""

KEPT_FROM = 64 << 20
"""Bytes from which on what is computed of a graph is kept; of a smaller one, a process holds about 13 MB of it."""

ROOM = 384 << 20
"""Bytes of a large graph's files that may stay in a process's memory while it samples."""

CHECK_EVERY = 16
"""Nodes that are read between two checks of that limit. Each node is a handful of reads, and one read may map 2 MiB."""


def size_of(manifest: Mapping[str, Any]) -> int:
    """The bytes of a graph's files, without what is kept of it."""
    return sum(int(size) for size, _ in manifest["files"].values())


class Pages:
    """Limits how much memory the mapped files of a graph take up in this process.

    The system takes such pages back when memory runs short. Until then they count as the process's own, and releasing
    them costs little: they stay in the page cache.
    """

    def __init__(self) -> None:
        self.maps: list[Any] = []
        self._visited = 0
        self._least = self._resident()

    def visited(self, nodes: int) -> None:
        """Counts nodes that were read; every few of them, releases all pages if they exceed the limit."""
        self._visited += nodes
        if self._visited < CHECK_EVERY:
            return
        self._visited = 0
        if self._resident() > self._least + ROOM:
            release(*self.maps)
            self._least = self._resident()

    @staticmethod
    def _resident() -> int:
        """Bytes of mapped files in memory, this graph's and the program's own; 0 if the system does not report them."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 (Path.open takes three times as long)
                return int(file.read().split()[2]) * mmap.PAGESIZE
        except OSError:
            return 0


class Shelf:
    """Arrays that were computed of a graph that is not small, in files beside its own: ``kept/<name>/<array>.npy``.

    What a task of another package, or an unusual knob, needs is added when it is first used. Where nothing can be
    written, every process holds its own.
    """

    def __init__(self, folder: Path, pages: Pages) -> None:
        self._folder, self._pages = folder, pages

    def get(self, name: str, compute: Callable[[], Computed]) -> Computed:
        place = self._folder / re.sub(r"[^\w-]", "_", name)
        found = self._open(place)
        if found is None:
            computed = compute()
            with suppress(OSError):
                self._write(place, computed)
            found = self._open(place)
            if found is None:
                return computed
        self._pages.maps += found.values()
        return found

    @staticmethod
    def _open(place: Path) -> Computed | None:
        try:
            names = json.loads((place / "names.json").read_text(encoding="utf-8"))
            return {name: mapped(place / f"{name}.npy") for name in names}
        except (OSError, ValueError, EOFError):
            return None  # not there, or damaged

    def _write(self, place: Path, computed: Computed) -> None:
        """Writes the arrays under another name first, as another process may do the same."""
        self._folder.mkdir(exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
        try:
            for name, array in computed.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            (temporary / "names.json").write_text(json.dumps(list(computed)), encoding="utf-8")
            if place.is_dir() and self._open(place) is None:
                shutil.rmtree(place)
            temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def compute_once(graph: TextAttributedGraph) -> None:
    """Computes what the paper's tasks need of a large graph in each split, before anybody waits for it."""
    node_split(graph)
    for task in (Attribute, Link, Neighbor):
        for split in SPLITS:
            with suppress(NotApplicable):
                task(graph, split=split).example(0)


def read_files(
    folder: Path, manifest: Mapping[str, Any], reopen: Callable[..., TextAttributedGraph], remedy: str
) -> TextAttributedGraph:
    """The graph whose files lie in ``folder``; another process gets it by ``reopen``."""
    names = {Path(name).stem for name in manifest["files"]}
    pages = Pages()
    size = size_of(manifest)

    def array(name: str) -> Any:
        found = mapped(folder / f"{name}.npy")
        pages.maps.append(found)
        return found

    def optional(name: str) -> Any:
        return array(name) if name in names else None

    def splits(prefix: str) -> dict[str, IntArray]:
        return {split: array(f"{prefix}{split}") for split in SPLITS if f"{prefix}{split}" in names}

    def texts(name: str) -> Texts:
        found = mapped_texts(folder / f"{name}.bin", array(name))
        pages.maps.append(found.content)
        return found

    def adjacency(name: str) -> Adjacency:
        indptr, neighbors, edges, degrees = (
            array(f"{name}_{part}") for part in ("indptr", "neighbors", "edges", "degrees")
        )
        return Adjacency(indptr, neighbors, edges, pages.visited if size > SMALL else None, degrees)

    graph = TextAttributedGraph(
        name=manifest["name"],
        texts=texts("texts"),
        edge_index=array("edge_index"),
        directed=manifest["directed"],
        relations=optional("relations"),
        relation_names=manifest["relation_names"],
        edge_texts=texts("edge_texts") if "edge_texts" in names else None,
        node_ids=texts("ids") if "ids" in names else None,
        labels=optional("labels"),
        label_names=manifest["label_names"],
        label_descriptions=manifest["label_descriptions"],
        kinds=optional("kinds"),
        kind_names=manifest.get("kind_names", []),
        node_splits=splits("node_"),
        edge_splits=splits("edge_"),
        node_meaning=manifest["node_meaning"],
        edge_meaning=manifest["edge_meaning"],
        counts=manifest["counts"],
        reading=from_data(manifest["reading"]),
    )
    view = None
    if graph.num_edges:
        view = EdgeView(adjacency("visible"), adjacency("full"), splits("asked_"), manifest["dropped_train"])
    stored = Stored(
        fingerprint=manifest["fingerprint"],
        view=view,
        has_text=array("has_text"),
        num_words=array("num_words"),
        keep=Shelf(folder / "kept", pages).get if size > KEPT_FROM else _not_kept,
        reopen=(reopen, (folder.absolute(), remedy)),
    )
    object.__setattr__(graph, "stored", stored)  # the dataclass is frozen, and only the store sets this
    return graph


def _not_kept(name: str, compute: Callable[[], Computed]) -> Computed:
    return compute()
