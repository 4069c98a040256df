"""Relation prediction: which relation holds from head to tail, by label; every one that does is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.base import LEVELS, GraphBenchmark, GraphKnobs
from ssl4rl.graph.pairs import PairTask
from ssl4rl.graph.splits import pair_keys


class RelationKnobs(GraphKnobs):
    """Settings of relation prediction."""

    fanout: int = Field(3, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    num_options: int | None = Field(10, ge=2)
    """Relations to choose from, as many as there are at most; null offers all of them."""


class RelationPrediction(GraphBenchmark[RelationKnobs], PairTask[RelationKnobs]):
    """Which relation holds from head to tail? By label; every relation that holds between the two is right."""

    name: ClassVar[str] = "relation"
    version: ClassVar[int] = 2
    knobs_type = RelationKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {**LEVELS, "all": {"num_options": None}}
    default_level = "one-hop"

    def prepare(self) -> None:
        super().prepare()
        known = len(self.source.relation_names)
        self.num_options = min(self.knobs.num_options or known, known)
        if known == 1:
            raise NotApplicable(f"graph {self.source.name} has one relation, so there is nothing to choose from")
        self.triples: IntArray = self.item_rng().permutation(self.asked)
        # Refuses now, not at the first item, a graph without relations.
        self.relations[self.triples[0]]
        self.triples = self.triples[~self._all_hold(self.triples)]
        if not len(self.triples):
            raise NotApplicable(
                f"graph {self.source.name}: of each {self.split} edge all {known} relations hold between its ends, so "
                "there is nothing to choose from"
            )

    def _all_hold(self, edges: IntArray) -> NDArray[np.bool_]:
        """Whether every relation holds between the ends of these edges [M], so that each answer would be right."""
        keys = pair_keys(self.source)
        _, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
        known = len(self.source.relation_names)
        several = counts[which[edges]] >= known  # few of them, which are looked at one by one
        return np.array(
            [few and len(self.relations_between(edge)) == known for few, edge in zip(several, edges, strict=True)]
        )

    @property
    def size(self) -> int:
        return len(self.triples)

    @property
    def notes(self) -> Sequence[str]:
        return self.note_of_textless(self.source.edge_index[:, self.triples], "edges")

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        edge = int(self.triples[index])
        relation = int(self.relations[edge])
        head, tail = (int(node) for node in self.source.edge_index[:, edge])
        options = self.relation_options(edge, self.num_options, self.item_rng("options", edge))
        asked = self.ask_relation(edge, self.offered(options, edge), rng)
        return self.closed(
            asked.parts,
            accepted=asked.accepted,
            choices=asked.choices,
            item=f"relation:{head}-{relation}-{tail}",
            class_name=self.source.relation_names[relation],
            source_items=asked.source_items,
            meta={**asked.meta, "relation": relation},
        )
