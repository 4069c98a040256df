"""Reads a graph from a folder of plain files: nodes and edges as csv, jsonl or parquet, and an optional dataset.yaml.

``load_folder`` stops at the first problem; ``check_folder`` names them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ssl4rl.data.graphs.summary import summarise
from ssl4rl.data.tables import SPLIT_NAMES, Problems, Table, find_table, read_table, where
from ssl4rl.data.text import class_name, clean, indexed, sentences
from ssl4rl.errors import UserError, unknown
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import SPLITS, Report

KEYS = ("name", "id", "text", "label", "kind", "split", "relation", "node", "edge", "directed")
"""What dataset.yaml may hold."""

BODIES = ("content", "abstract", "description")
"""Columns that follow a title, first match wins, if dataset.yaml does not say what a text is."""


def load_folder(folder: Path) -> TextAttributedGraph:
    """Reads a folder of plain files.

    Raises:
        UserError: at the first problem; it names file, row and field.
    """
    return _read(folder, Problems(strict=True))


def check_folder(folder: Path) -> Report:
    """Reads a folder of plain files and collects every problem."""
    problems = Problems(strict=False)
    try:
        graph = _read(folder, problems)
    except UserError as error:
        problems.add(str(error))
    return Report(problems.messages, None if problems.messages else summarise(graph))


def _read(folder: Path, problems: Problems) -> TextAttributedGraph:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    settings = _settings(folder / "dataset.yaml")
    node_file, edge_file = (find_table(folder, stem) for stem in ("nodes", "edges"))
    number_of, node_fields = _nodes(read_table(node_file, problems), settings, problems)
    edge_index, edge_fields = _edges(read_table(edge_file, problems), settings, number_of, problems)
    name = settings.get("name") or folder.resolve().name
    graph = TextAttributedGraph.from_edges(name, edge_index=edge_index, **node_fields, **edge_fields)
    if not graph.num_edges and not problems.messages:
        kind = "only self-loops" if graph.counts["self_loops"] else "no edges"
        raise UserError(f"{edge_file} has {kind}; every graph task needs edges between two nodes")
    return graph


def _settings(path: Path) -> dict[str, Any]:
    """The content of dataset.yaml, ``{}`` if there is none."""
    if not path.is_file():
        return {}
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = f", row {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{row}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected lines such as `text: title`; the keys are {', '.join(KEYS)}")
    for key, value in settings.items():
        if key not in KEYS:
            raise UserError(f"{path}: {unknown('key', str(key), KEYS)}")
        expected = bool if key == "directed" else str
        if value is not None and not isinstance(value, expected):
            form = "must be true or false" if expected is bool else "must be text; put it in quotes"
            raise UserError(f"{path}: `{key}` is {value!r}, but {form}")
    return {key: value for key, value in settings.items() if value is not None and value != ""}


def _nodes(table: Table, settings: dict[str, Any], problems: Problems) -> tuple[dict[str, int], dict[str, Any]]:
    """The number of each node by its id, and the graph's fields that come from nodes."""
    id_column = table.require(settings.get("id", "id"), "id")
    text_of = _text_rule(table, settings.get("text"))
    label_column = _optional(table, settings, "label", ("label_name", "label"))
    kind_column = _optional(table, settings, "kind", ("kind",))
    split_column = _optional(table, settings, "split", ("split",))
    number_of: dict[str, int] = {}
    row_of: dict[str, int] = {}
    texts, names, kinds = [], [], []
    members: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, cells in table.rows:
        node = cells.get(id_column, "").strip()
        if not node:
            problems.add(f"{where(table.path, row, id_column)}: the id is missing")
            continue
        if node in row_of:
            problems.add(f"{where(table.path, row, id_column)}: id {node!r} is a duplicate of row {row_of[node]}")
            continue
        split = cells.get(split_column, "").strip() if split_column else ""
        if split and split.lower() not in SPLIT_NAMES:
            problems.add(f"{where(table.path, row, split_column)}: {split!r} is not train, val or test (or empty)")
        elif split:
            members[SPLIT_NAMES[split.lower()]].append(len(number_of))
        row_of[node], number_of[node] = row, len(number_of)
        texts.append(text_of(cells))
        names.append(class_name(cells.get(label_column, "")) if label_column else "")
        kinds.append(clean(cells.get(kind_column, "")) if kind_column else "")
    fields: dict[str, Any] = {"texts": texts, "node_ids": list(number_of)}
    if any(names):
        fields["label_names"], fields["labels"] = indexed(names)
    if any(kinds):
        fields["kind_names"], fields["kinds"] = indexed(kinds)
    if split_column:
        fields["node_splits"] = {split: np.array(part, dtype=np.int64) for split, part in members.items()}
    if "node" in settings:
        fields["node_meaning"] = settings["node"]
    return number_of, fields


