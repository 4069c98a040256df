"""Link prediction: is there an edge between two nodes (yes or no), or which relation holds between them?

Positives come from the split's own edges, negatives are drawn per example.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.pairs import PairKnobs, PairTask, Question
from ssl4rl.graph.task import PAPER_CONTEXT
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.tasks import Draft


class LinkKnobs(PairKnobs):
    """Settings of link prediction."""

    answer: Literal["edge", "relation"] = "edge"
    """``edge``: is there one, yes or no; ``relation``: which one holds (graphs with relations)."""
    num_options: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Relations to choose from, with ``answer=relation``."""


class Link(PairTask[LinkKnobs]):
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
        if self.knobs.answer == "relation":
            # Refuses now, not at the first example, a graph without relations or with too few of them.
            self.relation_options(int(self.asked[0]), self.knobs.num_options, np.random.default_rng(0))

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        asked = self._edge_question(rng) if self.knobs.answer == "edge" else self._relation_question(rng)
        return Draft.any_of(asked.parts, asked.accepted, len(asked.choices), asked.source_items, asked.meta)

    def _edge_question(self, rng: np.random.Generator) -> Question:
        linked = bool(rng.integers(2))
        pair = self.positive(rng) if linked else self.negative(self.knobs.negatives, rng)
        return self.ask_edge(pair, self.knobs.negatives, rng)

    def _relation_question(self, rng: np.random.Generator) -> Question:
        # Uniform over relations in training, so that frequent ones do not crowd out the rest; as they come elsewhere.
        group = self._relation_groups[rng.integers(len(self._relation_groups))] if self.split == "train" else self.asked
        edge = int(rng.choice(group))
        return self.ask_relation(edge, self.relation_options(edge, self.knobs.num_options, rng), rng)

    @cached_property
    def _relation_groups(self) -> list[IntArray]:
        relations = self.relations[self.asked]
        _, sizes = np.unique(relations, return_counts=True)
        return np.split(self.asked[np.argsort(relations, kind="stable")], np.cumsum(sizes)[:-1])
