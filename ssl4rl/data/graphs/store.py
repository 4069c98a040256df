"""Converted graphs on disk: numpy arrays and texts that are mapped into memory, without torch and without pickle.

A graph is a folder, ``SSL4RL_HOME/graphs/<name>`` or anywhere else, with these files:

- ``graph.json``: the format's version, names and meanings, counts, the fingerprint of the content, where the raw files
  came from (folder or hub revision, and the SHA-256 of each), and the size and SHA-256 of every file below;
- ``edge_index.npy``, ``relations.npy``, ``labels.npy``, ``kinds.npy``, ``node_<split>.npy``, ``edge_<split>.npy``: the
  graph's arrays;
- ``visible_*.npy``, ``full_*.npy``, ``asked_<split>.npy``, ``has_text.npy``: what every task would compute from those;
- ``texts``, ``edge_texts`` and ``ids`` (if the graph has them): all texts in UTF-8, end to end (``.bin``), and the
  start of each, followed by the end of the last (``.npy``).

Nothing is loaded when a graph is opened: each part is read when it is used, so a graph may be larger than memory. On
opening, the files of a small graph are compared with their SHA-256; of a large graph, only the sizes are compared.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.graph import Stored, TextAttributedGraph, encode
from ssl4rl.graph.view import EdgeView, edge_view
from ssl4rl.home import home
from ssl4rl.source import SPLITS

FORMAT = 2
"""To be raised when the layout changes, or the way in which the raw files are parsed."""

SMALL = 256 << 20
"""Bytes up to which a graph counts as small: its content is checked on opening, and all of it may stay in memory."""

ROOM = 384 << 20
"""Bytes of a large graph's files that may stay in a process's memory while it samples."""

CHECK_EVERY = 16
"""Nodes that are read between two checks of that limit. Each node is a handful of reads, and one read may map 2 MiB."""

_FILE = re.compile(r"[a-z_]+\.(npy|bin)")


class Texts(Sequence[str]):
    """Texts in a mapped file; each is decoded when it is read.

    ``content`` holds them in UTF-8, end to end; text ``i`` is ``content[starts[i]:starts[i + 1]]``.
    """

    def __init__(self, content: mmap.mmap | bytes, starts: IntArray) -> None:
        self._content = content
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._content[self._starts[index] : self._starts[index + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def graph_folder(name: str) -> Path:
    """Where the converted graph of that name is kept."""
    return home() / "graphs" / name


def write_graph(graph: TextAttributedGraph, origin: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Writes the graph under its name or into ``folder``, replacing an earlier copy; ``origin`` is kept as provenance.

    The adjacencies are built here, once for all readers, which takes about 100 bytes of memory per edge.

    Raises:
        UserError: if the folder cannot be written, or holds anything but a converted graph.
    """
    target = graph_folder(graph.name) if folder is None else folder
    if folder is not None and not (folder / "graph.json").is_file() and (folder.is_file() or any(folder.glob("*"))):
        raise UserError(f"{folder} exists and is not a converted graph; give a new folder")
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
        advice = "set SSL4RL_HOME to" if folder is None else "give"
        raise UserError(f"cannot write {target}: {error.strerror}; {advice} a writable folder") from error
    return target


def _write_files(graph: TextAttributedGraph, folder: Path, origin: Mapping[str, Any]) -> None:
    folder.mkdir()
    arrays: dict[str, Any] = {"edge_index": graph.edge_index, "has_text": graph.has_text}
    if graph.relations is not None:
        arrays["relations"] = graph.relations
    if graph.labels is not None:
        arrays["labels"] = graph.labels
    if graph.kinds is not None:
        arrays["kinds"] = graph.kinds
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
        _flush(folder / name)
    manifest = {
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
        "kind_names": list(graph.kind_names),
        "fingerprint": graph.fingerprint,
        "files": files,
        "origin": dict(origin),
    }
    manifest["check"] = _checksum(manifest)
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8")


