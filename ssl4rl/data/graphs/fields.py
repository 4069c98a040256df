"""A graph from named fields, as PyG's ``Data`` and the files of the community hold them, under any of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.field_splits import edge_splits_of, splits_of
from ssl4rl.data.text import class_name, class_names, clean, indexed, is_missing, present
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.arrays import whole_numbers
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.tally import Tally

TEXTS = ("raw_texts", "raw_text", "texts", "text")
"""Fields that hold a text per node; the first one that exists is used, here and below."""
NAMES = ("label_names", "label_name", "label_texts", "label_text", "class_names", "category_names", "category_name")
"""Fields with the names of classes: one for each class, or one for each node."""


MOST_CODES = 10_000
"""Numbers of classes, relations or kinds that may be left out, beside one for each node or edge."""


class Fields:
    """Named fields, and which of them were read. ``place`` is what messages call the whole."""

    def __init__(self, fields: Mapping[Any, Any], place: str, reading: Sequence[Tally] = ()) -> None:
        self.all = {key: value for key, value in fields.items() if value is not None}
        self.place = place
        self.used: set[Any] = set()
        self.reading = reading
        """What else was found beside them."""

    def find(self, *names: str) -> str:
        """The first of the fields that exists, or ``""``."""
        found = next((name for name in names if name in self.all), "")
        self.used.update(filter(None, [found]))
        return found

    def get(self, *names: str) -> Any:
        """The content of the first of the fields that exists, or None."""
        found = self.find(*names)
        return self.all[found] if found else None

    def error(self, message: str) -> UserError:
        return UserError(f"{self.place}: {message}")

    def array(self, field: str, value: Any) -> NDArray[Any]:
        """A value of the field as an array.

        Raises:
            UserError: if it is none: rows of different lengths, a sparse matrix.
        """
        try:
            return np.asarray(value)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise self.error(f"{field} is no array of numbers or texts") from error

    def whole(self, field: str, value: Any) -> IntArray:
        """A value of the field as whole numbers.

        Raises:
            UserError: if it holds anything else.
        """
        try:
            return whole_numbers(value).astype(np.int64)
        except ValueError as error:
            raise self.error(f"{field} {error}") from error

    def items(self, field: str) -> list[Any]:
        """The items of a field that is a list.

        Raises:
            UserError: if it is none.
        """
        value = self.all[field]
        if isinstance(value, Mapping) and value.keys() == set(range(len(value))):  # from a code to its name
            return [value[code] for code in range(len(value))]
        if isinstance(value, Mapping):
            raise self.error(f"{field} is a dictionary; it must be a list, or have the keys 0 to {len(value) - 1}")
        if isinstance(value, str) or not np.iterable(value):
            raise self.error(f"{field} is a {type(value).__name__}; it must be a list")
        return list(value)

    @property
    def tally(self) -> Tally:
        return Tally.of_named("fields", self.all, self.used, "unused fields")


def graph_from_fields(
    fields: Fields, name: str, *, directed: bool | None = None, mask: int | None = None, **meaning: str
) -> TextAttributedGraph:
    """The graph that the fields describe; ``mask`` picks one of several masks by number, by default the first.

    Raises:
        UserError: if texts or edges are missing, lengths do not match, or a node is in two splits.
    """
    texts = _texts(fields)
    count = len(texts)
    edge_index = _edge_index(fields)
    relations = _codes(fields, "edge_type", edge_index.shape[1], "edges")
    if directed is None:
        directed = relations is not None or not symmetric(edge_index, count)
    rest: dict[str, Any] = dict(meaning)
    if relations is not None:
        rest["relation_names"] = _names(fields, "relation_names", relations, "relation")
    label_names, labels = _labels(fields, count)
    if labels is not None:
        rest |= {"labels": labels, "label_names": label_names}
    kinds = _codes(fields, "node_type", count, "nodes")
    if kinds is not None:
        rest |= {"kinds": kinds, "kind_names": _names(fields, "node_type_names", kinds, "kind")}
    splits, counts = splits_of(fields, count, mask)
    if splits:
        rest["node_splits"] = splits
    if parts := edge_splits_of(fields, edge_index.shape[1]):
        rest["edge_splits"] = parts
    edge_texts = fields.get("edge_texts")
    if edge_texts is not None:
        rest["edge_texts"] = [_text(text) for text in fields.items("edge_texts")]
        if len(rest["edge_texts"]) != edge_index.shape[1]:
            raise fields.error(f"{len(rest['edge_texts'])} edge_texts for {edge_index.shape[1]} edges")
    graph = TextAttributedGraph.from_edges(name, texts, edge_index, directed=directed, relations=relations, **rest)
    return replace(graph, counts={**graph.counts, **counts}, reading=[*fields.reading, fields.tally, *graph.reading])


def _text(value: Any) -> str:
    """A text as files give it: on one line, and empty where a gap is."""
    return "" if value is None else clean(present(str(value)))


def _length(value: Any) -> int | None:
    """The length of an array, which may be sparse, or of a list; None of anything else."""
    if isinstance(value, list | tuple):
        return len(value)
    shape: Any = getattr(value, "shape", ())
    return int(shape[0]) if len(shape) else None


def _texts(fields: Fields) -> list[str]:
    field = fields.find(*TEXTS)
    if not field:
        has = ", ".join(map(str, fields.all)) or "no fields"
        raise fields.error(f"Data has no 'raw_texts'; it has {has}")
    values: Any = fields.all[field]
    if isinstance(values, str | dict) or not hasattr(values, "__len__") or hasattr(values, "numel"):
        raise fields.error(f"{field} is a {type(values).__name__}; it must be a list with a text for each node")
    for node, value in enumerate(values):
        if not isinstance(value, str) and not is_missing(value):
            raise fields.error(f"{field} holds a {type(value).__name__} at node {node}; it must be a text")
    texts = [_text(value) for value in values]
    count = fields.get("num_nodes")
    if count is None:
        lengths = (_length(fields.all.get(key)) for key in ("x", "y"))
        count = next((length for length in lengths if length is not None), len(texts))
    number = fields.whole("num_nodes", count).reshape(-1)
    if number.tolist() != [len(texts)]:
        raise fields.error(f"{len(texts)} {field} for {', '.join(map(str, number))} nodes")
    return texts


def _edge_index(fields: Fields) -> IntArray:
    """``edge_index`` [2, E], from the field of that name or from ``adj_t`` (torch's sparse type or torch_sparse's)."""
    given = fields.get("edge_index")
    if given is not None:
        edges = fields.whole("edge_index", given)
        if edges.ndim == 2 and edges.shape[0] != 2 and edges.shape[1] == 2:
            raise fields.error(
                f"edge_index is {list(edges.shape)}, one edge a row; PyG's is [2, E]: transpose it (edge_index.t())"
            )
        if edges.ndim != 2 or edges.shape[0] != 2:
            raise fields.error(f"edge_index is {list(edges.shape)}; it must be [2, E]")
        return edges
    adjacency = fields.get("adj_t")
    if adjacency is None:
        raise fields.error(f"Data has no 'edge_index'; it has {', '.join(map(str, fields.all))}")
    try:
        edges = adjacency_edges(adjacency)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise fields.error(f"adj_t is a {type(adjacency).__name__}, not a sparse matrix") from error
    if edges.shape[0] != 2:
        raise fields.error(f"adj_t has {edges.shape[0]} dimensions; it must be a matrix")
    return edges[::-1]  # adj_t is transposed: its rows are targets


def adjacency_edges(adjacency: Any) -> IntArray:
    """Rows and columns of a sparse matrix, [2, E]: torch's, torch_sparse's, or what stands in for that in a file."""
    if hasattr(adjacency, "to_sparse_coo"):
        return np.asarray(adjacency.to_sparse_coo().coalesce().indices(), dtype=np.int64)
    storage: Any = adjacency.storage
    column = np.asarray(storage._col, dtype=np.int64)
    if storage._row is not None:
        return np.stack([np.asarray(storage._row, dtype=np.int64), column])
    degrees = np.diff(np.asarray(storage._rowptr, dtype=np.int64))
    return np.stack([np.repeat(np.arange(len(degrees)), degrees), column])


def symmetric(edge_index: IntArray, num_nodes: int) -> bool:
    """Whether every edge has its reverse."""
    forward = np.unique(edge_index[0] * num_nodes + edge_index[1])
    return np.array_equal(forward, np.unique(edge_index[1] * num_nodes + edge_index[0]))


def _codes(fields: Fields, field: str, count: int, of: str) -> IntArray | None:
    values = fields.get(field)
    if values is None:
        return None
    codes = fields.whole(field, values).reshape(-1)
    if len(codes) != count:
        raise fields.error(f"{len(codes)} {field} for {count} {of}")
    if codes.min(initial=0) < 0:
        raise fields.error(f"{field} holds {codes.min()}; its codes count from 0")
    return codes


def _names(fields: Fields, field: str, codes: IntArray, noun: str) -> list[str]:
    """One name per code: those of the data, or numbered ones if it has none."""
    count = int(codes.max(initial=-1)) + 1
    if count > MOST_CODES + len(codes):
        raise fields.error(f"a {noun} has the number {count - 1:,}; they are numbered from 0")
    if not fields.find(field):
        return [f"{noun} {code}" for code in range(count)]
    names = fields.items(field)
    if len(names) < count:
        raise fields.error(f"{len(names)} names for {count} codes of {noun}")
    return [_text(name) or f"{noun} {code}" for code, name in enumerate(names)]


def _labels(fields: Fields, count: int) -> tuple[list[str], IntArray | None]:
    """The names of the classes and the class of each node, −1 for none; None where the data has no classes."""
    y = fields.get("y", "label", "labels")
    named = {field: fields.items(field) for field in NAMES if field in fields.all}
    fields.used.update(named)
    if y is None:
        per_node = next((names for names in named.values() if len(names) == count), None)
        return indexed(class_names([_text(name) for name in per_node])) if per_node is not None else ([], None)
    values = fields.array("y", y)
    if values.size != count:
        raise fields.error(f"{values.size} labels in y for {count} nodes")
    if values.dtype.kind in "OUS":
        return indexed(class_names([_text(value) for value in values.reshape(-1)]))
    if values.dtype.kind not in "biuf":
        raise fields.error("y holds something that is neither a number nor a text")
    # Whatever stands for "no class", −1 or a gap, is −1.
    numbers = np.nan_to_num(values.astype(np.float64).reshape(-1), nan=-1)
    odd = np.flatnonzero(numbers != np.floor(numbers))
    if len(odd):
        raise fields.error(f"y is {numbers[odd[0]]} at node {odd[0]}; a class is a whole number")
    if numbers.max(initial=0) >= MOST_CODES + count:
        raise fields.error(f"y is {numbers.max():.0f} at node {numbers.argmax()}; classes are numbered from 0")
    labels = np.maximum(numbers, -1).astype(np.int64)
    if not (labels >= 0).any():
        return [], None
    if not named:
        return [f"class {code}" for code in range(int(labels.max(initial=-1)) + 1)], labels
    return _class_names(fields, named, labels), labels


def _class_names(fields: Fields, named: Mapping[str, Sequence[Any]], labels: IntArray) -> list[str]:
    """The name of each class, from names per class or per node: the first field of them that agrees with ``labels``."""
    classes = int(labels.max(initial=-1)) + 1
    problems = []
    # Names per class come first: where both are given, those per node may be longer descriptions.
    for field, names in sorted(named.items(), key=lambda item: len(item[1]) == len(labels)):
        if len(names) != len(labels) or len(names) == classes:
            if len(names) >= classes:
                return [_text(name) for name in names]
            problems.append(f"{field}: {len(names)} names for {classes} codes of class")
            continue
        name_of: dict[int, str] = {}
        for node, (code, name) in enumerate(zip(labels.tolist(), map(_text, names), strict=True)):
            if code >= 0 and class_name(name) and name_of.setdefault(code, name) != name:
                problems.append(f"{field} calls class {code} both {name_of[code]!r} and {name!r} (node {node})")
                break
        else:
            return [name_of.get(code, f"class {code}") for code in range(classes)]
    raise fields.error(problems[0])
