"""A text-attributed graph: texts, edges, and what they mean.

Edges are stored once, in ``edge_index``; an undirected graph keeps each unordered pair once, with the smaller node
first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.tally import Tally

if TYPE_CHECKING:
    from ssl4rl.graph.view import EdgeView


@dataclass
class Stored:
    """What is known of a graph that was read from the store, so that opening it reads next to nothing of it.

    ``reopen`` and its arguments read it again: another process gets these rather than the content.
    """

    fingerprint: str
    view: EdgeView | None
    """None for a graph without edges."""
    has_text: NDArray[np.bool_]
    reopen: tuple[Callable[..., TextAttributedGraph], tuple[Any, ...]]


def encode(texts: Sequence[str]) -> Iterator[bytes]:
    """The texts in UTF-8, one after another (a lone surrogate, which JSON can hold, is kept)."""
    return (text.encode("utf-8", "surrogatepass") for text in texts)


def first_of_each(edge_index: IntArray, relations: IntArray | None) -> IntArray:
    """The places of the first of equal columns, ascending; with ``relations`` these must be equal as well."""
    pairs = edge_index[0] * (edge_index.max(initial=0) + 1) + edge_index[1]
    order = np.argsort(pairs, kind="stable") if relations is None else np.lexsort((relations, pairs))
    new = np.ones(len(order), dtype=bool)
    in_order = pairs[order]
    new[1:] = in_order[1:] != in_order[:-1]
    if relations is not None:
        in_order = relations[order]
        new[1:] |= in_order[1:] != in_order[:-1]
    return np.sort(order[new])


@dataclass(frozen=True, eq=False, repr=False)
class TextAttributedGraph:
    """A graph whose nodes carry texts, and optionally its edges, relations, labels and splits.

    Build one with :meth:`from_edges` (it drops and counts self-loops and duplicates), or from a PyG or NetworkX graph
    with ``ssl4rl.data.graphs.convert``.
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
    kinds: IntArray | None = None
    """[N], what each node is (a customer, a product), an index into ``kind_names``; prompts do not show it."""
    kind_names: Sequence[str] = ()
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
    reading: Sequence[Tally] = ()
    """What the loader found and read (edges; rows, columns and files too, where there are any)."""
    stored: Stored | None = field(default=None, init=False, repr=False)
    """Set by the store only; a changed copy of the graph (``dataclasses.replace``) is without it."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(protocol) if self.stored is None else self.stored.reopen

    def __repr__(self) -> str:
        relations = f", {len(self.relation_names)} relations" if self.relations is not None else ""
        classes = f", {len(self.label_names)} classes" if self.labels is not None else ""
        size = f"{self.num_nodes:,} nodes, {self.num_edges:,} edges{relations}{classes}"
        return f"TextAttributedGraph({self.name!r}, {size})"

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
        if self.stored is not None:
            return self.stored.fingerprint
        digest = hashlib.sha256()

        def add(tag: str, content: bytes | memoryview) -> None:
            digest.update(f"{tag}:{len(content)}:".encode())
            digest.update(content)

        def add_texts(tag: str, texts: Sequence[str]) -> None:
            lengths = np.fromiter((len(encoded) for encoded in encode(texts)), dtype="<i8", count=len(texts))
            add(tag, lengths.tobytes())
            digest.update(f"{tag}:{lengths.sum()}:".encode())
            for encoded in encode(texts):
                digest.update(encoded)

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
            whole = None if array is None else np.ascontiguousarray(array, dtype="<i8").reshape(-1)
            add(tag, b"" if whole is None else whole.view(np.uint8).data)
        if self.kinds is not None:
            add("kinds", np.ascontiguousarray(self.kinds, dtype="<i8").view(np.uint8).data)
            add_texts("kind_names", self.kind_names)
        return digest.hexdigest()

    @cached_property
    def has_text(self) -> NDArray[np.bool_]:
        """Whether each node's text is more than white space, [N]."""
        if self.stored is not None:
            return self.stored.has_text
        return np.fromiter((bool(text.strip()) for text in self.texts), dtype=bool, count=len(self.texts))

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
        # Of equal edges the first is kept: split membership of a duplicate follows its first mention.
        kept = first_of_each(edge_index, relations)
        kept = kept[~loops[kept]]
        splits = {}
        if edge_splits:
            place = np.full(given, -1, dtype=np.int64)
            place[kept] = np.arange(len(kept))
            splits = {key: place[np.asarray(part, dtype=np.int64)] for key, part in edge_splits.items()}
        repeated = given - int(loops.sum()) - len(kept)
        same = "repeated edges" if directed else "repeated or reversed edges"
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
                "duplicates": repeated,
            },
            reading=[Tally.of("edges", given, {"self-loops": int(loops.sum()), same: repeated}, len(kept))],
            **rest,
        )
