"""Context prediction: which of several groups of texts are the neighbours of a node?

After the pre-training task of Hu et al. (Strategies for Pre-training Graph Neural Networks, ICLR 2020, §3.1.1): whether
a neighbourhood and a context graph belong to the same node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.alike import TRIES, AlikeTask, Group, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs
from ssl4rl.prompts import OPTION_LETTERS, label_noun, listed_texts, write_options


class ContextPredictionKnobs(CandidateKnobs):
    """Settings of context prediction."""

    num_near: int = Field(len(OPTION_LETTERS), ge=0, le=len(OPTION_LETTERS))
    """Whether most of the other nodes are two steps away (if not 0) or anywhere."""
    num_neighbors: int = Field(3, ge=1, le=8)
    """Texts in each group."""


class ContextPrediction(AlikeTask[ContextPredictionKnobs]):
    """Which group of neighbours belongs to the shown node? Scored 0 or 1."""

    name: ClassVar[str] = "context"
    version: ClassVar[int] = 3
    knobs_type = ContextPredictionKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_near": 0},
        "medium": {},
        "hard": {"num_candidates": 6, "num_neighbors": 2},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy", "num_candidates": 2},
        {"level": "easy"},
        {"level": "medium"},
        {"level": "hard"},
    )

    def prepare(self) -> None:
        super().prepare()
        self.refuse_crowds("groups of neighbours")
        self.set_pool_with_neighbors(self.knobs.num_neighbors)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        def draw(found: Sequence[Group]) -> Group:
            return self.draw_group(found[0][0] if found else None, rng)

        count = self.knobs.num_candidates
        alike = drawn_apart(draw, self._are_apart, count, TRIES * count)
        (target, near), groups = one_of(alike, self.slot(index, count), rng)
        offered = [node for _, group in groups for node in group]
        subgraph = self.cut([target], rng, hidden_nodes=offered)
        shown, left = self.cut_options(sorted(offered))
        written = self.write(subgraph, rng, left, keep=[target])
        options = [listed_texts([shown[node] for node in group]) for _, group in groups]
        self.check_options(options, "group")
        question = (
            f"Some neighbours of node [{written.number[target]}] are not shown. "
            f"Which of these lines lists {'one' if len(near) == 1 else len(near)} of them?"
        )
        parts = self.prompt(written.text, question, write_options(options), self.form(label_noun(self.letters)))
        meta = self.meta(subgraph, written, target=target, groups=[group for _, group in groups])
        gold = self.letters[groups.index((target, near))]
        return Draft.any_of(parts, [gold], list(self.letters), (node_item(target),), meta)

    def _are_apart(self, one: Group, other: Group) -> bool:
        """Whether neither group could be of the other's node: no edge joins them, no node is in both, and of each some
        text is none of the other's neighbours'.
        """
        (a, near), (b, far) = one, other
        if any(all(self.reads_like_neighbor(x, node) for x in group) for node, group in ((a, far), (b, near))):
            return False
        linked = any(self.is_joined(a, node) for node in (b, *far)) or any(self.is_joined(b, node) for node in near)
        return not linked and {a, *near}.isdisjoint({b, *far})
