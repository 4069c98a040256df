"""Link prediction: is there an edge between two nodes (yes or no), or which relation holds between them?

Positives come from the split's own edges; the asked pair is hidden in both directions and for every relation.
Negatives are drawn per example, from a seed, without ever forming an N×N matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.answers import OPTION_LETTERS, score_any_of
from ssl4rl.example import Example, Score
from ssl4rl.graph.graph import IntArray
from ssl4rl.graph.task import PAPER_CONTEXT, ContextKnobs, GraphTask
from ssl4rl.graph.text import write_options, write_subgraph
from ssl4rl.task import MAX_DRAWS, REPLY_FORMAT, Draft, NotApplicable

DEGREE_WINDOW = 10
"""Nodes of nearly the wanted degree to choose from where too few have exactly that degree."""


class LinkKnobs(ContextKnobs):
    """Settings of link prediction."""

    answer: Literal["edge", "relation"] = "edge"
    """``edge``: is there one, yes or no; ``relation``: which one holds (graphs with relations)."""
    negatives: Literal["random", "degree", "distance_two"] = "degree"
    """Where unlinked pairs come from: any two nodes; nodes that show as many edges as the ends of a linked pair do,
    so that counting edges does not answer; or nodes that share a neighbour (which is then shown for no pair)."""
    num_options: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Relations to choose from, with ``answer=relation``."""


