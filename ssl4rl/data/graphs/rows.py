"""The fields of a graph from a table of nodes and one of edges, whichever files or objects these come from."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.data.graphs.ids import Ids
from ssl4rl.data.graphs.settings import meanings
from ssl4rl.data.graphs.splits import Members, SplitColumns
from ssl4rl.data.tables import Problems, Table
from ssl4rl.data.text import Words, class_names, clean, sentences
from ssl4rl.errors import UserError, listed
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.arrays import Numbers, growing_texts
from ssl4rl.graph.graph import TextAttributedGraph

ID = ("id", ":id", "node_id")
TITLES = ("title", "name")
BODIES = ("content", "abstract", "description")
"""Columns that follow a title, first match wins, if dataset.yaml does not say what a text is."""
LABELS = ("label_name", "label")
KINDS = ("kind", ":label")
ENDS = (("source", "target"), (":start_id", ":end_id"), ("head", "tail"), ("subject", "object"))
"""Columns that hold an edge's two nodes, first match wins: ours and Gephi's, Neo4j's, those of knowledge graphs."""
RELATIONS = ("relation", ":type", "predicate")
FEW_UNKNOWN = 5
"""Ids of no node that are named where rows of nodes could not be read, and these are the likely reason."""


def graph_of(
    name: str, nodes: Table, edges: Table, settings: dict[str, Any], problems: Problems
) -> TextAttributedGraph:
    """The graph of a table of nodes and one of edges; bad rows go to ``problems``.

    Raises:
        UserError: if a column is missing.
    """
    _check_columns(nodes, edges, settings)
    ids, node_fields, counts, lost = _nodes(nodes, settings, problems)
    edge_index, edge_fields, edge_counts = _edges(edges, settings, ids, problems, lost)
    graph = TextAttributedGraph.from_edges(
        settings.get("name") or name, edge_index=edge_index, **node_fields, **edge_fields, **meanings(settings)
    )
    reading = [nodes.tally_rows(graph.num_nodes), edges.tally_rows(graph.counts["edges"]), *graph.reading]
    return replace(graph, counts={**graph.counts, **counts, **edge_counts}, reading=reading)


def _check_columns(nodes: Table, edges: Table, settings: dict[str, Any]) -> None:
    """Refuses tables that lack several of the columns that every graph needs, all of them in one message.

    Raises:
        UserError: naming each; where one is missing, who reads it says so.
    """
    checks: list[Callable[[], Any]] = [
        lambda: _id_column(nodes, settings),
        lambda: _text_rule(nodes, settings.get("text"), Counter()),
        lambda: _ends(edges, settings),
    ]
    missing = []
    for check in checks:
        try:
            check()
        except UserError as error:
            missing.append(str(error))
    if len(missing) > 1:
        raise UserError("; ".join(missing))


def _nodes(
    table: Table, settings: dict[str, Any], problems: Problems
) -> tuple[Ids, dict[str, Any], dict[str, int], str]:
    """The nodes by their ids, the graph's fields that come from nodes, what was counted, and which ids were lost."""
    id_column = _id_column(table, settings)
    gaps = Counter[str]()
    text_of = _text_rule(table, settings.get("text"), gaps)
    # Gephi's `Label` is a node's name, whereas `label` is a class here.
    is_gephi = id_column == "Id" and "Label" in table.columns and "label" not in table.columns
    label_column = _optional(table, settings, "label", LABELS[:1] if is_gephi else LABELS)
    kind_column = _optional(table, settings, "kind", KINDS)
    splits = Members(SplitColumns(table, settings, problems))
    table.report_unreadable(problems)
    ids, row_of = Ids(), array("q")
    texts, names, labels, kinds = growing_texts(), growing_texts(), Words(), Words()
    met = 0
    for row, cells in table.rows:
        met += 1
        node = cells.get(id_column, "").strip()
        if not node:
            problems.add(f"{table.place(row, id_column)}: the id is missing")
            continue
        known = ids.add(node)
        if known is not None:
            problems.add(f"{table.place(row, id_column)}: id {node!r} is a duplicate of row {row_of[known]}")
            continue
        splits.add(row, cells)
        row_of.append(row)
        names.append(node)
        texts.append(text_of(cells))
        if label_column:
            labels.add(cells.get(label_column, ""))
        if kind_column:
            kinds.add(cells.get(kind_column, ""))
    fields: dict[str, Any] = {"texts": texts.finish(), "node_ids": names.finish()}
    if any(classes := class_names(labels.words)):
        fields["label_names"], fields["labels"] = labels.indexed(classes)
    if any(cleaned := [clean(kind) for kind in kinds.words]):
        fields["kind_names"], fields["kinds"] = kinds.indexed(cleaned)
    if splits and any(map(len, (parts := splits.finish()).values())):
        fields["node_splits"] = parts
    lost = f"{table.found - met:,} rows of {Path(table.path).name}" if table.found > met else ""
    return ids, fields, {**splits.columns.counts, **+gaps}, lost