def _write_texts(path: Path, texts: Sequence[str]) -> IntArray:
    """Writes the texts end to end; returns the start of each, followed by the end of the last, [len + 1]."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    with path.open("wb") as file:
        for number, encoded in enumerate(encode(texts), start=1):
            starts[number] = starts[number - 1] + file.write(encoded)
    return starts


def _flush(path: Path) -> None:
    """Flushes the file to disk and drops it from the page cache.

    Some systems cache fresh writes in blocks of 2 MiB, and a reader's first access then maps a whole block.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the content of ``graph.json`` without the checksum itself."""
    content = {key: value for key, value in manifest.items() if key != "check"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(name: str) -> dict[str, Any] | None:
    """The content of ``graph.json``, or None if that graph was not fetched or its file is unreadable."""
    try:
        manifest = json.loads((graph_folder(name) / "graph.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def read_graph(name: str) -> TextAttributedGraph:
    """Opens a converted graph by its name.

    Raises:
        UserError: if it was not fetched, or was written by another version, or is damaged.
    """
    remedy = f"run `ssl4rl data fetch {name}` (or add --from FOLDER for files you have)"
    folder = graph_folder(name)
    if not (folder / "graph.json").is_file():
        raise UserError(f"dataset {name} is not here yet: {remedy}")
    return open_folder(folder, remedy)


def open_folder(folder: Path, remedy: str = "convert it again") -> TextAttributedGraph:
    """Opens the converted graph in a folder; ``remedy`` is the advice in messages.

    Raises:
        UserError: if it was written by another version, or is damaged.
    """
    try:
        manifest = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'graph.json'} is damaged ({error}): {remedy}") from error
    if manifest.get("format") != FORMAT:
        raise UserError(f"{folder} has format {manifest.get('format')}, but this version reads {FORMAT}: {remedy}")
    try:
        if not _intact(folder, manifest):
            raise UserError(f"{folder} has changed since it was written (the checksums no longer match): {remedy}")
        return _read_files(folder, manifest, remedy)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is damaged ({error}): {remedy}") from error


def _intact(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the files are as they were written: by their SHA-256 if the graph is small, else by their sizes."""
    files: dict[str, list[Any]] = manifest["files"]
    if manifest["check"] != _checksum(manifest) or not all(map(_FILE.fullmatch, files)):
        return False
    is_small = sum(size for size, _ in files.values()) <= SMALL
    for name, (size, digest) in files.items():
        path = folder / name
        if path.stat().st_size != size or (is_small and _sha256(path) != digest):
            return False
    return True


class _Pages:
    """Limits how much memory the mapped files of a graph take up in this process.

    The system takes such pages back when memory runs short. Until then they count as the process's own, and releasing
    them costs little: they stay in the page cache.
    """

    def __init__(self) -> None:
        self.maps: list[mmap.mmap] = []
        self._visited = 0
        self._least = self._resident()

    def visited(self, nodes: int) -> None:
        """Counts nodes that were read; every few of them, releases all pages if they exceed the limit."""
        self._visited += nodes
        if self._visited < CHECK_EVERY:
            return
        self._visited = 0
        if sys.platform != "win32" and self._resident() > self._least + ROOM:
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_DONTNEED)
            self._least = self._resident()

    @staticmethod
    def _resident() -> int:
        """Bytes of mapped files in memory, this graph's and the program's own; 0 if the system does not report them."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 (Path.open takes three times as long)
                return int(file.read().split()[2]) * mmap.PAGESIZE
        except OSError:
            return 0


def _read_files(folder: Path, manifest: Mapping[str, Any], remedy: str) -> TextAttributedGraph:
    names = {Path(name).stem for name in manifest["files"]}
    pages = _Pages()
    large = sum(size for size, _ in manifest["files"].values()) > SMALL

    def array(name: str) -> Any:
        mapped = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        pages.maps.append(mapped._mmap)
        return np.asarray(mapped)  # indexing the memmap itself is several times slower

    def optional(name: str) -> Any:
        return array(name) if name in names else None

    def splits(prefix: str) -> dict[str, IntArray]:
        return {split: array(f"{prefix}{split}") for split in SPLITS if f"{prefix}{split}" in names}

    def texts(name: str) -> Texts:
        with (folder / f"{name}.bin").open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return Texts(b"", array(name))
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        pages.maps.append(content)
        return Texts(content, array(name))

    def adjacency(name: str) -> Adjacency:
        indptr, neighbors, edges = (array(f"{name}_{part}") for part in ("indptr", "neighbors", "edges"))
        return Adjacency(indptr, neighbors, edges, on_visit=pages.visited if large else None)

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
    )
    view = None
    if graph.num_edges:
        view = EdgeView(adjacency("visible"), adjacency("full"), splits("asked_"), manifest["dropped_train"])
    stored = Stored(
        fingerprint=manifest["fingerprint"],
        view=view,
        has_text=array("has_text"),
        reopen=(open_folder, (folder.absolute(), remedy)),
    )
    object.__setattr__(graph, "stored", stored)  # the dataclass is frozen, and only the store sets this
    return graph
