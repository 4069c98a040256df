"""Converted graphs on disk: numpy arrays and texts that are mapped into memory, without torch and without pickle.

A graph is a folder, ``SSL4RL_HOME/graphs/<name>`` or anywhere else. Its files lie in a folder of that with a number,
the version; converting it again writes the next one, and the one before stays for jobs that read it.

- ``graph.json``: the format's version, names and meanings, counts, the fingerprint of the content, where the raw files
  came from (folder or hub revision, and the SHA-256 of each), and the size and SHA-256 of every file below. The one
  beside the versions is a copy that names the latest, and is what is replaced last;
- ``edge_index.npy``, ``relations.npy``, ``labels.npy``, ``kinds.npy``, ``node_<split>.npy``, ``edge_<split>.npy``: the
  graph's arrays;
- ``visible_*.npy``, ``full_*.npy``, ``asked_<split>.npy``, ``has_text.npy``, ``num_words.npy``: what every task would
  compute from those; in ``kept``, past 64 MiB, what single tasks do (:class:`ssl4rl.data.graphs.opened.Shelf`);
- ``texts``, ``edge_texts`` and ``ids`` (if the graph has them): all texts in UTF-8, end to end (``.bin``), and the
  start of each, followed by the end of the last (``.npy``).

Nothing is loaded when a graph is opened: each part is read when it is used, so a graph may be larger than memory. On
opening, the files of a small graph are compared with their SHA-256; of a large graph, only the sizes are compared.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs import opened
from ssl4rl.data.graphs.opened import read_files, size_of
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.arrays import TextFile, blocks, encode, in_folder, scratch
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import build_view
from ssl4rl.home import home
from ssl4rl.records import parse_json
from ssl4rl.tally import as_data

FORMAT = 3
"""To be raised when the layout changes, or the way in which the raw files are parsed or what is kept is computed."""

_FILE = re.compile(r"[a-z_]+\.(npy|bin)")


def graph_folder(name: str) -> Path:
    """Where the converted graph of that name is kept."""
    return home() / "graphs" / name


def convert(dataset: str, folder: Path) -> TextAttributedGraph:
    """Converts a dataset, by its name or its files, into ``folder``, and returns what is there then.

    What is read of the files lies in temporary ones beside ``folder``, of about their size, until it is written.

    Raises:
        UserError: if the dataset cannot be read, or the folder not be written.
    """
    from ssl4rl.data.graphs import GRAPH

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
        with place as temporary, scratch(Path(temporary)):
            write_graph(GRAPH.load(dataset), {"dataset": dataset}, folder)
    except OSError as error:
        raise _unwritable(folder, error, "give") from error
    return open_folder(folder)


def write_graph(graph: TextAttributedGraph, origin: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Writes the graph under its name or into ``folder``, as a new version; ``origin`` is kept as provenance.

    What was there is kept until the next time, for jobs that read it. The adjacencies are built here, once for all
    readers, and of a large graph what tasks compute of it as well: 1 to 2 GB of memory up to 100 million edges.

    Raises:
        UserError: if the folder cannot be written, or holds anything but a converted graph.
    """
    target = graph_folder(graph.name) if folder is None else folder
    if folder is not None and not is_converted(folder) and (folder.is_file() or not _only_versions(folder)):
        raise UserError(f"{folder} exists and is not a converted graph; give a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            manifest = _write_files(graph, temporary / "new", origin)
            if size_of(manifest) > opened.KEPT_FROM:
                opened.compute_once(read_files(temporary / "new", manifest, open_folder, ""))
            target.mkdir(exist_ok=True)
            earlier = _version(target)
            latest = str(1 + max((int(path.name) for path in target.iterdir() if path.name.isdecimal()), default=0))
            (temporary / "new").rename(target / latest)
            manifest = _sealed({**manifest, "folder": latest})
            (temporary / "graph.json").write_text(_as_json(manifest), encoding="utf-8")
            (temporary / "graph.json").replace(target / "graph.json")
            _forget(target, {latest, earlier})
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _unwritable(target, error, "set SSL4RL_HOME to" if folder is None else "give") from error
    return target


def _unwritable(folder: Path, error: OSError, advice: str) -> UserError:
    if error.errno == errno.ENOSPC:
        return UserError(f"cannot write {folder}: the disk is full; free some of it, or {advice} a folder on another")
    return UserError(f"cannot write {folder}: {error.strerror}; {advice} a writable folder")


def is_converted(folder: Path) -> bool:
    """Whether a folder's ``graph.json`` is that of a converted graph, of any format and damaged or not."""
    try:
        manifest = parse_json((folder / "graph.json").read_text(encoding="utf-8"))
    except OSError:
        return False
    except ValueError:
        return True  # whatever wrote it, `open_folder` says that it is damaged
    return isinstance(manifest, dict) and {"fingerprint", "files"} <= manifest.keys()


def _only_versions(folder: Path) -> bool:
    """Whether all that is visible in a folder are converted graphs by number, as a killed process leaves them."""
    return all(path.name.isdecimal() and is_converted(path) for path in folder.glob("*"))


def _version(folder: Path) -> str:
    """The version that readers of a folder get; ``""`` if there is none, or its files lie in the folder itself."""
    try:
        return str(parse_json((folder / "graph.json").read_text(encoding="utf-8")).get("folder", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _forget(folder: Path, kept: Set[str]) -> None:
    """Deletes all versions but these; ``""`` stands for files in the folder itself, where they used to be."""
    for path in folder.iterdir():
        if path.name.isdecimal() and path.name not in kept and is_converted(path):
            shutil.rmtree(path, ignore_errors=True)
        elif _FILE.fullmatch(path.name) and "" not in kept:
            path.unlink()


def _write_files(graph: TextAttributedGraph, folder: Path, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a version of the graph, and returns the content of its graph.json."""
    folder.mkdir()
    place = in_folder(folder)

    def save(name: str, array: NDArray[Any] | None) -> None:
        if array is not None:
            flat, grown = array.reshape(-1), place(name, array.dtype)
            for part in blocks(len(flat), flat):
                grown.append(flat[part])
            grown.finish(len(array) if array.ndim == 2 else 0)

    for name, content in (("texts", graph.texts), ("ids", graph.node_ids), ("edge_texts", graph.edge_texts)):
        if content is not None:
            written = TextFile(folder / f"{name}.bin", place(name, np.int64))
            for encoded in encode(content):
                written.append_encoded(encoded)
            written.finish()
    for name in ("edge_index", "has_text", "num_words", "relations", "labels", "kinds"):
        save(name, getattr(graph, name))
    for prefix, splits in (("node", graph.node_splits), ("edge", graph.edge_splits)):
        for split, part in splits.items():
            save(f"{prefix}_{split}", part)
    dropped_train = 0
    if graph.num_edges:
        view = build_view(graph, Adjacency.build(graph.num_nodes, graph.edge_index, None, place, "full"), place)
        dropped_train = view.dropped_train
        for name, adjacency in (("visible", view.visible), ("full", view.full)):
            save(f"{name}_degrees", adjacency.degrees)
        for split, part in view.asked.items() if graph.edge_splits else ():
            save(f"asked_{split}", part)
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
        "reading": as_data(graph.reading),
        "dropped_train": dropped_train,
        "relation_names": list(graph.relation_names),
        "label_names": list(graph.label_names),
        "label_descriptions": list(graph.label_descriptions),
        "kind_names": list(graph.kind_names),
        "fingerprint": graph.fingerprint,
        "files": files,
        "origin": dict(origin),
    }
    manifest = _sealed(manifest)
    (folder / "graph.json").write_text(_as_json(manifest), encoding="utf-8")
    return manifest


def _as_json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"


def _sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**manifest, "check": _checksum(manifest)}


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
        manifest = parse_json((graph_folder(name) / "graph.json").read_text(encoding="utf-8"))
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


def open_folder(folder: Path, remedy: str = "") -> TextAttributedGraph:
    """Opens the converted graph in a folder; ``remedy`` is the advice in messages.

    Raises:
        UserError: if it was written by another version, or is damaged.
    """
    manifest: Any = None
    try:
        manifest = parse_json((folder / "graph.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'graph.json'} is damaged ({error}): {remedy or 'convert it again'}") from error
    origin = manifest.get("origin")
    dataset = origin.get("dataset", "DATASET") if isinstance(origin, dict) else "DATASET"
    remedy = remedy or f"run `ssl4rl data convert {dataset} {folder}`"
    if manifest.get("format") != FORMAT:
        raise UserError(f"{folder} has format {manifest.get('format')}, but this version reads {FORMAT}: {remedy}")
    try:
        version = folder / manifest.get("folder", "")
        if not _intact(version, manifest):
            raise UserError(f"{folder} has changed since it was written (the checksums no longer match): {remedy}")
        return read_files(version, manifest, open_folder, remedy)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is damaged ({error}): {remedy}") from error


def _intact(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the files are as they were written: by their SHA-256 if the graph is small, else by their sizes."""
    files: dict[str, list[Any]] = manifest["files"]
    if manifest["check"] != _checksum(manifest) or not all(map(_FILE.fullmatch, files)):
        return False
    if not re.fullmatch(r"\d*", manifest.get("folder", "")):
        return False
    is_small = size_of(manifest) <= opened.SMALL
    for name, (size, digest) in files.items():
        path = folder / name
        if path.stat().st_size != size or (is_small and _sha256(path) != digest):
            return False
    return True
