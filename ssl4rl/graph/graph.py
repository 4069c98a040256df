"""A text-attributed graph: texts, edges, and what they mean.

Edges are stored once, in ``edge_index``; an undirected graph keeps each unordered pair once, with the smaller node
first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.adjacency import IntArray, index_type
from ssl4rl.graph.arrays import blocks, encode, growing, growing_texts
from ssl4rl.graph.checks import Given
from ssl4rl.graph.cleaning import distinct_edges, ordered_ends, splits_of_kept
from ssl4rl.tally import Tally

if TYPE_CHECKING:
    from ssl4rl.graph.view import EdgeView


Computed = Mapping[str, NDArray[Any]]
"""Arrays that something is made of, by name."""
Keep = Callable[[str, Callable[[], Computed]], Computed]


@dataclass
class Stored:
    """What is known of a graph that was read from the store, so that opening it reads next to nothing of it.

    ``reopen`` and its arguments read it again: another process gets these rather than the content.
    """

    fingerprint: str
    view: EdgeView | None
    """None for a graph without edges."""
    has_text: NDArray[np.bool_]
    num_words: NDArray[np.int32]
    keep: Keep
    """Where what is computed of the graph is kept, for all processes."""
    reopen: tuple[Callable[..., TextAttributedGraph], tuple[Any, ...]]


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
    """``edges`` as the source counts them, the ``self_loops`` and ``duplicates`` that were dropped, and what else the
    reader counted."""
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

        def add_array(tag: str, array: IntArray | None) -> None:
            flat = np.zeros(0, dtype=np.int64) if array is None else array.reshape(-1)
            digest.update(f"{tag}:{8 * len(flat)}:".encode())
            for part in blocks(len(flat), flat):
                digest.update(np.ascontiguousarray(flat[part], dtype="<i8").data)

        def add_texts(tag: str, texts: Sequence[str]) -> None:
            lengths = np.fromiter((len(encoded) for encoded in encode(texts)), dtype="<i8", count=len(texts))
            add_array(tag, lengths)
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
            add_array(tag, array)
        if self.kinds is not None:
            add_array("kinds", self.kinds)
            add_texts("kind_names", self.kind_names)
        return digest.hexdigest()

    @cached_property
    def has_text(self) -> NDArray[np.bool_]:
        """Whether each node's text is more than white space, [N]."""
        if self.stored is not None:
            return self.stored.has_text
        return np.fromiter((bool(text.strip()) for text in self.texts), dtype=bool, count=len(self.texts))

    @cached_property
    def num_words(self) -> NDArray[np.int32]:
        """How many words each node's text has, [N]."""
        if self.stored is not None:
            return self.stored.num_words
        return np.fromiter((len(text.split()) for text in self.texts), dtype=np.int32, count=len(self.texts))

    def kept(self, name: str, compute: Callable[[], Computed]) -> Computed:
        """What ``compute`` returns, which depends on the graph and on ``name`` alone.

        Of a large graph that was converted it is computed once, and every process maps it.
        """
        return compute() if self.stored is None else self.stored.keep(name, compute)

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
        the edges as given; one whose duplicate is in another split is in the later one (test after val after train).

        Raises:
            UserError: if the parts do not fit together: an edge names a node that does not exist, there are more or
                fewer labels than nodes, a node or an edge is in two splits.
        """
        parts = Given(f"graph {name}", texts)
        edge_index = parts.edges(edge_index)
        given = edge_index.shape[1]
        if relations is not None:
            relations = parts.codes("relations", relations, given, "edges", rest.get("relation_names", ()))
        if edge_texts is not None:
            parts.texts("edge_texts", edge_texts, given, "edges")
        splits = parts.splits("edge_splits", edge_splits or {}, given, "edges")
        rest = parts.rest(rest)
        kept, loops = distinct_edges(edge_index, len(texts), directed, relations)
        counts = {"edges": given, "self_loops": loops, "duplicates": given - loops - int(kept.sum())}
        if splits and counts["duplicates"]:
            splits, twice = splits_of_kept(edge_index, len(texts), directed, relations, kept, splits)
            counts |= {"edges_in_two_splits": twice} if twice else {}
        if splits:
            place = np.cumsum(kept, dtype=index_type(given)) - 1
            splits = {key: place[part[kept[part]]].astype(np.int64) for key, part in splits.items()}
            del place
        cleaned, codes = growing(np.int64), growing(np.int64)
        for side in (0, 1):
            for part in blocks(given, edge_index):
                cleaned.append(ordered_ends(edge_index, part, directed)[side, kept[part]])
        if relations is not None:
            for part in blocks(given, relations):
                codes.append(relations[part][kept[part]])
        if edge_texts is not None:
            written = growing_texts()
            for text in compress(edge_texts, kept):
                written.append(text)
            edge_texts = written.finish()
        same = "repeated edges" if directed else "repeated or reversed edges"
        skipped = {"self-loops": loops, same: counts["duplicates"]}
        return cls(
            name=name,
            texts=texts,
            edge_index=cleaned.finish(2),
            directed=directed,
            relations=None if relations is None else codes.finish(),
            edge_texts=edge_texts,
            edge_splits=splits,
            counts=counts,
            reading=[Tally.of("given edges", given, skipped, int(kept.sum()))],
            **rest,
        )