class Link(GraphTask[LinkKnobs]):
    """Yes or no for a pair of nodes, half of them linked; or the relation from one to the other, by letter."""

    name: ClassVar[str] = "link"
    knobs_type = LinkKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"negatives": "random"},
        "medium": {},
        "hard": {"negatives": "distance_two", "num_hops": 2, "fanout": 3},
        "relation": {"answer": "relation", "fanout": 3},
        "relation-hard": {"answer": "relation", "fanout": 3, "num_options": 10},
        "paper": {**PAPER_CONTEXT, "negatives": "random"},
    }

    def prepare(self) -> None:
        super().prepare()
        self.asked = self.view.asked[self.split]
        if not len(self.asked):
            raise NotApplicable(
                f"graph {self.source.name} has no {self.split} edges to ask about; it is too small for this split"
            )
        if self.knobs.answer == "relation":
            self._relations = self._relations_to_ask()

    def _relations_to_ask(self) -> IntArray:
        """The relation of each edge, [E]; refuses a graph that has none, or fewer than there are options."""
        if self.source.relations is None:
            raise NotApplicable(f"graph {self.source.name} has no relations; use task.answer=edge")
        if len(self.source.relation_names) < self.knobs.num_options:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.source.relation_names)} relations; "
                f"task.num_options={self.knobs.num_options} is too many"
            )
        return self.source.relations

    def draft(self, rng: np.random.Generator) -> Draft:
        return self._relation_draft(rng) if self.knobs.answer == "relation" else self._edge_draft(rng)

    def _edge_draft(self, rng: np.random.Generator) -> Draft:
        linked = bool(rng.integers(2))
        pair = self._positive(rng) if linked else self._negative(rng)
        first, second = (pair[i] for i in rng.permutation(2))
        common: set[int] = set()
        if self.knobs.negatives == "distance_two":
            # Every unlinked pair shares a neighbour, so one that is shown would mean "no": it is shown for none.
            common = set(self.view.visible.around(first)) & set(self.view.visible.around(second))
        subgraph = self.cut([first, second], rng, [frozenset(pair)], common)
        written = write_subgraph(self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=(first, second))
        question = (
            f"Not every edge is shown. Is there an edge between nodes [{written.number[first]}] "
            f"and [{written.number[second]}]?"
        )
        parts = self.prompt(written.text, question, REPLY_FORMAT.format(what="yes or no"))
        return Draft(parts, "yes" if linked else "no", self.meta(subgraph, written, asked=[first, second]))

    def _positive(self, rng: np.random.Generator) -> tuple[int, int]:
        source, target = self.source.edge_index[:, rng.choice(self.asked)]
        return int(source), int(target)

    def _negative(self, rng: np.random.Generator) -> tuple[int, int]:
        # Tried again here rather than by a redraw of the whole example, which would leave fewer "no" than "yes".
        for _ in range(MAX_DRAWS):
            first, second = self._candidate(rng)
            if first != second and not len(self.view.full.between(first, second)):
                return first, second
        raise NotApplicable(
            f"graph {self.source.name} has too few unlinked pairs for task.negatives={self.knobs.negatives}"
        )

    def _candidate(self, rng: np.random.Generator) -> tuple[int, int]:
        """A pair that may be linked, or the same node twice."""
        if self.knobs.negatives == "random":
            return int(rng.integers(self.source.num_nodes)), int(rng.integers(self.source.num_nodes))
        ends = self._positive(rng)
        if self.knobs.negatives == "distance_two":
            first = ends[int(rng.integers(2))]
            far = self.two_steps_from(first, rng)
            return first, first if far is None else far
        # What a linked pair shows of its edges is one less than it has, if the asked edge itself is among them.
        hidden = len(self.view.visible.between(*ends))
        first, second = (self._of_degree(self.view.visible.degree(node) - hidden, rng) for node in ends)
        return first, second

    @cached_property
    def _by_degree(self) -> tuple[IntArray, IntArray]:
        order = np.argsort(self.view.visible.degrees, kind="stable")
        return order, self.view.visible.degrees[order]

    def _of_degree(self, degree: int, rng: np.random.Generator) -> int:
        order, degrees = self._by_degree
        left, right = int(np.searchsorted(degrees, degree, "left")), int(np.searchsorted(degrees, degree, "right"))
        if right - left < DEGREE_WINDOW:
            left, right = max(0, left - DEGREE_WINDOW // 2), min(len(order), right + DEGREE_WINDOW // 2)
        return int(order[rng.integers(left, right)])

    @cached_property
    def _relation_groups(self) -> list[IntArray]:
        relations = self._relations[self.asked]
        return [self.asked[relations == relation] for relation in np.unique(relations)]

    def _relation_draft(self, rng: np.random.Generator) -> Draft:
        # Uniform over relations in training, so that frequent ones do not crowd out the rest; as they come elsewhere.
        group = self._relation_groups[rng.integers(len(self._relation_groups))] if self.split == "train" else self.asked
        edge = int(rng.choice(group))
        head, tail = (int(node) for node in self.source.edge_index[:, edge])
        options = self._relation_options(edge, head, tail, rng)
        joining = self.view.full.between(head, tail)
        true = {int(self._relations[e]) for e in joining if self.source.edge_index[0, e] == head}
        gold = [letter for letter, relation in zip(OPTION_LETTERS, options, strict=False) if relation in true]
        subgraph = self.cut([head, tail], rng, [frozenset((head, tail))])
        written = write_subgraph(self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=(head, tail))
        question = (
            f"Not every edge is shown. Which relation holds from node [{written.number[head]}] "
            f"to node [{written.number[tail]}]?"
        )
        lettered = write_options([self.source.relation_names[relation] for relation in options])
        parts = self.prompt(written.text, question, lettered, REPLY_FORMAT.format(what="one letter"))
        return Draft(parts, gold, self.meta(subgraph, written, asked=[head, tail], relations=options))

    def _relation_options(self, edge: int, head: int, tail: int, rng: np.random.Generator) -> list[int]:
        gold = int(self._relations[edge])
        near = self._relations_near(head, tail)
        near = rng.permutation(near[near != gold])[: self.knobs.num_options - 1]
        rest = np.setdiff1d(np.arange(len(self.source.relation_names)), [gold, *near])
        fill = rng.permutation(rest)[: self.knobs.num_options - 1 - len(near)]
        return [int(relation) for relation in rng.permutation([gold, *near, *fill])]

    def _relations_near(self, head: int, tail: int) -> IntArray:
        """Relations that the head takes elsewhere as head or the tail as tail, over visible edges."""
        visible, ends = self.view.visible, self.source.edge_index
        out = visible.edges[visible.indptr[head] : visible.indptr[head + 1]]
        into = visible.edges[visible.indptr[tail] : visible.indptr[tail + 1]]
        out = out[(ends[0, out] == head) & (ends[1, out] != tail)]
        into = into[(ends[1, into] == tail) & (ends[0, into] != head)]
        return np.unique(self._relations[np.concatenate([out, into])])

    def score(self, reply: str, example: Example) -> Score:
        return score_any_of(reply, [example.target] if isinstance(example.target, str) else example.target)

    def chance(self, example: Example) -> float:
        return 0.5 if isinstance(example.target, str) else len(example.target) / self.knobs.num_options

    def gold(self, example: Example) -> str:
        return example.target if isinstance(example.target, str) else str(example.target[0])
