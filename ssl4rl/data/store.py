"""Converted graphs on disk: numpy arrays and JSON, read without torch and without pickle.

One folder per graph, ``SSL4RL_HOME/graphs/<name>``:

- ``graph.json``: format version, names and meanings, counts, the content's fingerprint, and where the raw files came
  from (folder or hub revision, and the SHA-256 of each);
- ``nodes.jsonl``: one ``[id, text]`` per node (id null where nodes are just numbered);
- ``edges.jsonl``: one text per edge, only where edges have texts;
- ``arrays.npz``: ``edge_index``, ``relations``, ``labels``, ``node_<split>``, ``edge_<split>``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.errors import UserError
from ssl4rl.graph.graph import IntArray, TextAttributedGraph

FORMAT = 1
"""Raised when the layout, or what a loader makes of the raw files, changes."""


def home() -> Path:
    """``$SSL4RL_HOME``, by default ``~/.cache/ssl4rl``."""
    return Path(os.environ.get("SSL4RL_HOME") or "~/.cache/ssl4rl").expanduser()


def graph_folder(name: str) -> Path:
    """Where the converted graph of that name lies (or would lie)."""
    return home() / "graphs" / name


def _write_lines(path: Path, rows: Iterable[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _read_lines(path: Path) -> list[Any]:
    lines = path.read_text(encoding="utf-8").rstrip("\n")
    rows: list[Any] = json.loads("[" + lines.replace("\n", ",") + "]")
    return rows


def write_graph(graph: TextAttributedGraph, origin: Mapping[str, Any]) -> Path:
    """Writes the graph under its name, replacing what was there; ``origin`` is kept as provenance.

    Raises:
        UserError: if the folder cannot be written.
    """
    target = graph_folder(graph.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{graph.name}-", dir=target.parent))
        try:
            _write_files(graph, temporary / "new", origin)
            if target.exists():
                target.rename(temporary / "old")
            (temporary / "new").rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; set SSL4RL_HOME to a folder that can be written"
        ) from error
    return target


def _write_files(graph: TextAttributedGraph, folder: Path, origin: Mapping[str, Any]) -> None:
    folder.mkdir()
    arrays = {"edge_index": graph.edge_index}
    if graph.relations is not None:
        arrays["relations"] = graph.relations
    if graph.labels is not None:
        arrays["labels"] = graph.labels
    arrays |= {f"node_{split}": part for split, part in graph.node_splits.items()}
    arrays |= {f"edge_{split}": part for split, part in graph.edge_splits.items()}
    with (folder / "arrays.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **{key: np.asarray(array, dtype="<i8") for key, array in arrays.items()})
    ids = graph.node_ids if graph.node_ids is not None else [None] * graph.num_nodes
    _write_lines(folder / "nodes.jsonl", zip(ids, graph.texts, strict=True))
    if graph.edge_texts is not None:
        _write_lines(folder / "edges.jsonl", graph.edge_texts)
    about = {
        "format": FORMAT,
        "name": graph.name,
        "node_meaning": graph.node_meaning,
        "edge_meaning": graph.edge_meaning,
        "directed": graph.directed,
        "counts": dict(graph.counts),
        "relation_names": list(graph.relation_names),
        "label_names": list(graph.label_names),
        "label_descriptions": list(graph.label_descriptions),
        "fingerprint": graph.fingerprint,
        "origin": dict(origin),
    }
    text = json.dumps(about, ensure_ascii=False, indent=1)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8")


def read_about(name: str) -> dict[str, Any] | None:
    """The content of ``graph.json``, None if that graph was not fetched or is not readable."""
    try:
        about = json.loads((graph_folder(name) / "graph.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def read_graph(name: str) -> TextAttributedGraph:
    """Reads a converted graph and checks its content against the fingerprint taken when it was written.

    Raises:
        UserError: if it was not fetched, was written by another version, or was damaged; the message says what to do.
    """
    folder = graph_folder(name)
    again = f"run `ssl4rl data fetch {name}` (or add --from FOLDER for files you have)"
    if not (folder / "graph.json").is_file():
        raise UserError(f"dataset {name} is not here yet: {again}")
    about = read_about(name)
    if about is None:
        raise UserError(f"{folder / 'graph.json'} is damaged: {again}")
    if about.get("format") != FORMAT:
        raise UserError(f"{folder} has format {about.get('format')}, this version reads {FORMAT}: {again}")
    try:
        graph = _read_files(folder, about)
        intact = graph.fingerprint == about["fingerprint"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder} is damaged ({error}): {again}") from error
    if not intact:
        raise UserError(f"{folder} was changed after it was fetched (its content no longer matches): {again}")
    return graph


def _read_files(folder: Path, about: Mapping[str, Any]) -> TextAttributedGraph:
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        arrays: dict[str, IntArray] = {key: file[key].astype(np.int64, copy=False) for key in file.files}

    def splits(prefix: str) -> dict[str, IntArray]:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    nodes = _read_lines(folder / "nodes.jsonl")
    edges = folder / "edges.jsonl"
    return TextAttributedGraph(
        name=about["name"],
        texts=[text for _, text in nodes],
        edge_index=arrays["edge_index"],
        directed=about["directed"],
        relations=arrays.get("relations"),
        relation_names=about["relation_names"],
        edge_texts=_read_lines(edges) if edges.is_file() else None,
        node_ids=None if not nodes or nodes[0][0] is None else [node for node, _ in nodes],
        labels=arrays.get("labels"),
        label_names=about["label_names"],
        label_descriptions=about["label_descriptions"],
        node_splits=splits("node_"),
        edge_splits={key: part for key, part in splits("edge_").items() if key != "index"},
        node_meaning=about["node_meaning"],
        edge_meaning=about["edge_meaning"],
        counts=about["counts"],
    )
