"""Folders laid out as OGB's node datasets, such as ogbn-arxiv: ``raw``, ``mapping`` and ``split``.

OGB's own files hold no texts. Those of ogbn-arxiv are in ``titleabs.tsv`` (paper, title and abstract), which OGB's page
offers apart; it may be in the folder itself, in ``raw`` or in ``mapping``.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.fields import MOST_CODES
from ssl4rl.data.graphs.settings import MEANING_WITHOUT_MASKS, meanings, read_settings
from ssl4rl.data.graphs.splits import disjoint, keep_one
from ssl4rl.data.packed import read_gzip
from ssl4rl.data.tables import SPLIT_NAMES
from ssl4rl.data.text import clean, indexed, present, sentences
from ssl4rl.errors import UserError, quoted
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.tally import Tally

EDGES = "raw/edge.csv"


def is_ogb(folder: Path) -> bool:
    """Whether a folder has OGB's table of edges."""
    return any(_places(folder, EDGES))


def read_ogb(folder: Path) -> TextAttributedGraph:
    """The graph of a folder in OGB's layout, directed as its citations are.

    Raises:
        UserError: if a file is missing or malformed, or nodes have no texts.
    """
    settings = read_settings(folder / "dataset.yaml", MEANING_WITHOUT_MASKS)
    labels_file = _one(folder, "raw/node-label.csv")
    labels = _numbers(labels_file, gap=-1)[:, 0]
    count = len(labels)
    if labels.max(initial=0) >= MOST_CODES + count:
        raise UserError(f"{labels_file}, row {labels.argmax() + 1}: class {labels.max()}; classes are numbered from 0")
    named = [row for row in _rows(_one(folder, "mapping/nodeidx2paperid.csv"), ",", 2) if row[0].isdecimal()]
    named.sort(key=lambda row: int(row[0]))
    papers = [row[1] for row in named]
    if [int(row[0]) for row in named] != list(range(count)):
        raise UserError(f"{folder}: {len(papers):,} nodes in mapping/nodeidx2paperid.csv for {count:,} labels")
    texts, rows = _texts(folder, papers)
    names = _class_names(folder, int(labels.max(initial=-1)) + 1)
    graph = TextAttributedGraph.from_edges(
        settings.get("name") or folder.resolve().name,
        texts,
        _numbers(_one(folder, EDGES), 2).T,
        directed=settings.get("directed", True),
        node_ids=papers,
        labels=np.maximum(labels, -1),
        label_names=names,
        node_splits=_splits(folder, count),
        **({"node_meaning": "a paper", "edge_meaning": "the first paper cites the second"} | meanings(settings)),
    )
    return replace(graph, reading=[_files(folder), rows, *graph.reading])


def _files(folder: Path) -> Tally:
    """The files of the folder that are read, and the others."""
    read = ("edge", "node-label", "nodeidx2paperid", "labelidx2", "titleabs", "dataset.yaml", *SPLIT_NAMES)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    used = [path.name for path in files if path.name.startswith(read)]
    return Tally.of_named("files", [path.name for path in files], used, "other files")


def _texts(folder: Path, papers: list[str]) -> tuple[list[str], Tally]:
    """The text of each paper, and how many rows of texts there are."""
    place = next((path for part in ("", "raw/", "mapping/") for path in _places(folder, f"{part}titleabs.tsv")), None)
    if place is None:
        raise UserError(f"{folder} holds no titleabs.tsv with the papers' titles and abstracts; download it beside raw")
    wanted, texts, found, reasons = set(papers), {}, 0, Counter[str]()
    for row in _rows(place, "\t"):
        found += 1
        if row[0] not in wanted:
            reasons["texts of papers that are not in the graph" if row[0].isdecimal() else "rows without a number"] += 1
        elif row[0] in texts:
            raise UserError(f"{place}: paper {row[0]} occurs twice; keep one of its rows")
        else:
            texts[row[0]] = sentences(*map(present, row[1:3]))
    rows = Tally.of(f"rows of {place.name}", found, reasons, len(texts))
    return [texts.get(paper, "") for paper in papers], rows


