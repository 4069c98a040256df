"""Questions about a pair of nodes: is there an edge between them, or which relation holds from one to the other?

The asked pair is hidden in both directions and for every relation. Negatives are drawn from a seed, without ever
forming an N×N matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np

from ssl4rl.drafts import inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import Computed
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.population import Population
from ssl4rl.graph.task import ContextKnobs, GraphTask, pair_item
from ssl4rl.prompts import label_noun, labels_for, write_options

TRIES = 40
"""Edges that are tried as the counterpart of another."""
EXCHANGES = 4000
"""Pairs of edges that are tried; from a quarter on also such whose ends have texts of other lengths, and in a crowded
graph from a half on such whose ends have other degrees."""
SAME_LENGTH = 1.5
"""Texts whose lengths differ by no more than this factor count as equally long."""
FEW_EDGES = 100
"""With fewer edges in val or test, hardly any two can exchange their ends; others are taken as well."""

Negatives = Literal["random", "degree", "distance_two"]


class PairKnobs(ContextKnobs):
    """What questions about edges add to the context."""

    negatives: Negatives = "degree"
    """Where unlinked pairs come from: the ends of any two edges; such that have as many edges and about as long texts
    as the ends of a linked pair, so that counting does not answer; or such that also share a neighbour (which is then
    shown for no pair). They are of the kinds, or on the sides, that edges join."""


PK = TypeVar("PK", bound=ContextKnobs)


class Question(NamedTuple):
    """A question about a pair, which a task or a benchmark makes a draft of."""

    parts: tuple[str, ...]
    accepted: list[str]
    """The labels that are right."""
    choices: dict[str, str]
    """Every label, with what it stands for."""
    source_items: tuple[str, ...]
    meta: dict[str, Any]


class PairTask(GraphTask[PK]):
    """Base of what is asked about pairs of nodes."""

    only_texts: ClassVar[bool] = False
    """Whether nothing is asked about nodes without a text, if there are enough others."""

    def prepare(self) -> None:
        super().prepare()
        self.asked = self._usable(self.view.asked[self.split])
        self.partners = self._usable(self.view.asked["train"])
        """The edges that exchange their ends with those of a held-out split."""
        if not len(self.asked):
            remedy = f"its data put none into {self.split}" if self.source.edge_splits else "it needs about 20 edges"
            raise NotApplicable(f"graph {self.source.name} has no {self.split} edges to ask about: {remedy}")

    @cached_property
    def _has_textless(self) -> bool:
        return self.only_texts and not self.source.has_text.all()

    def _usable(self, edges: IntArray) -> IntArray:
        """Those whose ends both have a text, where nothing is asked about others; all of them if there are none."""
        if not self._has_textless:
            return edges
        with_texts = edges[self.source.has_text[self.source.edge_index[:, edges]].all(axis=0)]
        return with_texts if len(with_texts) else edges

    def ask_edge(
        self,
        pair: tuple[int, int],
        negatives: Negatives,
        rng: np.random.Generator,
        other: tuple[int, int] | None = None,
    ) -> Question:
        """Is there an edge between the two: yes or no?

        ``other`` is the pair that was drawn with it, one of the two being linked: each end shows as many edges less,
        of directed graphs in either direction, as if that were asked about.
        """
        linked = len(self.view.full.between(*pair)) > 0
        first, second = (pair[i] for i in rng.permutation(2))
        spared: list[list[int | None]] = [[], []]
        if not linked and self.split == "train":
            # Each end of a linked pair lacks one edge, which is the asked one.
            spared = [[None], [None]] if other is None else [[*self._ways_to(*other)], [*self._ways_to(*other[::-1])]]
        common: list[int] = []
        if negatives == "distance_two":
            # Every unlinked pair shares a neighbour, so one that is shown would mean "no": it is shown for none.
            common, others = self._common(pair), self._common(other or pair)
            for place, lacks in enumerate(spared):
                lost = Counter(self._ways_to((other or pair)[place], *others))
                lacks += (lost - Counter(self._ways_to(pair[place], *common))).elements()
        hidden = [frozenset(pair), *self._spare_pairs(pair, common, spared, rng)]
        subgraph = self.cut([first, second], rng, hidden, common)
        written = self.write(subgraph, rng, keep=(first, second))
        named = [written.number[node] for node in ((second, first) if self.restated == "ends" else (first, second))]
        either = ", in either direction" if self.source.directed else ""
        question = f"Not every edge is shown. Is there an edge between nodes [{named[0]}] and [{named[1]}]{either}?"
        return Question(
            parts=self.prompt(written.text, question, self.form("yes or no")),
            accepted=["yes" if linked else "no"],
            choices={"yes": "yes", "no": "no"},
            source_items=(pair_item(first, second),),
            meta=self.meta(subgraph, written, asked=[first, second]),
        )

    def _common(self, pair: tuple[int, int]) -> list[int]:
        """The visible neighbours that both have."""
        first, second = (self.view.visible.around(node) for node in pair)
        common: list[int] = np.intersect1d(first, second, assume_unique=True).tolist()
        return common

    def _ways(self, node: int) -> tuple[IntArray, IntArray]:
        """A node's visible neighbours, and how edges lead to each: 1 out of it, 2 into it, 3 both; 0 if undirected."""
        visible = self.view.visible
        around = np.asarray(visible.around(node), dtype=np.int64)
        ways: IntArray = np.zeros(len(around), dtype=np.int64)
        if self.source.directed:
            row = slice(visible.indptr[node], visible.indptr[node + 1])
            leads = np.where(self.source.edge_index[0, visible.edges[row]] == node, 1, 2)
            np.bitwise_or.at(ways, np.searchsorted(around, visible.neighbors[row]), leads)
        return around, ways

    def _ways_to(self, node: int, *others: int) -> list[int]:
        """How edges lead from a node to those of ``others`` that are its visible neighbours."""
        around, ways = self._ways(node)
        chosen: list[int] = ways[np.isin(around, others)].tolist()
        return chosen

    def _spare_pairs(
        self, pair: tuple[int, int], common: Sequence[int], spared: Sequence[Sequence[int | None]],
        rng: np.random.Generator,
    ) -> Iterator[frozenset[int]]:  # fmt: skip
        """Edges of either node that lead as ``spared`` says (None: either way), or others, as many as there are.

        None of them is to the other node or to what both share.
        """
        for node, lacks in zip(pair, spared, strict=True):
            if not lacks:
                continue
            around, ways = self._ways(node)
            left = np.flatnonzero(~np.isin(around, [*pair, *common]))
            for way in lacks[: len(left)]:
                alike = np.flatnonzero(ways[left] == way)
                places = alike if len(alike) else np.arange(len(left))
                place = int(places[rng.integers(len(places))])
                yield frozenset((node, int(around[left[place]])))
                left = np.delete(left, place)

    def positive(self, rng: np.random.Generator) -> tuple[int, int]:
        """The ends of a random edge of the split."""
        return self._ends_of(self.asked, rng)

    def _ends_of(self, edges: IntArray, rng: np.random.Generator) -> tuple[int, int]:
        source, target = self.source.edge_index[:, rng.choice(edges)]
        return int(source), int(target)

    def negative(self, negatives: Negatives, rng: np.random.Generator) -> tuple[int, int]:
        """A random pair that no edge of the whole graph joins: an edge of the split, one end exchanged with any visible
        edge's, of which there are more.

        Raises:
            NotApplicable: if the graph has too few such pairs.
        """
        _, pairs = self._exchange(negatives, self.partners, rng)
        return pairs[rng.integers(len(pairs))]

    def couple(self, negatives: Negatives, rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
        """The ends of a random edge of the split, and a pair like it that no edge of the whole graph joins.

        Two edges, and the two pairs that exchange their ends, are drawn together, and one of either is asked about. So
        every node is in as many linked pairs as in others, and to remember nodes is worth nothing. Where an end of one
        edge is like that of the other in degree and length, each pair also has those of one of the edges: what is
        linked is often equally long.

        Raises:
            NotApplicable: if no two edges are found whose ends are not linked when they are exchanged.
        """
        few = self.split != "train" and len(self.asked) < FEW_EDGES
        edges, pairs = self._exchange(negatives, self.partners if few else self.asked, rng)
        if few or (negatives == "distance_two" and self.split != "train"):
            # The second edge is only a visible one, and not every pair is like the first.
            return edges[0], pairs[rng.integers(len(pairs))]
        (a, b), (c, d) = edges
        return edges[rng.integers(2)], ((a, d), (c, b))[rng.integers(2)]

    def _exchange(
        self, negatives: Negatives, others: IntArray, rng: np.random.Generator
    ) -> tuple[tuple[tuple[int, int], tuple[int, int]], list[tuple[int, int]]]:
        """An edge of the split and one of ``others``, and those of the pairs with exchanged ends that are like it.

        Raises:
            NotApplicable: if no two edges are found whose ends are not linked when they are exchanged.
        """
        if not len(others):  # the data may bring test edges alone
            others = self.asked
        for attempt in range(EXCHANGES):
            by_length = attempt < EXCHANGES // 4
            (a, b), (c, d) = edges = self._two_edges(negatives, others, rng, by_length)
            fits = {
                (a, d): self._alike(b, d, negatives, by_length),
                (c, b): self._alike(a, c, negatives, by_length),
            }
            if len({a, b, c, d}) < 4 or self.is_joined(a, d) or self.is_joined(c, b):
                continue
            if self._has_textless and not self.source.has_text[[a, b, c, d]].all() and attempt < EXCHANGES // 2:
                continue
            # In a crowded graph there may be none with equal degrees.
            if any(fits.values()) or (self.is_crowded and attempt > EXCHANGES // 2):
                return edges, [pair for pair, fit in fits.items() if fit] or list(fits)
        raise NotApplicable(f"graph {self.source.name} has too few unlinked pairs for task.negatives={negatives}")

    def _two_edges(
        self, negatives: Negatives, others: IntArray, rng: np.random.Generator, by_length: bool
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """An edge of the split and one of ``others``; nodes may repeat, and ends need not be alike."""
        a, b = self._turned(self.positive(rng), rng)
        if negatives == "distance_two":
            # Along a path a-b-d-c the ends of each exchanged pair share a neighbour.
            near = self._step(b, rng)
            far = None if near is None else self._source_of(near, rng)
            return (a, b), ((a, b) if near is None or far is None else (far, near))
        for _ in range(TRIES):
            c, d = self._turned(self._ends_of(others, rng), rng)
            if self._alike(a, c, negatives, by_length) or self._alike(b, d, negatives, by_length):
                break
        return (a, b), (c, d)

    def _source_of(self, node: int, rng: np.random.Generator) -> int | None:
        """A visible neighbour of a node; in a directed graph one that an edge leads from, so that ends stay ends."""
        if not self.source.directed:
            return self._step(node, rng)
        around, ways = self._ways(node)
        sources = around[(ways & 2) > 0]
        return int(sources[rng.integers(len(sources))]) if len(sources) else None

    def _turned(self, edge: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """The edge in either order; of a directed graph as it is, so that others are of a source and a target, too."""
        return edge if self.source.directed or rng.integers(2) else (edge[1], edge[0])

    def _alike(self, node: int, other: int, negatives: Negatives, by_length: bool) -> bool:
        """Whether two nodes are of a kind, and unless negatives are random have about as many edges and words."""
        if negatives == "random":
            groups = node_groups(self.source)
            return groups is None or bool(groups[node] == groups[other])
        if self.ends.cell(node) != self.ends.cell(other):
            return False
        shorter, longer = sorted(len(self.source.texts[each]) for each in (node, other))
        return not by_length or longer <= SAME_LENGTH * max(shorter, 1)

    @cached_property
    def ends(self) -> Population:
        """All nodes, by kind and visible degree."""

        def compute() -> Computed:
            nodes = np.ones(self.source.num_nodes, dtype=np.int8)
            return Population.parts(nodes, self.view.visible.degrees, node_groups(self.source))

        inductive = "-inductive" if self.knobs.inductive and self.split == "train" else ""
        return Population(self.view.visible.degrees, **self.source.kept(f"nodes{inductive}", compute))

    def ask_relation(self, edge: int, options: list[int], rng: np.random.Generator) -> Question:
        """Which of ``options`` holds from head to tail? Every one that does is right."""
        head, tail = (int(node) for node in self.source.edge_index[:, edge])
        true = self.relations_between(edge)
        names = [self.source.relation_names[relation] for relation in options]
        labels = labels_for(names)
        choices = dict(zip(labels, names, strict=True))
        accepted = [label for label, relation in zip(choices, options, strict=True) if relation in true]
        subgraph = self.cut([head, tail], rng, [frozenset((head, tail))])
        written = self.write(subgraph, rng, keep=(head, tail))
        question = (
            f"Not every edge is shown. Which relation holds from node [{written.number[head]}] "
            f"to node [{written.number[tail]}]?"
        )
        form = self.form(label_noun(labels))
        return Question(
            parts=self.prompt(written.text, question, write_options(names, labels), form),
            accepted=accepted,
            choices=choices,
            source_items=(pair_item(head, tail),),
            meta=self.meta(subgraph, written, asked=[head, tail], options=options),
        )

    def relations_between(self, edge: int) -> set[int]:
        """Every relation that holds from the head of an edge to its tail."""
        head, tail = self.source.edge_index[:, edge]
        joining = self.view.full.between(int(head), int(tail))
        return {int(self.relations[other]) for other in joining if self.source.edge_index[0, other] == head}

    def relation_options(self, edge: int, count: int, rng: np.random.Generator) -> list[int]:
        """The edge's relation, anywhere among ``count``: what its head and tail take elsewhere, then any.

        Where all of them would hold from head to tail, one is replaced by another that does not, if there is one.

        Raises:
            NotApplicable: if the graph has fewer relations than that.
        """
        gold = int(self.relations[edge])
        if len(self.source.relation_names) < count:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.source.relation_names)} relations; "
                f"task.num_options={count} is too many"
            )
        near = self.relations_near(*(int(node) for node in self.source.edge_index[:, edge]))
        near = rng.permutation(near[near != gold])[: count - 1]
        rest = np.setdiff1d(np.arange(len(self.source.relation_names)), [gold, *near])
        fill = rng.permutation(rest)[: count - 1 - len(near)]
        others = [int(relation) for relation in (*near, *fill)]
        true = self.relations_between(edge)
        if true.issuperset(others) and len(wrong := np.setdiff1d(rest, list(true))):
            others[-1] = int(rng.choice(wrong))
        slot = int(rng.integers(count))
        return inserted(gold, [int(relation) for relation in rng.permutation(others)], slot)

    def relations_near(self, head: int, tail: int) -> IntArray:
        """Relations that the head takes elsewhere as head or the tail as tail, over visible edges."""
        visible, found = self.view.visible, []
        for end, (node, other) in enumerate([(head, tail), (tail, head)]):
            row = slice(visible.indptr[node], visible.indptr[node + 1])
            edges = visible.edges[row][visible.neighbors[row] != other]
            found.append(edges[self.source.edge_index[end, edges] == node] if self.source.directed else edges)
        return np.unique(self.relations[np.concatenate(found)])
