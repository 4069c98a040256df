"""A base for tasks whose answers are nodes, offered as lettered texts.

Candidates appear nowhere else in the prompt: were their edges shown, distractors from two hops away would give
themselves away by touching the target's shown neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ssl4rl.drafts import Redraw, inserted
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import Computed
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.population import Population
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.task import ContextKnobs, GraphTask
from ssl4rl.graph.text import GraphText
from ssl4rl.prompts import OPTION_LETTERS, labels_for, read_alike

NEAR_TRIES, TRIES = 16, 40
"""Walks for each wrong candidate that is to be near, and draws of any one before the example is drawn again."""
WIDEN_FROM = 0.75
"""The share of these draws from which on nodes of any degree will do."""


class CandidateKnobs(ContextKnobs):
    """What tasks with candidates add to the context."""

    num_candidates: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Options to choose from, the right ones among them."""
    num_near: int = Field(len(OPTION_LETTERS), ge=0, le=len(OPTION_LETTERS))
    """Wrong candidates drawn from two hops away (as many as there are, at most), three where edges join two sides. None
    or all, by default: were some of them near, the right one would be among those that are like each other."""


CandK = TypeVar("CandK", bound=CandidateKnobs)


class CandidateTask(GraphTask[CandK]):
    """Base of the tasks that offer nodes as candidates: draws the wrong ones, mixes them in, and letters them."""

    @property
    def letters(self) -> str:
        """The letters of all candidates."""
        return OPTION_LETTERS[: self.knobs.num_candidates]

    @property
    def num_slots(self) -> int:
        return self.knobs.num_candidates

    def mix(
        self,
        right: Sequence[int],
        centers: Sequence[int],
        rng: np.random.Generator,
        taken: Collection[int],
        slot: int,
        *,
        apart: bool = False,
    ) -> list[int]:
        """The ``right`` nodes among distractors, ``num_candidates`` in all, in random order but the first at ``slot``.

        Distractors have a text, are none of ``taken``, and no edge joins them to any of ``centers``. They are right
        answers of other examples of the split, of the same group and about the same degree as the right ones here.
        With ``apart`` no edge joins them to each other either.

        Raises:
            Redraw: if the graph has too few of them.
        """
        wrong = self._distractors(right, centers, self.knobs.num_candidates - len(right), rng, {*taken, *right}, apart)
        first, *rest = right
        return inserted(first, [int(node) for node in rng.permutation([*rest, *wrong])], slot)

    def weights(self) -> NDArray[Any]:
        """How often each node is a right answer, [N], up to a factor; alike for all with a text and an edge.

        It may depend on what :meth:`kept` may.
        """
        return self.source.has_text & (self.view.visible.degrees > 0)

    def kept_nodes(self, name: str, find: Callable[[], IntArray]) -> tuple[IntArray, NDArray[np.bool_]]:
        """The nodes that ``find`` finds, and of every node whether it is one of them, [N]; as :meth:`kept`."""

        def compute() -> Computed:
            nodes = find()
            is_one = np.zeros(self.source.num_nodes, dtype=bool)
            is_one[nodes] = True
            return {"nodes": nodes, "is_one": is_one}

        found = self.kept(name, compute)
        return found["nodes"], found["is_one"]

    @cached_property
    def population(self) -> Population:
        """The nodes that are right answers of the split, from which wrong ones are drawn."""

        def compute() -> Computed:
            return Population.parts(self.weights(), self.view.visible.degrees, node_groups(self.source))

        return Population(self.view.visible.degrees, **self.kept("population", compute))

    def _distractors(
        self,
        right: Sequence[int],
        centers: Sequence[int],
        count: int,
        rng: np.random.Generator,
        taken: Collection[int],
        apart: bool,
    ) -> list[int]:
        """Stand-ins for the right nodes in turn, the near ones first."""
        found: dict[int, None] = {}
        likes = [right[i] for i in rng.permutation(len(right))]
        groups = node_groups(self.source)
        num_near = min(self.knobs.num_near, count)
        for attempt in range(NEAR_TRIES * num_near + TRIES * count):
            if len(found) == count:
                break
            like, center = likes[len(found) % len(likes)], centers[attempt % len(centers)]
            draws = attempt - NEAR_TRIES * num_near
            node: int | None
            if draws < 0 and len(found) < num_near:
                # Between two sides, nothing is two steps away from a node and on the side of its neighbours.
                steps = 2 if groups is None or groups[center] == groups[like] else 2 + attempt % 2
                node = self.steps_from(center, rng, steps)
                if node is None or not self.population.accepts(node, like, rng):
                    continue
            else:
                node = self.population.draw(like, rng, same_degree=draws < WIDEN_FROM * TRIES * count)
            if node in taken or node in found or not self.source.has_text[node]:
                continue
            others = (*centers, *found) if apart else centers
            if not any(node == other or len(self.view.full.between(node, other)) for other in others):
                found[node] = None
        if len(found) < count:
            raise Redraw("too few distractors")
        return list(found)

    def write_with(
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
            Redraw: if two candidates read alike, or one like a letter.
        """
        written = self.write(subgraph, rng, keep=keep, masked=masked, options=candidates)
        options = [written.shown[node] for node in candidates]
        self.check_options(options)
        return written

    def check_options(self, texts: Sequence[str], noun: str = "candidate") -> None:
        """Refuses texts that cannot be lettered options; ``noun`` is what one of them is.

        Raises:
            Redraw: if two of them read alike, or one like a letter.
        """
        if read_alike(texts):
            raise Redraw(f"two {noun}s read alike: repeated texts")
        if labels_for(texts) != list(self.letters[: len(texts)]):
            raise Redraw(f"a {noun} reads like the letter of an option")

    def letter_of(self, candidates: Sequence[int]) -> dict[int, str]:
        """The letter under which each candidate is offered."""
        return dict(zip(candidates, self.letters, strict=False))