def _class_names(folder: Path, count: int) -> list[str]:
    """What the classes are called, by the index that the table states."""
    path = next((each for each in folder.glob("mapping/labelidx2*") if each.is_file()), None)
    named: dict[int, str] = {}
    for number, (code, name, *_) in enumerate(_rows(path, ",", 2) if path else (), start=1):
        if code.isdecimal() and len(code) <= len(str(MOST_CODES + count)):
            if named.setdefault(int(code), clean(name)) != clean(name):
                raise UserError(f"{path}, row {number}: class {code} has another name above; keep one")
        elif number > 1:  # the first row is a header
            raise UserError(f"{path}, row {number}: expected the number of a class, got {quoted(code)}")
    names = [named.get(code, f"class {code}") for code in range(max([count, *(code + 1 for code in named)]))]
    return names if len(indexed(names)[0]) == len(names) else [f"{name} ({code})" for code, name in enumerate(names)]


def _splits(folder: Path, count: int) -> dict[str, IntArray]:
    """The nodes of each split of the one way in which the dataset is split."""
    ways = sorted(path for path in folder.glob("split/*") if path.is_dir())
    if not ways:
        return {}
    if len(ways) > 1:
        raise UserError(f"{folder}/split holds {' and '.join(way.name for way in ways)}; keep the one to use")
    masks: dict[str, NDArray[np.bool_]] = {}
    file_of: dict[str, str] = {}
    for word, split in SPLIT_NAMES.items():
        for path in _places(ways[0], f"{word}.csv"):
            if split in file_of:
                raise keep_one(file_of[split], path.name, split, str(ways[0]))
            file_of[split] = path.name
            nodes = _numbers(path)[:, 0]
            if len(nodes) and (nodes.min() < 0 or nodes.max() >= count):
                raise UserError(f"{path}: it names a node beyond 0 to {count - 1}")
            masks[split] = np.zeros(count, dtype=bool)
            masks[split][nodes] = True
    return disjoint(masks, str(ways[0]))


def _places(folder: Path, name: str) -> Iterator[Path]:
    """The files of that name, plain or gzipped."""
    return (path for path in (folder / name, folder / f"{name}.gz") if path.is_file())


def _one(folder: Path, name: str) -> Path:
    path = next(_places(folder, name), None)
    if path is None:
        raise UserError(f"{folder} holds no {name} or {name}.gz, which belongs to OGB's layout")
    return path


def _rows(path: Path, separator: str, least: int = 1) -> Iterator[list[str]]:
    """The rows of a csv or of a tsv, each of ``least`` cells or more; a quote in a tsv is text."""
    try:
        content = read_gzip(path) if path.suffix == ".gz" else path.read_bytes()
        lines = content.decode("utf-8-sig").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not UTF-8, or not gzipped: {error}") from error
    stripped = (line.rstrip("\r") for line in lines if line.strip())
    rows = csv.reader(stripped, delimiter=",") if separator == "," else (line.split(separator) for line in stripped)
    for number, row in enumerate(rows, start=1):
        if len(row) < least:
            raise UserError(f"{path}, row {number}: expected {least} cells, got {len(row)}")
        yield row


def _numbers(path: Path, columns: int = 1, gap: int | None = None) -> IntArray:
    """The whole numbers of a csv without a header, [rows, columns]; an empty cell, or NaN, is ``gap``.

    Raises:
        UserError: naming the row that holds anything else.
    """
    rows = []
    for number, row in enumerate(_rows(path, ","), start=1):
        if len(row) != columns:
            raise UserError(f"{path}, row {number}: expected {columns} numbers, got {len(row)}")
        rows.append([_whole(cell, gap, f"{path}, row {number}") for cell in row])
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


def _whole(cell: str, gap: int | None, place: str) -> int:
    try:
        value = float(cell) if cell.strip() else math.nan
    except ValueError as error:
        raise UserError(f"{place}: {error}; OGB's tables hold numbers and have no header") from error
    if math.isnan(value) and gap is not None:
        return gap
    if not value.is_integer() or abs(value) >= 2**53:
        raise UserError(f"{place}: {quoted(cell)} is not a whole number")
    return int(value)
