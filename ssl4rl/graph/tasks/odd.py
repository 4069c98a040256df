"""Odd one out: of several lists of neighbours, which holds a node that is none, and is not even near the others?

Replaced token detection (Clark et al., ELECTRA, ICLR 2020) for neighbourhoods. The lists, not the nodes of one list,
are the options: among these the odd one would stand out by whatever neighbours have in common, its length included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import log2
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.budget import heads_of
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.task import DENSE, node_item
from ssl4rl.graph.tasks.alike import AlikeTask, Group, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs
from ssl4rl.prompts import OPTION_LETTERS, label_noun, listed_texts, read_alike, write_options

FEWEST_LISTED = 100
"""Nodes that training asks about: the neighbours of fewer are soon known by heart, and then what is none of them."""
DRAWS = 40
"""Groups that are tried for each list."""
MOST_NEIGHBORS = 64
"""Neighbours of a hub that are looked at."""
LONG = 60
"""Pieces from which on texts count as equally long: they are cut."""


class OddKnobs(CandidateKnobs):
    """Settings of the odd one out."""

    num_candidates: int = Field(3, ge=2, le=len(OPTION_LETTERS))
    """Lists to choose from."""
    num_near: int = Field(len(OPTION_LETTERS), ge=0, le=len(OPTION_LETTERS))
    """Whether most of the other nodes are two steps away (if not 0) or anywhere."""
    num_neighbors: int = Field(3, ge=2, le=8)
    """Texts in each list, the odd one included."""
    fanout: int = Field(1, ge=1, le=50)
    """New neighbours sampled per node and hop."""


class OddOneOut(AlikeTask[OddKnobs]):
    """Which list of neighbours holds a node that is none? Scored 0 or 1."""

    name: ClassVar[str] = "odd"
    version: ClassVar[int] = 2
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
        if self.split == "train" and len(self.pool) < FEWEST_LISTED:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.pool)} nodes with {self.knobs.num_neighbors} visible "
                f"neighbours, whose lists are soon known by heart; at least {FEWEST_LISTED} are needed"
            )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_candidates
        # Every one of the groups is such that the stranger would be odd in it, and would not look it.
        stranger, found = self._draw_groups(rng)
        (target, group), groups = one_of(found, self.slot(index, count), rng)
        place = groups.index((target, group))
        lists = [near for _, near in groups]
        lists[place] = [stranger, *group[1:]]
        lists = [rng.permutation(near).tolist() for near in lists]
        targets = [node for node, _ in groups]
        listed = [node for near in (*lists, group) for node in near]
        shown, left = self.cut_options(sorted({*listed}))
        subgraph = self.cut(targets, rng, hidden_nodes=listed)
        written = self.write(subgraph, rng, left, keep=targets)
        options = [
            f"neighbours of [{written.number[node]}]: {listed_texts([shown[each] for each in near])}"
            for node, near in zip(targets, lists, strict=True)
        ]
        if read_alike(options):
            raise Redraw("two lists read alike")
        question = "One of these lists holds a text that is not of a neighbour of the node it names. Which list is it?"
        parts = self.prompt(written.text, question, write_options(options), self.form(label_noun(self.letters)))
        meta = self.meta(subgraph, written, lists=lists, of=targets, odd=stranger)
        return Draft.any_of(parts, [self.letters[place]], list(self.letters), (node_item(target),), meta)

    def _draw_groups(self, rng: np.random.Generator) -> tuple[int, list[Group]]:
        """A node, and groups of neighbours that it is far from, the first of each of which is like it.

        It is the first of one more group, drawn by the same rule as the others and as far from them as they are from
        each other: whatever nodes of some kind are drawn more often are as often right as wrong.
        """
        center = self.draw_like(None, rng)
        surface = self._surface(int(rng.choice(self.text_neighbors(center))))

        def draw(found: Sequence[Group]) -> Group | None:
            target = self.draw_like(center, rng)
            around = rng.permutation(self.text_neighbors(target))[:MOST_NEIGHBORS]
            alike = around[self._degree_class[around] == surface[1]].tolist()
            like = next((node for node in alike if self._surface(node) == surface), None)
            if like is None:
                return None
            return target, [like, *(node for node in around.tolist() if node != like)][: self.knobs.num_neighbors]

        def are_apart(one: Group, other: Group) -> bool:
            if not {one[0], *one[1]}.isdisjoint({other[0], *other[1]}):
                return False
            return self._would_be_odd(one[1][0], other) and self._would_be_odd(other[1][0], one)

        count = self.knobs.num_candidates + 1
        (_, (stranger, *_)), *groups = drawn_apart(draw, are_apart, count, DRAWS * count)
        return stranger, groups

    def _would_be_odd(self, node: int, group: Group) -> bool:
        """Whether a node is far from a group and its target, and reads like no neighbour of the latter."""
        target, near = group
        return self._is_far(node, target, near[1:]) and not self.reads_like_neighbor(node, target)

    def _surface(self, node: int) -> tuple[int, ...]:
        """What shows of a node without its text being read: its group, about its degree, about how long its text is."""
        groups = node_groups(self.source)
        shown = min(heads_of(self.source).of(node, self.knobs.text_budget).pieces, LONG)
        return (0 if groups is None else int(groups[node]), int(self._degree_class[node]), int(2 * log2(shown)))

    def _is_far(self, node: int, target: int, group: Sequence[int]) -> bool:
        """Whether a node is linked with neither the target nor its group, and shares no neighbour with the latter.

        Hubs do not count as shared: of what they join, nothing is far from anything.
        """
        if any(node == other or self.is_joined(node, other) for other in (target, *group)):
            return False
        around = set(self.view.full.around(node).tolist()) - self._hubs
        return all(around.isdisjoint(self.view.full.around(other).tolist()) for other in group)

    @cached_property
    def _degree_class(self) -> IntArray:
        """Equal for nodes of about the same degree: within a factor of two to the power of a quarter."""
        return np.asarray(4 * np.log2(np.maximum(self.view.visible.degrees, 1)), dtype=np.int64)

    @cached_property
    def _hubs(self) -> set[int]:
        degrees = self.view.full.degrees
        return set(np.flatnonzero(degrees > DENSE * (degrees > 0).sum()).tolist())
