"""Questions about a pair of nodes: is there an edge between them, or which relation holds from one to the other?

The asked pair is hidden in both directions and for every relation. Negatives are drawn from a seed, without ever
forming an N×N matrix.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Indices, IntArray, index_type
from ssl4rl.graph.task import ContextKnobs, GraphTask, pair_item
from ssl4rl.graph.text import write_subgraph
from ssl4rl.prompts import label_noun, option_labels, reply_form, write_options
from ssl4rl.tasks import MAX_DRAWS

DEGREE_WINDOW = 10
"""Nodes of nearly the wanted degree to choose from where too few have exactly that degree."""

Negatives = Literal["random", "degree", "distance_two"]


class PairKnobs(ContextKnobs):
    """What questions about edges add to the context."""

    negatives: Negatives = "degree"
    """Where unlinked pairs come from: any two nodes; nodes that show as many edges as the ends of a linked pair do,
    so that counting edges does not answer; or nodes that share a neighbour (which is then shown for no pair)."""


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

    def prepare(self) -> None:
        super().prepare()
        self.asked = self.view.asked[self.split]
        if not len(self.asked):
            raise NotApplicable(
                f"graph {self.source.name} has no {self.split} edges to ask about; it needs more edges (about 20)"
            )

    @cached_property
    def relations(self) -> IntArray:
        """The relation of each edge, [E].

        Raises:
            NotApplicable: if the graph has none.
        """
        if self.source.relations is None:
            raise NotApplicable(f"graph {self.source.name} has no relations; ask about edges instead")
        return self.source.relations

    def ask_edge(self, pair: tuple[int, int], negatives: Negatives, rng: np.random.Generator) -> Question:
        """Is there an edge between the two: yes or no?"""
        linked = len(self.view.full.between(*pair)) > 0
        first, second = (pair[i] for i in rng.permutation(2))
        common: set[int] = set()
        if negatives == "distance_two":
            # Every unlinked pair shares a neighbour, so one that is shown would mean "no": it is shown for none.
            common = set(self.view.visible.around(first)) & set(self.view.visible.around(second))
        subgraph = self.cut([first, second], rng, [frozenset(pair)], common)
        written = write_subgraph(self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=(first, second))
        question = (
            f"Not every edge is shown. Is there an edge between nodes [{written.number[first]}] "
            f"and [{written.number[second]}]?"
        )
        return Question(
            parts=self.prompt(written.text, question, reply_form("yes or no")),
            accepted=["yes" if linked else "no"],
            choices={"yes": "yes", "no": "no"},
            source_items=(pair_item(first, second),),
            meta=self.meta(subgraph, written, asked=[first, second]),
        )

    def positive(self, rng: np.random.Generator) -> tuple[int, int]:
        """The ends of a random edge of the split."""
        source, target = self.source.edge_index[:, rng.choice(self.asked)]
        return int(source), int(target)

    def negative(self, negatives: Negatives, rng: np.random.Generator) -> tuple[int, int]:
        """A random pair that no edge of the whole graph joins.

        Raises:
            NotApplicable: if the graph has too few such pairs.
        """
        # Tried again here rather than by a redraw of the whole example, which would leave fewer "no" than "yes".
        for _ in range(MAX_DRAWS):
            first, second = self._candidate(negatives, rng)
            if first != second and not len(self.view.full.between(first, second)):
                return first, second
        raise NotApplicable(f"graph {self.source.name} has too few unlinked pairs for task.negatives={negatives}")

    def _candidate(self, negatives: Negatives, rng: np.random.Generator) -> tuple[int, int]:
        """A pair that may be linked, or the same node twice."""
        if negatives == "random":
            return int(rng.integers(self.source.num_nodes)), int(rng.integers(self.source.num_nodes))
        ends = self.positive(rng)
        if negatives == "distance_two":
            first = ends[int(rng.integers(2))]
            far = self.two_steps_from(first, rng)
            return first, first if far is None else far
        # What a linked pair shows of its edges is one less than it has, if the asked edge itself is among them.
        hidden = len(self.view.visible.between(*ends))
        first, second = (self._of_degree(self.view.visible.degree(node) - hidden, rng) for node in ends)
        return first, second

    @cached_property
    def _by_degree(self) -> tuple[Indices, IntArray]:
        """The nodes by their visible degree, and for each degree (and one more) where its nodes start."""
        degrees = self.view.visible.degrees
        count = np.bincount(degrees)
        # Of small numbers numpy sorts by counting.
        order = np.argsort(degrees.astype(np.uint16) if len(count) <= 1 << 16 else degrees, kind="stable")
        return order.astype(index_type(len(order))), np.concatenate([[0], np.cumsum(count)])

    def _of_degree(self, degree: int, rng: np.random.Generator) -> int:
        order, starts = self._by_degree
        left, right = (int(starts[min(bound, len(starts) - 1)]) for bound in (degree, degree + 1))
        if right - left < DEGREE_WINDOW:
            left, right = max(0, left - DEGREE_WINDOW // 2), min(len(order), right + DEGREE_WINDOW // 2)
        return int(order[rng.integers(left, right)])

    def ask_relation(self, edge: int, options: list[int], rng: np.random.Generator) -> Question:
        """Which of ``options`` holds from head to tail? Every one that does is right."""
        head, tail = (int(node) for node in self.source.edge_index[:, edge])
        joining = self.view.full.between(head, tail)
        true = {int(self.relations[e]) for e in joining if self.source.edge_index[0, e] == head}
        names = [self.source.relation_names[relation] for relation in options]
        choices = dict(zip(option_labels(len(options)), names, strict=True))
        accepted = [label for label, relation in zip(choices, options, strict=True) if relation in true]
        subgraph = self.cut([head, tail], rng, [frozenset((head, tail))])
        written = write_subgraph(self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=(head, tail))
        question = (
            f"Not every edge is shown. Which relation holds from node [{written.number[head]}] "
            f"to node [{written.number[tail]}]?"
        )
        form = reply_form(label_noun(len(options)))
        return Question(
            parts=self.prompt(written.text, question, write_options(names), form),
            accepted=accepted,
            choices=choices,
            source_items=(pair_item(head, tail),),
            meta=self.meta(subgraph, written, asked=[head, tail], options=options),
        )

    def relation_options(self, edge: int, count: int, rng: np.random.Generator) -> list[int]:
        """The edge's relation among ``count``, the others from what its head and tail take elsewhere, then any.

        Raises:
            NotApplicable: if the graph has fewer relations than that.
        """
        gold = int(self.relations[edge])
        if len(self.source.relation_names) < count:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.source.relation_names)} relations; "
                f"task.num_options={count} is too many"
            )
        near = self._relations_near(*(int(node) for node in self.source.edge_index[:, edge]))
        near = rng.permutation(near[near != gold])[: count - 1]
        rest = np.setdiff1d(np.arange(len(self.source.relation_names)), [gold, *near])
        fill = rng.permutation(rest)[: count - 1 - len(near)]
        return [int(relation) for relation in rng.permutation([gold, *near, *fill])]

    def _relations_near(self, head: int, tail: int) -> IntArray:
        """Relations that the head takes elsewhere as head or the tail as tail, over visible edges."""
        visible, ends = self.view.visible, self.source.edge_index
        out = visible.edges[visible.indptr[head] : visible.indptr[head + 1]]
        into = visible.edges[visible.indptr[tail] : visible.indptr[tail + 1]]
        out = out[(ends[0, out] == head) & (ends[1, out] != tail)]
        into = into[(ends[1, into] == tail) & (ends[0, into] != head)]
        return np.unique(self.relations[np.concatenate([out, into])])