def _edges(
    table: Table, settings: dict[str, Any], ids: Ids, problems: Problems, lost: str
) -> tuple[IntArray, dict[str, Any], dict[str, int]]:
    """``edge_index`` [2, E], the graph's fields that come from edges, and what was counted.

    Ids of no node are named one by one, but a few only if those of ``lost`` rows of nodes are not known.
    """
    source, target = _ends(table, settings)
    relation = _optional(table, settings, "relation", RELATIONS)
    text = table.find("text")
    splits = Members(SplitColumns(table, {}, problems))
    # Gephi says in this column whether the edges are directed.
    directions = Words() if "directed" not in settings and "Type" in table.columns else None
    table.report_unreadable(problems)
    ends, relations, texts = Numbers(np.int64), Words(), growing_texts()
    has_texts = False
    zeros: list[str] = []
    unknown = 0
    for row, cells in table.rows:
        numbers = []
        for column in (source, target):
            node = cells.get(column, "").strip()
            number = ids.find(node)
            numbers.append(number)
            if number is None and ids.with_zeros(node):
                zeros.append(f"row {row}, field {column}: {node!r} for {ids.with_zeros(node)!r}")
            elif number is None:
                unknown += node != ""
                if not (node and lost) or unknown <= FEW_UNKNOWN:
                    problems.add(f"{table.place(row, column)}: {_missing(node, ids)}")
        name = clean(cells.get(relation, "")) if relation else ""
        if directions is not None:
            directions.add(cells.get("Type", "").strip().lower())
        if relation and not name:
            problems.add(f"{table.place(row, relation)}: the relation is missing")
            continue
        first, second = numbers
        if first is None or second is None:
            continue
        splits.add(row, cells)
        ends.append(first, second)
        if relation:
            relations.add(name)
        if text:
            cell = clean(cells.get(text, ""))
            has_texts = has_texts or cell != ""
            texts.append(cell)
    if lost and unknown > FEW_UNKNOWN:
        problems.add(f"{table.path}: {unknown:,} ids name no known node; first fix the {lost} that could not be read")
    if zeros:
        problems.add(f"{table.path}: {len(zeros):,} ids lost the zeros in front ({zeros[0]}); write both as text")
    said = None if directions is None else _gephi_direction(table, set(directions.words) - {""})
    directed = relation != "" if said is None else said
    fields: dict[str, Any] = {"directed": settings.get("directed", directed)}
    counts = {"respelled_ids": ids.respelled} if ids.respelled else {}
    if relation:
        fields["relation_names"], fields["relations"] = relations.indexed(relations.words)
    if has_texts:
        fields["edge_texts"] = texts.finish()
    members = splits.finish()
    if any(map(len, members.values())):
        fields["edge_splits"] = members
        counts |= {"edges_without_split": splits.without} if splits.without else {}
    return ends.finish().reshape(-1, 2).T, fields, counts


def _missing(node: str, ids: Ids) -> str:
    if not node:
        return "the id is missing"
    near = ids.in_other_case(node)
    return f"no node has the id {node!r}" + (f"; did you mean {near!r}?" if near else "")


def _ends(table: Table, settings: dict[str, Any]) -> tuple[str, str]:
    """The columns with the two nodes of an edge."""
    if "source" in settings or "target" in settings:
        keys = ("source", "target")
        source, target = (table.require(settings.get(key, key), key) for key in keys)
        return source, target
    for words in ENDS:
        found = [table.find(word) for word in words]
        if all(found):
            return found[0], found[1]
        table.used.difference_update(found)
    return table.require("source", "source"), table.require("target", "target")


def _gephi_direction(table: Table, words: set[str]) -> bool | None:
    """Whether the ``words`` in Gephi's column ``Type`` say that the edges are directed; None if they say neither."""
    if not words or not words <= {"directed", "undirected"}:
        return None
    table.used.add("Type")
    if len(words) > 1:
        raise UserError(
            f"{table.path}: some edges are Directed and some Undirected in the column Type; "
            "set `directed:` in dataset.yaml to true or false"
        )
    return words == {"directed"}


def _optional(table: Table, settings: dict[str, Any], key: str, usual: Sequence[str]) -> str:
    """The column that dataset.yaml names (it must exist), else the first usual one that exists, else ``""``."""
    return table.require(settings[key], key) if key in settings else table.find(*usual)


def _id_column(table: Table, settings: dict[str, Any]) -> str:
    return table.require(settings["id"], "id") if "id" in settings else table.find(*ID) or table.require("id", "id")


def _text_rule(table: Table, setting: str | None, gaps: Counter[str]) -> Callable[[dict[str, str]], str]:
    """How a row becomes a text: by a template over columns, from one column, or from a title and a body.

    ``gaps`` counts the rows of which a part of the template is empty.
    """
    if setting is not None and "{" in setting:
        columns = re.findall(r"\{([^{}]*)\}", setting)
        if not columns or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", setting)):
            raise UserError(f"{table.path}: in the template {setting!r} a brace is not closed or names no column")
        written = {column: table.require(column, "text") for column in columns}

        def fill(cells: dict[str, str]) -> str:
            values = {column: clean(cells.get(name, "")) for column, name in written.items()}
            if not any(values.values()):
                return ""  # the template's own words say nothing about the node
            gaps["partial_texts"] += not all(values.values())
            # Cells are clean already: a second time, what is written as &amp;lt; would become <.
            return " ".join(re.sub(r"\{([^{}]*)\}", lambda match: values[match[1]], setting).split())

        return fill
    column = table.require(setting, "text") if setting is not None else table.find("text")
    if column:
        return lambda cells: clean(cells.get(column, ""))
    title = table.find(*TITLES) or ("Label" if "Id" in table.columns and "Label" in table.columns else "")
    if title:
        table.used.add(title)
        body = table.find(*BODIES)
        return lambda cells: sentences(cells.get(title, ""), cells.get(body, "") if body else "")
    raise UserError(
        f"{table.path}: there is no column 'text' or 'title'; its columns are {listed(table.every_column)} "
        '(set `text:` in dataset.yaml to a column, or to a template such as "{name}. {notes}")'
    )
