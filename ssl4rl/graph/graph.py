"""A text-attributed graph: texts, edges, and what they mean.

Edges are stored once, in ``edge_index``; an undirected graph keeps each unordered pair once, with the smaller node
first. :class:`Adjacency` is the compressed sparse row form that sampling reads; it is built from the edges that a
split lets a prompt see, so nothing that is held out can be reached through it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.errors import UserError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Adjacency:
    """Edges around each node, in compressed sparse row form, both directions.

    The entries of node ``u`` are ``indptr[u]:indptr[u + 1]``, sorted by neighbour. ``neighbors`` holds the node at the
    other end, ``edges`` the column of ``edge_index`` that the entry stands for. Shapes: ``indptr`` [N + 1],
    ``neighbors`` and ``edges`` [2 E].
    """

    indptr: IntArray
    neighbors: IntArray
    edges: IntArray

    @classmethod
    def build(cls, num_nodes: int, edge_index: IntArray, edges: IntArray) -> Adjacency:
        """From the columns ``edges`` of ``edge_index`` [2, E]."""
        source, target = edge_index[:, edges]
        ends = np.concatenate([source, target])
        others = np.concatenate([target, source])
        order = np.lexsort((np.concatenate([edges, edges]), others, ends))
        indptr = np.zeros(num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(ends, minlength=num_nodes), out=indptr[1:])
        return cls(indptr, others[order], np.concatenate([edges, edges])[order])

    def degree(self, node: int) -> int:
        """Number of entries around ``node`` (parallel edges count each)."""
        return int(self.indptr[node + 1] - self.indptr[node])

    @cached_property
    def degrees(self) -> IntArray:
        """Number of entries around every node, [N]."""
        return np.diff(self.indptr)

    def around(self, node: int) -> IntArray:
        """The distinct neighbours of ``node``, sorted."""
        row = self.neighbors[self.indptr[node] : self.indptr[node + 1]]
        return row[np.flatnonzero(np.diff(row, prepend=-1))]

    def between(self, node: int, other: int) -> IntArray:
        """The edges that join the two nodes, in either direction (columns of ``edge_index``)."""
        start, stop = int(self.indptr[node]), int(self.indptr[node + 1])
        row = self.neighbors[start:stop]
        left, right = np.searchsorted(row, other, "left"), np.searchsorted(row, other, "right")
        return self.edges[start + left : start + right]


@dataclass(frozen=True, eq=False)
class TextAttributedGraph:
    """A graph whose nodes carry texts, and optionally its edges, relations, labels and splits.

    Build one with :meth:`from_edges` (it drops and counts self-loops and duplicates), or from a PyG or NetworkX graph
    with ``ssl4rl.data.convert``.
    """

    name: str
    texts: Sequence[str]
    """One text per node; an empty one means that nothing is known about it."""
    edge_index: IntArray
    """[2, E], source and target of each edge."""
    directed: bool = False
    relations: IntArray | None = None
    """[E], the relation of each edge, an index into ``relation_names``."""
    relation_names: Sequence[str] = ()
    """What the prompt calls each relation."""
    edge_texts: Sequence[str] | None = None
    """One text per edge."""
    node_ids: Sequence[str] | None = None
    """The nodes' names in the data they came from; None when they are 0 … N−1."""
    labels: IntArray | None = None
    """[N], an index into ``label_names``, −1 where unknown."""
    label_names: Sequence[str] = ()
    label_descriptions: Sequence[str] = ()
    node_splits: Mapping[str, IntArray] = field(default_factory=dict)
    """Node indices of train, val and test, where the data brings them."""
    edge_splits: Mapping[str, IntArray] = field(default_factory=dict)
    """Edge indices of train, val and test, where the data brings them."""
    node_meaning: str = "a text"
    """What a node is, as a noun phrase: "a paper"."""
    edge_meaning: str = "the two texts are linked"
    """What an edge between two nodes means, as a clause: "one paper cites the other"."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """``edges`` as the source counts them, and the ``self_loops`` and ``duplicates`` that were dropped."""

    @property
    def num_nodes(self) -> int:
        return len(self.texts)

    @property
    def num_edges(self) -> int:
        """Edges after cleaning (columns of ``edge_index``)."""
        return int(self.edge_index.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that can reach a prompt or a target."""
        digest = hashlib.sha256()

        def add(tag: str, content: bytes) -> None:
            digest.update(f"{tag}:{len(content)}:".encode())
            digest.update(content)

        def add_texts(tag: str, texts: Sequence[str]) -> None:
            encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
            add(tag, np.array([len(text) for text in encoded], dtype="<i8").tobytes())
            add(tag, b"".join(encoded))

        add_texts("words", [self.name, self.node_meaning, self.edge_meaning, str(self.directed)])
        for tag, texts in (
            ("texts", self.texts),
            ("relation_names", self.relation_names),
            ("edge_texts", self.edge_texts or ()),
            ("node_ids", self.node_ids or ()),
            ("label_names", self.label_names),
            ("label_descriptions", self.label_descriptions),
        ):
            add_texts(tag, texts)
        arrays: dict[str, IntArray | None] = {
            "edge_index": self.edge_index,
            "relations": self.relations,
            "labels": self.labels,
        }
        arrays |= {f"node_{split}": part for split, part in sorted(self.node_splits.items())}
        arrays |= {f"edge_{split}": part for split, part in sorted(self.edge_splits.items())}
        for tag, array in arrays.items():
            add(tag, b"" if array is None else np.ascontiguousarray(array, dtype="<i8").tobytes())
        return digest.hexdigest()

    def node_name(self, node: int) -> str:
        """The node's id in the data it came from."""
        return str(node) if self.node_ids is None else self.node_ids[node]

    @classmethod
    def from_edges(
        cls,
        name: str,
        texts: Sequence[str],
        edge_index: IntArray,
        *,
        directed: bool = False,
        relations: IntArray | None = None,
        edge_texts: Sequence[str] | None = None,
        edge_splits: Mapping[str, IntArray] | None = None,
        **rest: Any,
    ) -> TextAttributedGraph:
        """Cleans the edges and builds the graph.

        Self-loops and duplicate edges are dropped and counted in ``counts``; in an undirected graph the reverse of an
        edge is its duplicate, in a graph with relations only an edge of the same relation is. ``edge_splits`` index
        the edges as given.

        Raises:
            UserError: if an edge names a node that does not exist.
        """
        edge_index = np.asarray(edge_index, dtype=np.int64).reshape(2, -1)
        given = edge_index.shape[1]
        if given and (edge_index.min() < 0 or edge_index.max() >= len(texts)):
            bad = int(np.flatnonzero(((edge_index < 0) | (edge_index >= len(texts))).any(axis=0))[0])
            raise UserError(
                f"graph {name}: edge {bad} joins {edge_index[0, bad]} and {edge_index[1, bad]}, "
                f"but nodes are 0 to {len(texts) - 1}"
            )
        if not directed:
            edge_index = np.sort(edge_index, axis=0)
        loops = edge_index[0] == edge_index[1]
        columns = np.flatnonzero(~loops)
        kinds = relations if relations is not None else np.zeros(given, dtype=np.int64)
        keys = np.stack([edge_index[0], edge_index[1], kinds])[:, columns]
        # np.unique keeps the first of equal columns: split membership of a duplicate follows its first mention.
        _, first = np.unique(keys, axis=1, return_index=True)
        kept = columns[np.sort(first)]
        place = np.full(given, -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        splits = {key: place[np.asarray(part, dtype=np.int64)] for key, part in (edge_splits or {}).items()}
        return cls(
            name=name,
            texts=texts,
            edge_index=edge_index[:, kept],
            directed=directed,
            relations=None if relations is None else np.asarray(relations, dtype=np.int64)[kept],
            edge_texts=None if edge_texts is None else [edge_texts[edge] for edge in kept],
            edge_splits={key: part[part >= 0] for key, part in splits.items()},
            counts={
                "edges": given,
                "self_loops": int(loops.sum()),
                "duplicates": len(columns) - len(kept),
            },
            **rest,
        )
