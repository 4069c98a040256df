"""A base for tasks whose answers are nodes, offered as lettered texts.

Candidates appear nowhere else in the prompt: were their edges shown, distractors from two hops away would give
themselves away by touching the target's shown neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np
from pydantic import Field

from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.task import ContextKnobs, GraphTask
from ssl4rl.graph.text import GraphText, write_subgraph
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.tasks import Redraw


class CandidateKnobs(ContextKnobs):
    """What tasks with candidates add to the context."""

    num_candidates: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Texts to choose from, the right ones among them."""
    num_near: int = Field(2, ge=0, le=len(OPTION_LETTERS))
    """Wrong candidates drawn from two hops away (as many as there are, at most); the rest are any nodes."""


CandK = TypeVar("CandK", bound=CandidateKnobs)


class CandidateTask(GraphTask[CandK]):
    """Base of the tasks that offer nodes as candidates: draws the wrong ones, mixes them in, and letters them."""

    @property
    def letters(self) -> str:
        """The letters of all candidates."""
        return OPTION_LETTERS[: self.knobs.num_candidates]

    def mix(
        self, right: Sequence[int], centers: Sequence[int], rng: np.random.Generator, taken: Collection[int]
    ) -> list[int]:
        """The ``right`` nodes among distractors, ``num_candidates`` in all, in random order.

        Distractors have a text, are none of ``taken``, and no edge joins them to any of ``centers``.

        Raises:
            Redraw: if the graph has too few of them.
        """
        wrong = self._distractors(centers, self.knobs.num_candidates - len(right), rng, {*taken, *right})
        return [int(node) for node in rng.permutation([*right, *wrong])]

    def _distractors(
        self, centers: Sequence[int], count: int, rng: np.random.Generator, taken: Collection[int]
    ) -> list[int]:
        found: dict[int, None] = {}
        for attempt in range(20 * count):
            if len(found) == count:
                break
            near = len(found) < self.knobs.num_near and attempt < 10 * count
            center = centers[attempt % len(centers)]
            node = self.two_steps_from(center, rng) if near else int(rng.integers(self.source.num_nodes))
            if node is None or node in taken or not self.source.texts[node].strip():
                continue
            if not any(node == other or len(self.view.full.between(node, other)) for other in centers):
                found[node] = None
        if len(found) < count:
            raise Redraw("too few distractors")
        return list(found)

    def write(
        self,
        subgraph: Subgraph,
        candidates: Sequence[int],
        rng: np.random.Generator,
        *,
        keep: Collection[int] = (),
        masked: Collection[int] = (),
    ) -> GraphText:
        """The subgraph and the lettered candidates as text; the texts of ``keep`` and of candidates are cut last.

        Raises:
            Redraw: if two candidates read the same.
        """
        written = write_subgraph(
            self.source,
            subgraph,
            rng,
            text_budget=self.knobs.text_budget,
            keep=keep,
            masked=masked,
            options=candidates,
        )
        if len({written.shown[node] for node in candidates}) < len(candidates):
            raise Redraw("two candidates read the same")
        return written

    def letter_of(self, candidates: Sequence[int]) -> dict[int, str]:
        """The letter under which each candidate is offered."""
        return dict(zip(candidates, self.letters, strict=False))
