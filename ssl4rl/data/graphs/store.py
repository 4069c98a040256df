"""Converted graphs on disk: numpy arrays and texts that are mapped into memory, read without torch and without pickle.

One folder per graph, ``SSL4RL_HOME/graphs/<name>`` or anywhere:

- ``graph.json``: format version, names and meanings, counts, the content's fingerprint, where the raw files came from
  (folder or hub revision, and the SHA-256 of each), and size and SHA-256 of every file below;
- ``edge_index.npy``, ``relations.npy``, ``labels.npy``, ``node_<split>.npy``, ``edge_<split>.npy``: the graph's arrays;
- ``visible_*.npy``, ``full_*.npy``, ``asked_<split>.npy``, ``has_text.npy``: what every task would work out from them;
- ``texts``, ``edge_texts`` and ``ids`` (where there are any): all texts in UTF-8, end to end (``.bin``), and where each
  starts, with the end of the last (``.npy``).

Opening a graph reads none of this: what is asked for is read when it is asked for, so a graph may be larger than
memory. Small graphs are checked whole against their SHA-256 when they are opened, of large ones only the sizes.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ssl4rl.errors import UserError
from ssl4rl.graph.graph import Adjacency, EdgeView, IntArray, Stored, TextAttributedGraph, encode
from ssl4rl.graph.splits import edge_view
from ssl4rl.home import home

FORMAT = 2
"""Raised when the layout, or what a loader makes of the raw files, changes."""

SMALL = 256 << 20
"""Bytes up to which a graph is read whole: to check it, and because it may stay in memory."""

ROOM = 384 << 20
"""Bytes of a large graph's files that may stay in a process's memory while it samples."""

LOOK_EVERY = 16
"""Nodes between two looks at that; each is a handful of places in the files, and one look at a place may bring in
2 MiB."""

_FILE = re.compile(r"[a-z_]+\.(npy|bin)")


class Texts(Sequence[str]):
    """Texts in a mapped file; each is decoded when it is asked for.

    ``content`` holds them in UTF-8, end to end; text ``i`` is ``content[starts[i]:starts[i + 1]]``.
    """

    def __init__(self, content: mmap.mmap | bytes, starts: IntArray) -> None:
        self._content = content
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._content[self._starts[place] : self._starts[place + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))


def graph_folder(name: str) -> Path:
    """Where the converted graph of that name lies (or would lie)."""
    return home() / "graphs" / name


def write_graph(graph: TextAttributedGraph, origin: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Writes the graph under its name or into ``folder``, replacing what was there; ``origin`` is kept as provenance.

    The adjacencies are built here, once for all readers; that takes memory for all edges, about 100 bytes each.

    Raises:
        UserError: if the folder cannot be written, or holds anything that is not a converted graph.
    """
    target = graph_folder(graph.name) if folder is None else folder
    if folder is not None and not (folder / "graph.json").is_file() and (folder.is_file() or any(folder.glob("*"))):
        raise UserError(f"{folder} exists and is no converted graph; give a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            _write_files(graph, temporary / "new", origin)
            if target.exists():
                target.rename(temporary / "old")
            (temporary / "new").rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        choice = "set SSL4RL_HOME to" if folder is None else "give"
        raise UserError(f"cannot write {target}: {error.strerror}; {choice} a folder that can be written") from error
    return target


def _write_files(graph: TextAttributedGraph, folder: Path, origin: Mapping[str, Any]) -> None:
    folder.mkdir()
    arrays: dict[str, Any] = {"edge_index": graph.edge_index, "has_text": graph.has_text}
    if graph.relations is not None:
        arrays["relations"] = graph.relations
    if graph.labels is not None:
        arrays["labels"] = graph.labels
    arrays |= {f"node_{split}": part for split, part in graph.node_splits.items()}
    arrays |= {f"edge_{split}": part for split, part in graph.edge_splits.items()}
    dropped_train = 0
    if graph.num_edges:
        view = edge_view(graph)
        dropped_train = view.dropped_train
        for name, adjacency in (("visible", view.visible), ("full", view.full)):
            arrays |= {f"{name}_{part}": getattr(adjacency, part) for part in ("indptr", "neighbors", "edges")}
        arrays |= {f"asked_{split}": part for split, part in view.asked.items()}
    texts = {"texts": graph.texts, "ids": graph.node_ids, "edge_texts": graph.edge_texts}
    for name, content in texts.items():
        if content is not None:
            arrays[name] = _write_texts(folder / f"{name}.bin", content)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    files = {path.name: [path.stat().st_size, _sha256(path)] for path in sorted(folder.iterdir())}
    for name in files:
        _settle(folder / name)
    about = {
        "format": FORMAT,
        "name": graph.name,
        "node_meaning": graph.node_meaning,
        "edge_meaning": graph.edge_meaning,
        "directed": graph.directed,
        "counts": dict(graph.counts),
        "dropped_train": dropped_train,
        "relation_names": list(graph.relation_names),
        "label_names": list(graph.label_names),
        "label_descriptions": list(graph.label_descriptions),
        "fingerprint": graph.fingerprint,
        "files": files,
        "origin": dict(origin),
    }
    about["check"] = _check(about)
    text = json.dumps(about, ensure_ascii=False, indent=1)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8")


def _write_texts(path: Path, texts: Sequence[str]) -> IntArray:
    """Writes the texts end to end; returns where each starts, and the end of the last, [len + 1]."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    with path.open("wb") as file:
        for place, encoded in enumerate(encode(texts), start=1):
            starts[place] = starts[place - 1] + file.write(encoded)
    return starts


def _settle(path: Path) -> None:
    """Sees the file onto the disk, and out of the system's cache.

    Some systems keep what was just written in blocks of 2 MiB, and map all of one at the first look at it.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(about: Mapping[str, Any]) -> str:
    """SHA-256 of the content of ``graph.json`` but for itself."""
    content = {key: value for key, value in about.items() if key != "check"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_about(name: str) -> dict[str, Any] | None:
    """The content of ``graph.json``, None if that graph was not fetched or is not readable."""
    try:
        about = json.loads((graph_folder(name) / "graph.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def read_graph(name: str) -> TextAttributedGraph:
    """Opens a converted graph by its name.

    Raises:
        UserError: if it was not fetched, was written by another version, or was damaged; the message says what to do.
    """
    again = f"run `ssl4rl data fetch {name}` (or add --from FOLDER for files you have)"
    folder = graph_folder(name)
    if not (folder / "graph.json").is_file():
        raise UserError(f"dataset {name} is not here yet: {again}")
    return open_folder(folder, again)


def open_folder(folder: Path, again: str = "write it again with write_graph") -> TextAttributedGraph:
    """Opens the converted graph in a folder; ``again`` is what to do where it cannot be used.

    Raises:
        UserError: if it was written by another version, or was damaged.
    """
    try:
        about = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'graph.json'} is damaged ({error}): {again}") from error
    if about.get("format") != FORMAT:
        raise UserError(f"{folder} has format {about.get('format')}, this version reads {FORMAT}: {again}")
    try:
        if not _intact(folder, about):
            raise UserError(f"{folder} was changed after it was fetched (its content no longer matches): {again}")
        return _read_files(folder, about, again)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is damaged ({error}): {again}") from error


def _intact(folder: Path, about: Mapping[str, Any]) -> bool:
    """Whether the files are those that were written: by their SHA-256 where they are small, else by their sizes."""
    files: dict[str, list[Any]] = about["files"]
    if about["check"] != _check(about) or not all(map(_FILE.fullmatch, files)):
        return False
    whole = sum(size for size, _ in files.values()) <= SMALL
    for name, (size, digest) in files.items():
        path = folder / name
        if path.stat().st_size != size or (whole and _sha256(path) != digest):
            return False
    return True


class _Pages:
    """Keeps what mapped files hold of this process's memory within bounds.

    The system takes such pages back when memory runs short, but until then they count, and there is nothing to be
    gained from them: they stay in the system's cache.
    """

    def __init__(self) -> None:
        self.maps: list[mmap.mmap] = []
        self._looked_at = 0
        self._least = self._resident()

    def looked_at(self, nodes: int) -> None:
        """Counts nodes; every few of them, lets all pages go if they have become too many."""
        self._looked_at += nodes
        if self._looked_at < LOOK_EVERY:
            return
        self._looked_at = 0
        if self._resident() > self._least + ROOM:
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_DONTNEED)
            self._least = self._resident()

    @staticmethod
    def _resident() -> int:
        """Bytes of files that are mapped and in memory, this graph's and the program's own; 0 where nobody tells."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 (Path.open takes three times as long)
                return int(file.read().split()[2]) * mmap.PAGESIZE
        except OSError:
            return 0


def _read_files(folder: Path, about: Mapping[str, Any], again: str) -> TextAttributedGraph:
    names = {Path(name).stem for name in about["files"]}
    pages = _Pages()
    large = sum(size for size, _ in about["files"].values()) > SMALL

    def array(name: str) -> Any:
        mapped = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        pages.maps.append(mapped._mmap)
        return np.asarray(mapped)  # indexing a memmap itself costs several times as much

    def maybe(name: str) -> Any:
        return array(name) if name in names else None

    def splits(prefix: str) -> dict[str, IntArray]:
        found = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
        return {split: array(found[split]) for split in ("train", "val", "test") if split in found}

    def texts(name: str) -> Texts:
        with (folder / f"{name}.bin").open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return Texts(b"", array(name))
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        pages.maps.append(content)
        return Texts(content, array(name))

    def adjacency(name: str) -> Adjacency:
        indptr, neighbors, edges = (array(f"{name}_{part}") for part in ("indptr", "neighbors", "edges"))
        return Adjacency(indptr, neighbors, edges, looked_at=pages.looked_at if large else None)

    graph = TextAttributedGraph(
        name=about["name"],
        texts=texts("texts"),
        edge_index=array("edge_index"),
        directed=about["directed"],
        relations=maybe("relations"),
        relation_names=about["relation_names"],
        edge_texts=texts("edge_texts") if "edge_texts" in names else None,
        node_ids=texts("ids") if "ids" in names else None,
        labels=maybe("labels"),
        label_names=about["label_names"],
        label_descriptions=about["label_descriptions"],
        node_splits=splits("node_"),
        edge_splits=splits("edge_"),
        node_meaning=about["node_meaning"],
        edge_meaning=about["edge_meaning"],
        counts=about["counts"],
    )
    view = None
    if graph.num_edges:
        view = EdgeView(adjacency("visible"), adjacency("full"), splits("asked_"), about["dropped_train"])
    stored = Stored(
        fingerprint=about["fingerprint"],
        view=view,
        has_text=array("has_text"),
        reopen=(open_folder, (folder.absolute(), again)),
    )
    object.__setattr__(graph, "stored", stored)  # the dataclass is frozen for everyone else
    return graph