def _edges(
    table: Table, settings: dict[str, Any], number_of: dict[str, int], problems: Problems
) -> tuple[IntArray, dict[str, Any]]:
    """``edge_index`` [2, E], and the graph's fields that come from edges."""
    source, target = table.require("source", ""), table.require("target", "")
    relation = _optional(table, settings, "relation", ("relation",))
    ends: list[tuple[int, int]] = []
    relations, texts = [], []
    for row, cells in table.rows:
        pair = [cells.get(column, "").strip() for column in (source, target)]
        missing = False
        for column, node in zip((source, target), pair, strict=True):
            if node not in number_of:
                problem = f"no node has the id {node!r}" if node else "the id is missing"
                problems.add(f"{where(table.path, row, column)}: {problem}")
                missing = True
        name = clean(cells.get(relation, "")) if relation else ""
        if relation and not name:
            problems.add(f"{where(table.path, row, relation)}: the relation is missing")
            missing = True
        if missing:
            continue
        ends.append((number_of[pair[0]], number_of[pair[1]]))
        relations.append(name)
        texts.append(clean(cells.get("text", "")))
    fields: dict[str, Any] = {"directed": settings.get("directed", relation != "")}
    if relation:
        fields["relation_names"], fields["relations"] = indexed(relations)
    if any(texts):
        fields["edge_texts"] = texts
    if "edge" in settings:
        fields["edge_meaning"] = settings["edge"]
    return np.array(ends, dtype=np.int64).reshape(-1, 2).T, fields


def _optional(table: Table, settings: dict[str, Any], key: str, usual: Sequence[str]) -> str:
    """The column that dataset.yaml names (it must exist), else the first usual one that exists, else ``""``."""
    if key in settings:
        return table.require(settings[key], key)
    return next((column for column in usual if column in table.columns), "")


def _text_rule(table: Table, setting: str | None) -> Callable[[dict[str, str]], str]:
    """How a row becomes a text: by a template over columns, from one column, or from a title and a body."""
    if setting is not None and "{" in setting:
        columns = re.findall(r"\{([^{}]*)\}", setting)
        if not columns or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", setting)):
            raise UserError(f"{table.path}: in the template {setting!r} a brace is not closed or names no column")
        for column in columns:
            table.require(column, "text")

        def fill(cells: dict[str, str]) -> str:
            values = {column: clean(cells.get(column, "")) for column in columns}
            if not any(values.values()):
                return ""  # the template's own words say nothing about the node
            return clean(re.sub(r"\{([^{}]*)\}", lambda match: values[match[1]], setting))

        return fill
    if setting is not None or "text" in table.columns:
        column = table.require(setting or "text", "text")
        return lambda cells: clean(cells.get(column, ""))
    if "title" in table.columns:
        body = next((column for column in BODIES if column in table.columns), "")
        return lambda cells: sentences(cells.get("title", ""), cells.get(body, ""))
    raise UserError(
        f"{table.path}: there is no column 'text' or 'title'; its columns are {', '.join(table.columns)} "
        '(set `text:` in dataset.yaml to a column, or to a template such as "{name}. {notes}")'
    )
