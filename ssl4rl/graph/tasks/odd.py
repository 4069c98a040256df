"""Odd one out: of several lists of neighbours, which holds a node that is none, and is not even near the others?

Replaced token detection (Clark et al., ELECTRA, ICLR 2020) for neighbourhoods. The lists, not the nodes of one list,
are the options: among these the odd one would stand out by whatever neighbours have in common, its length included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.graph.budget import heads_of
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.alike import TRIES, AlikeTask, Group, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs
from ssl4rl.prompts import OPTION_LETTERS, label_noun, read_alike, write_options

LONG = 60
"""Pieces from which on texts count as equally long: they are cut."""


class OddKnobs(CandidateKnobs):
    """Settings of the odd one out."""

    num_candidates: int = Field(3, ge=2, le=len(OPTION_LETTERS))
    """Lists to choose from."""
    num_neighbors: int = Field(3, ge=2, le=8)
    """Texts in each list, the odd one included."""
    fanout: int = Field(1, ge=1, le=50)
    """New neighbours sampled per node and hop."""


class OddOneOut(AlikeTask[OddKnobs]):
    """Which list of neighbours holds a node that is none? Scored 0 or 1."""

    name: ClassVar[str] = "odd"
    knobs_type = OddKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2, "num_near": 0},
        "medium": {"num_near": 0},
        "hard": {"num_neighbors": 4},
    }

    def prepare(self) -> None:
        super().prepare()
        self.refuse_crowds("neighbourhoods")
        self.set_pool_with_neighbors(self.knobs.num_neighbors)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_candidates
        # Every one of the groups is such that the stranger would be odd in it, and would not look it.
        stranger, found = self._draw_groups(rng)
        (target, group), groups = one_of(found, self.slot(index, count), rng)
        place = groups.index((target, group))
        same = [i for i, node in enumerate(group) if self._surface(node) == self._surface(stranger)]
        odd = int(rng.choice(same))
        lists = [near for _, near in groups]
        lists[place] = [*group[:odd], stranger, *group[odd + 1 :]]
        targets = [node for node, _ in groups]
        listed = [node for near in (*lists, group) for node in near]
        shown, left = self.cut_options(sorted({*listed}))
        subgraph = self.cut(targets, rng, hidden_nodes=listed)
        written = self.write(subgraph, rng, left, keep=targets)
        options = [
            f"neighbours of [{written.number[node]}]: {' | '.join(shown[each] for each in near)}"
            for node, near in zip(targets, lists, strict=True)
        ]
        if read_alike(options):
            raise Redraw("two lists read alike")
        question = "One of these lists holds the text of a node that is not a neighbour. Which list is it?"
        parts = self.prompt(written.text, question, write_options(options), self.form(label_noun(self.letters)))
        meta = self.meta(subgraph, written, lists=lists, of=targets, odd=stranger)
        return Draft.any_of(parts, [self.letters[place]], list(self.letters), (node_item(target),), meta)

    def _draw_groups(self, rng: np.random.Generator) -> tuple[int, list[Group]]:
        """A node, and groups of neighbours that it is far from, in each of which one is like it."""
        center, near = self.draw_group(None, rng)
        stranger = int(rng.choice(near))
        surface = self._surface(stranger)

        def draw(found: Sequence[Group]) -> Group | None:
            target, group = self.draw_group(center, rng)
            fits = any(self._surface(node) == surface for node in group)
            return (target, group) if fits and self._are_far(near, group) else None

        def are_apart(one: Group, other: Group) -> bool:
            return {one[0], *one[1]}.isdisjoint({other[0], *other[1]})

        count = self.knobs.num_candidates
        return stranger, drawn_apart(draw, are_apart, count, TRIES * count)

    def _surface(self, node: int) -> tuple[int, ...]:
        """What shows of a node without its text being read: its group, about its degree, about how long its text is."""
        groups, degree = node_groups(self.source), self.view.visible.degree(node)
        shown = min(heads_of(self.source).of(node, self.knobs.text_budget).pieces, LONG)
        return (0 if groups is None else int(groups[node]), int(4 * log2(degree)), int(2 * log2(shown)))

    def _are_far(self, group: Sequence[int], other: Sequence[int]) -> bool:
        """Whether no node of one is in the other, linked with it, or shares a neighbour with it."""
        full = self.view.full
        near = np.zeros(self.source.num_nodes, dtype=bool)
        for node in group:
            near[node] = near[full.around(node)] = True
        return not near[other].any() and not any(near[full.around(node)].any() for node in other)
