"""Neighbor prediction: some of a node's edges are hidden; find the hidden neighbours among candidates.

Candidates are offered as lettered texts and appear nowhere else in the prompt: were their edges shown, distractors
from two hops away would give themselves away by touching the target's shown neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ssl4rl.answers import OPTION_LETTERS, score_subset
from ssl4rl.example import Example, Score
from ssl4rl.graph.graph import Adjacency
from ssl4rl.graph.task import PAPER_CONTEXT, ContextKnobs, GraphTask
from ssl4rl.graph.text import write_subgraph
from ssl4rl.tasks import REPLY_FORMAT, Draft, NotApplicable, Redraw


class NeighborKnobs(ContextKnobs):
    """Settings of neighbor prediction."""

    num_hidden: int = Field(1, ge=1, le=8)
    """Edges of the target that are hidden; all of them belong to the split."""
    num_candidates: int = Field(5, ge=2, le=len(OPTION_LETTERS))
    """Texts to choose from, the hidden neighbours among them."""
    num_near: int = Field(2, ge=0, le=len(OPTION_LETTERS))
    """Wrong candidates drawn from two hops away (as many as there are, at most); the rest are any nodes."""

    @model_validator(mode="after")
    def _fits(self) -> NeighborKnobs:
        if self.num_hidden >= self.num_candidates:
            raise ValueError(f"num_hidden={self.num_hidden} must be smaller than num_candidates={self.num_candidates}")
        return self


class Neighbor(GraphTask[NeighborKnobs]):
    """Which of these are hidden neighbours of the target? Scored by the Jaccard similarity of the two sets."""

    name: ClassVar[str] = "neighbor"
    knobs_type = NeighborKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 4, "num_near": 0},
        "medium": {},
        "hard": {"num_hidden": 2, "num_candidates": 8, "num_near": 6, "num_hops": 2, "fanout": 3},
        "paper": {**PAPER_CONTEXT, "num_hidden": 2, "num_candidates": 8, "num_near": 0},
    }

    def prepare(self) -> None:
        super().prepare()
        if self.split == "train":
            self.asked = self.view.visible
        else:
            self.asked = Adjacency.build(self.source.num_nodes, self.source.edge_index, self.view.asked[self.split])
        # Entries may repeat a neighbour (several relations), so this list can be slightly too long; a draft checks.
        self.targets = np.flatnonzero(self.asked.degrees >= self.knobs.num_hidden)
        if not len(self.targets):
            raise NotApplicable(
                f"graph {self.source.name} has no node with {self.knobs.num_hidden} {self.split} edges to hide; "
                f"lower task.num_hidden or use level easy"
            )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        target = int(rng.choice(self.targets))
        neighbors = [int(node) for node in self.asked.around(target) if self.source.texts[node].strip()]
        if len(neighbors) < self.knobs.num_hidden:
            raise Redraw("too few neighbours with a text")
        hidden = [neighbors[i] for i in rng.choice(len(neighbors), self.knobs.num_hidden, replace=False)]
        num_wrong = self.knobs.num_candidates - len(hidden)
        wrong = self.distractors([target], num_wrong, self.knobs.num_near, rng, {target, *hidden})
        candidates = [int(node) for node in rng.permutation([*hidden, *wrong])]
        subgraph = self.cut([target], rng, hidden_nodes=candidates)
        written = write_subgraph(
            self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=[target], options=candidates
        )
        if len({written.shown[node] for node in candidates}) < len(candidates):
            raise Redraw("two candidates read the same")
        gold = [letter for letter, node in zip(OPTION_LETTERS, candidates, strict=False) if node in hidden]
        if len(hidden) == 1:
            question = f"One edge of node [{written.number[target]}] is hidden. Which of these is at its other end?"
            what = "one letter"
        else:
            question = (
                f"{len(hidden)} edges of node [{written.number[target]}] are hidden. "
                f"Which {len(hidden)} of these are at their other ends?"
            )
            what = f"{len(hidden)} letters, separated by commas,"
        parts = self.prompt(written.text, question, written.options, REPLY_FORMAT.format(what=what))
        return Draft(parts, gold, self.meta(subgraph, written, target=target, candidates=candidates, hidden=hidden))

    def score(self, reply: str, example: Example) -> Score:
        return score_subset(reply, example.target, OPTION_LETTERS[: self.knobs.num_candidates])

    def chance(self, example: Example) -> float:
        return best_blind_jaccard(self.knobs.num_hidden, self.knobs.num_candidates)

    def gold(self, example: Example) -> str:
        return ", ".join(example.target)


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
