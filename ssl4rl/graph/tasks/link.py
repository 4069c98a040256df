"""Link prediction: is there an edge between two nodes (yes or no), or which relation holds between them?

Positives come from the split's own edges, negatives are drawn per example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.pairs import TRIES, PairKnobs, PairTask, Question
from ssl4rl.graph.task import PAPER_CONTEXT
from ssl4rl.graph.tasks.alike import one_of
from ssl4rl.prompts import OPTION_LETTERS

DEGREE_PARTS = (4, 2)
"""How finely the degrees of an asked edge's ends are matched (parts of a factor of two): as finely as there are enough
relations."""


class LinkKnobs(PairKnobs):
    """Settings of link prediction."""

    answer: Literal["edge", "relation"] = "edge"
    """``edge``: is there one, yes or no; ``relation``: which one holds (graphs with relations)."""
    num_options: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Relations to choose from, with ``answer=relation``."""


class Link(PairTask[LinkKnobs]):
    """Yes or no for a pair of nodes, half of them linked; or the relation from one to the other, by letter."""

    name: ClassVar[str] = "link"
    version: ClassVar[int] = 5
    only_texts = True
    knobs_type = LinkKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"fanout": 1},
        "medium": {},
        "hard": {"negatives": "distance_two", "num_hops": 2, "fanout": 3},
        "relation": {"answer": "relation", "fanout": 3},
        "relation-hard": {"answer": "relation", "fanout": 3, "num_options": 10},
        "paper": PAPER_CONTEXT,
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = ({"level": "easy"}, {"level": "medium"}, {"level": "hard"})

    @property
    def unchanged_since(self) -> int:
        # Version 3: either kind of pair shows as many edges (distance_two); version 4: in directed graphs, in either
        # direction; version 5: no nodes without a text. A subclass that raises its own version changes all.
        if not self.source.has_text.all():
            return self.version
        if self.knobs.answer == "relation":
            return self.version - 3
        if self.source.directed:
            return self.version - 1
        return self.version - (2 if self.knobs.negatives == "distance_two" else 3)

    def prepare(self) -> None:
        super().prepare()
        # Refuses now, not at the first example, a graph with too few relations or unlinked pairs.
        if self.knobs.answer == "relation":
            self._check_relations()
        else:
            self.couple(self.knobs.negatives, np.random.default_rng(0))

    def _check_relations(self) -> None:
        if len(self._relation_groups) < self.knobs.num_options:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self._relation_groups)} relations in {self.split}; "
                f"task.num_options={self.knobs.num_options} is too many"
            )
        if not self._anchors:
            raise NotApplicable(
                f"graph {self.source.name} has no {self.knobs.num_options} relations in {self.split} whose edges join "
                "nodes of about the same degrees, so that degrees would tell the relation; lower task.num_options"
            )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        slot = self.slot(index, self.num_slots)
        asked = self._edge_question(slot, rng) if self.knobs.answer == "edge" else self._relation_question(slot, rng)
        return Draft.any_of(asked.parts, asked.accepted, list(asked.choices), asked.source_items, asked.meta)

    @property
    def num_slots(self) -> int:
        return 2 if self.knobs.answer == "edge" else self.knobs.num_options

    def _edge_question(self, slot: int, rng: np.random.Generator) -> Question:
        linked, unlinked = self.couple(self.knobs.negatives, rng)
        asked, other = (linked, unlinked) if slot == 0 else (unlinked, linked)
        return self.ask_edge(asked, self.knobs.negatives, rng, other)

    def _relation_question(self, slot: int, rng: np.random.Generator) -> Question:
        # The options come first and the right one is any of them, so that none is right more often than another. They
        # are what the ends of some edge take, its own relation among them, so that most are plausible of each other,
        # and the edge that is asked about has about as many edges at its ends, whichever of them is right.
        around = int(rng.choice(self._anchors[int(rng.choice(list(self._anchors)))]))
        groups = self._groups_like(around)
        near = self.relations_near(*(int(node) for node in self.source.edge_index[:, around]))
        order = [int(self.relations[around]), *rng.permutation(near).tolist(), *rng.permutation(list(groups)).tolist()]
        edges = self._apart([relation for relation in dict.fromkeys(order) if relation in groups], groups, rng)
        gold, options = one_of(list(edges), slot, rng)
        return self.ask_relation(int(rng.choice(edges[gold])), options, rng)

    def _apart(
        self, relations: Sequence[int], groups: Mapping[int, IntArray], rng: np.random.Generator
    ) -> dict[int, list[int]]:
        """The first of the relations that can all be options, with edges at whose ends none of the others holds.

        Every option has to have one, so that it could be right.

        Raises:
            Redraw: if there are too few.
        """
        found: dict[int, dict[int, set[int]]] = {}
        for relation in relations:
            tried = {int(edge): self.relations_between(int(edge)) for edge in rng.choice(groups[relation], TRIES)}
            own = {edge: true for edge, true in tried.items() if true.isdisjoint(found)}
            others = {
                other: {edge: true for edge, true in edges.items() if relation not in true}
                for other, edges in found.items()
            }
            if own and all(others.values()):
                found = {**others, relation: own}
            if len(found) == self.knobs.num_options:
                return {option: list(edges) for option, edges in found.items()}
        raise Redraw("too few relations of which one alone can hold")

    def _groups_like(self, edge: int) -> dict[int, IntArray]:
        """The edges of the split whose ends have about the degrees of this one's, by relation."""
        classes = (
            self._matched_groups[parts][int(self._degree_class(np.array([edge]), parts)[0])] for parts in DEGREE_PARTS
        )
        return next(groups for groups in classes if len(groups) >= self.knobs.num_options)

    @cached_property
    def _relation_groups(self) -> dict[int, IntArray]:
        """The edges of the split by relation."""
        return _grouped(self.asked, self.relations[self.asked])

    @cached_property
    def _anchors(self) -> dict[int, IntArray]:
        """The edges, by relation, that enough relations have edges like."""
        matched = [groups for classes in self._matched_groups.values() for groups in classes.values()]
        enough = [groups for groups in matched if len(groups) >= self.knobs.num_options]
        known = [edges for groups in enough for edges in groups.values()]
        if not known:
            return {}
        edges = np.unique(np.concatenate(known))
        return _grouped(edges, self.relations[edges])

    @cached_property
    def _matched_groups(self) -> dict[int, dict[int, dict[int, IntArray]]]:
        """The edges of the split by their ends' degrees, finely or coarsely, then by relation."""
        known = {}
        for parts in DEGREE_PARTS:
            classes = _grouped(self.asked, self._degree_class(self.asked, parts))
            known[parts] = {code: _grouped(edges, self.relations[edges]) for code, edges in classes.items()}
        return known

    def _degree_class(self, edges: IntArray, parts: int) -> IntArray:
        """One number for the degrees of the head and of the tail; ``parts`` of them make a factor of two."""
        degrees = self.view.visible.degrees[self.source.edge_index[:, edges]]
        head, tail = (parts * np.log2(1 + degrees)).astype(np.int64)
        return np.asarray(1000 * head + tail, dtype=np.int64)


def _grouped(edges: IntArray, keys: IntArray) -> dict[int, IntArray]:
    known, sizes = np.unique(keys, return_counts=True)
    parts = np.split(edges[np.argsort(keys, kind="stable")], np.cumsum(sizes)[:-1])
    return dict(zip(known.tolist(), parts, strict=True))
