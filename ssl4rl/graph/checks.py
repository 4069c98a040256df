"""What a graph is built from, refused before anything is made of it if it does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.arrays import Texts, blocks, whole_numbers
from ssl4rl.source import SPLITS


class Given:
    """The parts of a graph as they were given. ``place`` is what messages call it.

    Every method raises UserError if its part does not fit.
    """

    def __init__(self, place: str, texts: Sequence[str]) -> None:
        self.place = place
        self.num_nodes = len(texts)
        self.texts("texts", texts, self.num_nodes, "nodes")

    def error(self, message: str) -> UserError:
        return UserError(f"{self.place}: {message}")

    def texts(self, field: str, texts: Any, count: int, of: str) -> None:
        """One text for each node or edge."""
        if isinstance(texts, str) or not hasattr(texts, "__len__") or isinstance(texts, Mapping):
            raise self.error(f"{field} is a {type(texts).__name__}; it must be a list with a text for each of the {of}")
        if len(texts) != count:
            raise self.error(f"{len(texts):,} {field} for {count:,} {of}")
        if isinstance(texts, Texts):  # those that were read hold nothing else
            return
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise self.error(f"{field}[{place}] is a {type(text).__name__}; it must be a text")

    def whole(self, field: str, values: Any) -> IntArray:
        """Whole numbers, [N] or [2, E], of any type that holds them."""
        try:
            numbers = whole_numbers(values)
        except ValueError as error:
            raise self.error(f"{field} {error}") from error
        if numbers.size and np.asarray(values).dtype.kind == "b":
            raise self.error(f"{field} is a mask; it must hold numbers: numpy.flatnonzero({field}) makes them")
        return numbers

    def edges(self, edge_index: Any) -> IntArray:
        """Sources and targets, [2, E], each of them a node."""
        edges = self.whole("edge_index", edge_index).astype(np.int64, copy=False)
        if not edges.size:
            return np.zeros((2, 0), dtype=np.int64)
        if edges.ndim != 2 or len(edges) != 2:
            rows = edges.ndim == 2 and edges.shape[1] == 2
            turn = ", one edge a row; transpose it: edge_index.T" if rows else ""
            raise self.error(f"edge_index is {list(edges.shape)}, and must be [2, E]{turn}")
        for part in blocks(edges.shape[1], edges):
            ends = edges[:, part]
            wrong = np.flatnonzero(((ends < 0) | (ends >= self.num_nodes)).any(axis=0))
            if len(wrong):
                first, last = ends[:, wrong[0]]
                joined = f"edge {part.start + wrong[0]} joins {first} and {last}"
                raise self.error(f"{joined}, but nodes are 0 to {self.num_nodes - 1}")
        return edges

    def codes(self, field: str, values: Any, count: int, of: str, names: Sequence[str], lowest: int = 0) -> IntArray:
        """A number for each node or edge, from ``lowest`` on, that is one of the names."""
        codes = self.whole(field, values)
        if codes.shape != (count,):
            raise self.error(f"{field} is {list(codes.shape)} for {count:,} {of}")
        for part in blocks(count, codes):
            wrong = np.flatnonzero((codes[part] < lowest) | (codes[part] >= len(names)))
            if len(wrong):
                place = part.start + int(wrong[0])
                least = " (or -1: not known)" if lowest < 0 else ""
                most = f"0 to {len(names) - 1}" if names else "none"
                raise self.error(f"{field}[{place}] is {codes[place]}, but those with a name are {most}{least}")
        return codes

    def splits(self, field: str, splits: Mapping[str, Any], count: int, of: str) -> dict[str, IntArray]:
        """The nodes or edges of each split, none in two of them."""
        found: dict[str, IntArray] = {}
        split_of = np.zeros(count, dtype=np.int8)
        for name, members in splits.items():
            if name not in SPLITS:
                raise self.error(f"{field} has {name!r}, which is not {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
            part = self.whole(f"{field}[{name!r}]", members).reshape(-1).astype(np.int64, copy=False)
            wrong = part[(part < 0) | (part >= count)]
            if len(wrong):
                raise self.error(f"{field}[{name!r}] holds {wrong[0]}, but {of} are 0 to {count - 1}")
            twice = part[split_of[part] > 0]
            if len(twice):
                other = SPLITS[split_of[twice[0]] - 1]
                raise self.error(f"{field}: {twice[0]} is in {other} and in {name}; {of} are in one split at most")
            split_of[part] = 1 + SPLITS.index(name)
            found[name] = part
        return found

    def rest(self, rest: Mapping[str, Any]) -> dict[str, Any]:
        """What else is known of the nodes."""
        known = dict(rest)
        for field, names in (("labels", "label_names"), ("kinds", "kind_names")):
            if known.get(field) is not None:
                given = known.get(names, ())
                known[field] = self.codes(field, known[field], self.num_nodes, "nodes", given, lowest=-1)
        if known.get("node_ids") is not None:
            self.texts("node_ids", known["node_ids"], self.num_nodes, "nodes")
        if known.get("label_descriptions"):
            self.texts("label_descriptions", known["label_descriptions"], len(known.get("label_names", ())), "classes")
        if known.get("node_splits"):
            known["node_splits"] = self.splits("node_splits", known["node_splits"], self.num_nodes, "nodes")
        return known
