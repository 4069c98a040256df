"""Neighbor prediction: some of a node's edges are hidden; find the hidden neighbours among candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import comb
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.task import PAPER_CONTEXT, node_item
from ssl4rl.graph.tasks.alike import drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs, CandidateTask
from ssl4rl.prompts import OPTION_LETTERS, label_noun

CHOICES = 300
"""Edges that are tried in a crowded graph for one question."""
MOST_TARGETS = 64
"""Neighbours of a candidate that are looked at as targets: a hub has more than enough."""
TARGETS_AT_ONCE = 1 << 20
"""Nodes whose neighbours are counted in one go."""


class NeighborKnobs(CandidateKnobs):
    """Settings of neighbor prediction."""

    num_candidates: int = Field(5, ge=2, le=len(OPTION_LETTERS))
    """Texts to choose from, the hidden neighbours among them."""
    num_hidden: int = Field(1, ge=1, le=8)
    """Edges of the target that are hidden; all of them belong to the split."""

    @model_validator(mode="after")
    def _fits(self) -> NeighborKnobs:
        if self.num_hidden >= self.num_candidates:
            raise ValueError(f"num_hidden={self.num_hidden} must be smaller than num_candidates={self.num_candidates}")
        return self


class Neighbor(CandidateTask[NeighborKnobs]):
    """Which of these are hidden neighbours of the target? Scored by the Jaccard similarity of the two sets."""

    name: ClassVar[str] = "neighbor"
    version: ClassVar[int] = 2
    knobs_type = NeighborKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 4, "num_near": 0},
        "medium": {},
        "hard": {"num_hidden": 2, "num_candidates": 8, "num_near": 6, "num_hops": 2, "fanout": 3},
        "paper": {**PAPER_CONTEXT, "num_hidden": 2, "num_candidates": 8, "num_near": 0},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy", "num_candidates": 2},
        {"level": "easy"},
        {"level": "medium", "num_candidates": 4},
        {"level": "medium"},
        {"level": "medium", "num_candidates": 6},
        {"level": "hard"},
    )

    def prepare(self) -> None:
        super().prepare()
        if self.is_crowded and self.knobs.num_hidden > 1:
            raise NotApplicable(
                f"graph {self.source.name} has edges between so many of its nodes that several hidden ones at once "
                "cannot be asked about fairly; set task.num_hidden=1, or use another level"
            )
        if self.split == "train":
            self.asked = self.view.visible
        else:
            self.asked = Adjacency.build(self.source.num_nodes, self.source.edge_index, self.view.asked[self.split])
        # Entries may repeat a neighbour (several relations), so these lists can be slightly too long; a draft checks.
        spare = self.asked.degrees - 1 if self.split == "train" else self.view.visible.degrees
        enough = self.asked.degrees >= self.knobs.num_hidden
        self.targets = np.flatnonzero(enough & (spare >= self.knobs.num_hidden if self.split == "train" else spare > 0))
        self._shows_edges = len(self.targets) > 0
        if not self._shows_edges:
            self.targets = np.flatnonzero(enough)
        if not len(self.targets):
            raise NotApplicable(
                f"graph {self.source.name} has no node with {self.knobs.num_hidden} {self.split} edges to hide; "
                f"lower task.num_hidden or use level easy"
            )

    def weights(self) -> NDArray[np.float64]:
        """A node is right as often as it is drawn from the neighbours of a random target."""
        total = np.zeros(self.source.num_nodes)
        degrees = self.asked.degrees
        for first in range(0, len(self.targets), TARGETS_AT_ONCE):
            targets = self.targets[first : first + TARGETS_AT_ONCE]
            counts = degrees[targets]
            ends = np.cumsum(counts)
            entries = np.arange(ends[-1]) + np.repeat(self.asked.indptr[targets] - (ends - counts), counts)
            share = np.repeat(1 / counts, counts)
            total += np.bincount(self.asked.neighbors[entries], share, self.source.num_nodes)
        return total * self.source.has_text

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        slot = self.slot(index, self.num_slots)
        target, hidden, candidates = self._choose(rng, slot) if self.is_crowded else self._ask(rng, slot)
        subgraph = self.cut([target], rng, hidden_nodes=candidates)
        written = self.write_with(subgraph, candidates, rng, keep=[target])
        gold = [letter for node, letter in self.letter_of(candidates).items() if node in hidden]
        if len(hidden) == 1:
            question = f"One edge of node [{written.number[target]}] is hidden. Which of these is at its other end?"
        else:
            question = (
                f"{len(hidden)} edges of node [{written.number[target]}] are hidden. "
                f"Which {len(hidden)} of these are at their other ends?"
            )
        return Draft(
            parts=self.prompt(
                written.text, question, written.options, self.form(label_noun(self.letters, len(hidden)))
            ),
            scoring=Scoring("score_subset", {"hidden": gold, "candidates": list(self.letters)}),
            gold=", ".join(gold),
            chance=best_blind_jaccard(self.knobs.num_hidden, self.knobs.num_candidates),
            source_items=(node_item(target),),
            meta=self.meta(subgraph, written, target=target, candidates=candidates, hidden=hidden),
        )

    def _ask(self, rng: np.random.Generator, slot: int) -> tuple[int, list[int], list[int]]:
        """A target, its hidden neighbours, and these among the candidates.

        Raises:
            Redraw: if the target has too few neighbours, or wrong ones are not found.
        """
        target = int(rng.choice(self.targets))
        around = self.asked.around(target)
        if self._shows_edges and self.split == "train" and len(around) <= self.knobs.num_hidden:
            raise Redraw("no edge is left to show")
        neighbors = [int(node) for node in around if self.source.has_text[node]]
        if len(neighbors) < self.knobs.num_hidden:
            raise Redraw("too few neighbours with a text")
        hidden = [neighbors[i] for i in rng.choice(len(neighbors), self.knobs.num_hidden, replace=False)]
        if not self.is_spared(hidden, rng):
            raise Redraw("a neighbour that is linked with most nodes")
        candidates = self.mix(hidden, [target], rng, taken={target}, slot=slot)
        if self.knobs.num_near and self.knobs.num_hidden == 1:
            return self._ask_any(candidates, target, rng, slot)
        return target, hidden, candidates

    def _ask_any(
        self, candidates: Sequence[int], target: int, rng: np.random.Generator, slot: int
    ) -> tuple[int, list[int], list[int]]:
        """Any of the candidates as the hidden neighbour, and a target for it: next to ``target`` if there is one.

        Walks come upon some nodes more often than these are right. Where each of the candidates could be right, and any
        is, that is worth nothing.

        Raises:
            Redraw: if one of them could not be right.
        """
        targets = [self._targets_of(node, candidates) for node in candidates]
        if not all(targets):
            raise Redraw("a candidate that is no target's only neighbour among them")
        place = int(rng.integers(len(candidates)))
        near = [other for other in targets[place] if other == target or not self._is_apart(other, target)]
        found = near or targets[place]
        others = [node for node in candidates if node != candidates[place]]
        shuffled = [others[i] for i in rng.permutation(len(others))]
        return found[rng.integers(len(found))], [candidates[place]], inserted(candidates[place], shuffled, slot)

    def _targets_of(self, node: int, candidates: Sequence[int]) -> list[int]:
        """The targets that the split links with this candidate, and nothing with another."""
        others = [other for other in candidates if other != node]
        around = self.asked.around(node)[:MOST_TARGETS].tolist()
        return [
            target
            for target in around
            if self._may_be_asked[target] and all(self._is_apart(target, other) for other in others)
        ]

    @cached_property
    def _may_be_asked(self) -> NDArray[np.bool_]:
        targets = np.zeros(self.source.num_nodes, dtype=bool)
        targets[self.targets] = True
        if self._shows_edges and self.split == "train":
            targets &= self.asked.degrees > self.knobs.num_hidden
        return targets

    def _choose(self, rng: np.random.Generator, slot: int) -> tuple[int, list[int], list[int]]:
        """A target, its hidden neighbour and the candidates: of edges none of which has an end that another's is
        linked with, any one is asked about, and the neighbours of all are offered.

        Raises:
            Redraw: if there are too few such edges.
        """
        groups = node_groups(self.source)

        def draw(found: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
            target = int(rng.choice(self.targets))
            node = int(rng.choice(self.asked.around(target)))
            fits = groups is None or not found or groups[node] == groups[found[0][1]]
            return (target, node) if fits and self.source.has_text[node] else None

        def are_apart(edge: tuple[int, int], other: tuple[int, int]) -> bool:
            return self._is_apart(edge[0], other[1]) and self._is_apart(edge[1], other[0])

        edges = drawn_apart(draw, are_apart, self.knobs.num_candidates, CHOICES)
        (target, hidden), edges = one_of(edges, slot, rng)
        return target, [hidden], [node for _, node in edges]

    def _is_apart(self, node: int, other: int) -> bool:
        return node != other and not self.is_joined(node, other)


def best_blind_jaccard(num_hidden: int, num_candidates: int) -> float:
    """The best expected Jaccard similarity of a fixed set with a uniformly random one of ``num_hidden``.

    For a fixed set of s, the overlap is hypergeometric; the best s is taken.
    """

    def expected(size: int) -> float:
        total = 0.0
        for overlap in range(min(size, num_hidden) + 1):
            ways = comb(size, overlap) * comb(num_candidates - size, num_hidden - overlap)
            total += ways * overlap / (size + num_hidden - overlap)
        return total / comb(num_candidates, num_hidden)

    return max(expected(size) for size in range(1, num_candidates + 1))
