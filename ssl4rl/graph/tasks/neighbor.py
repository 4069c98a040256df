"""Neighbor prediction: some of a node's edges are hidden; find the hidden neighbours among candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.graph import Computed
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.task import PAPER_CONTEXT, node_item
from ssl4rl.graph.tasks.alike import NEAR_SHARE, Group, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs, CandidateTask
from ssl4rl.prompts import OPTION_LETTERS, label_noun

CHOICES = 300
"""Groups of neighbours that are tried for one question."""
MOST_TARGETS = 64
"""Neighbours of a candidate that are looked at as targets: a hub has more than enough."""
TARGETS_AT_ONCE = 1 << 20
"""Nodes whose neighbours are counted in one go."""


class NeighborKnobs(CandidateKnobs):
    """Settings of neighbor prediction."""

    num_candidates: int = Field(5, ge=2, le=len(OPTION_LETTERS))
    """Texts to choose from, the hidden neighbours among them."""
    num_hidden: int = Field(1, ge=1, le=8)
    """Edges of the target that are hidden; all of them belong to the split. If several, num_near says whether the other
    candidates are of nodes two steps away (if not 0) or of any."""

    @model_validator(mode="after")
    def _fits(self) -> NeighborKnobs:
        if self.num_hidden >= self.num_candidates:
            raise ValueError(f"num_hidden={self.num_hidden} must be smaller than num_candidates={self.num_candidates}")
        if self.num_candidates % self.num_hidden:
            raise ValueError(
                f"num_candidates={self.num_candidates} must be a multiple of num_hidden={self.num_hidden}: wrong "
                "candidates are neighbours of each other's nodes, as the right ones are"
            )
        return self


class Neighbor(CandidateTask[NeighborKnobs]):
    """Which of these are hidden neighbours of the target? Scored by the Jaccard similarity of the two sets."""

    name: ClassVar[str] = "neighbor"
    version: ClassVar[int] = 3
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
        self.asked = self.view.visible if self.split == "train" else self._adjacency_of_split()
        found = self.kept("targets", self._find_targets)
        self.targets, self._may_be_asked = found["nodes"], found["may_be_asked"]
        self._shows_edges = bool(found["shows_edges"])
        if not len(self.targets):
            raise NotApplicable(
                f"graph {self.source.name} has no node with {self.knobs.num_hidden} {self.split} edges to hide; "
                f"lower task.num_hidden or use level easy"
            )

    def _adjacency_of_split(self) -> Adjacency:
        def compute() -> Computed:
            edges = self.view.asked[self.split]
            asked = Adjacency.build(self.source.num_nodes, self.source.edge_index, edges)
            return {
                "indptr": asked.indptr,
                "neighbors": asked.neighbors,
                "edges": asked.edges,
                "degrees": asked.degrees,
            }

        found = self.source.kept(f"adjacency-{self.split}", compute)
        arrays = found["indptr"], found["neighbors"], found["edges"]
        return Adjacency(*arrays, stored_degrees=found["degrees"])

    def _find_targets(self) -> Computed:
        """The nodes with edges to hide: those that have others to show, if there are any."""
        # Entries may repeat a neighbour (several relations), so these lists can be slightly too long; a draft checks.
        spare = self.asked.degrees - 1 if self.split == "train" else self.view.visible.degrees
        enough = self.asked.degrees >= self.knobs.num_hidden
        may_be_asked = enough & (spare >= self.knobs.num_hidden if self.split == "train" else spare > 0)
        shows_edges = bool(may_be_asked.any())
        nodes = np.flatnonzero(may_be_asked if shows_edges else enough)
        may_be_asked[nodes] = True
        if shows_edges and self.split == "train":
            may_be_asked &= self.asked.degrees > self.knobs.num_hidden
        return {"nodes": nodes, "may_be_asked": may_be_asked, "shows_edges": np.array(shows_edges)}

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
        choose = self._choose if self.is_crowded or self.knobs.num_hidden > 1 else self._ask
        target, hidden, candidates = choose(rng, slot)
        if any(self.reads_like_neighbor(node, target) for node in candidates if node not in hidden):
            raise Redraw("a candidate reads like a neighbour")
        subgraph = self.cut([target], rng, hidden_nodes=candidates)
        written = self.write_with(subgraph, candidates, rng, keep=[target])
        gold = [letter for node, letter in self.letter_of(candidates).items() if node in hidden]
        whose = f"{'into or out of' if self.source.directed else 'of'} node [{written.number[target]}]"
        if len(hidden) == 1:
            question = f"One edge {whose} is hidden. Which of these is at its other end?"
        else:
            question = f"{len(hidden)} edges {whose} are hidden. Which {len(hidden)} of these are at their other ends?"
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
        """A target, its one hidden neighbour, and this among the candidates.

        Raises:
            Redraw: if the target has too few neighbours, or wrong ones are not found.
        """
        target = int(rng.choice(self.targets))
        around = self.asked.around(target)
        if not self._has_other_edges(target):
            raise Redraw("no edge is left to show")
        neighbors = around[self.source.has_text[around]]
        if not len(neighbors):
            raise Redraw("too few neighbours with a text")
        hidden = int(rng.choice(neighbors))
        if not self.is_spared([hidden], rng):
            raise Redraw("a neighbour that is linked with most nodes")
        candidates = self.mix([hidden], [target], rng, taken={target}, slot=slot)
        return self._ask_any(candidates, target, rng, slot)

    def _ask_any(
        self, candidates: Sequence[int], target: int, rng: np.random.Generator, slot: int
    ) -> tuple[int, list[int], list[int]]:
        """Any of the candidates as the hidden neighbour, and a target for it; where near ones are wanted, one next to
        ``target`` if there is any.

        Walks come upon some nodes more often than these are right, and what is linked with many is seldom wrong. Where
        each of the candidates could be right, and any is, that is worth nothing.

        Raises:
            Redraw: if one of them could not be right.
        """
        targets = [self._targets_of(node, candidates) for node in candidates]
        if not all(targets):
            raise Redraw("a candidate that is no target's only neighbour among them")
        place = int(rng.integers(len(candidates)))
        found = targets[place]
        if self.knobs.num_near:
            found = [other for other in found if other == target or not self._is_apart(other, target)] or found
        others = [node for node in candidates if node != candidates[place]]
        shuffled = [others[i] for i in rng.permutation(len(others))]
        return found[rng.integers(len(found))], [candidates[place]], inserted(candidates[place], shuffled, slot)

    def _has_other_edges(self, target: int) -> bool:
        """Whether neighbours are left to show where some are hidden; edges that repeat a neighbour count once."""
        if not self._shows_edges or self.split != "train":
            return True
        return len(self.asked.around(target)) > self.knobs.num_hidden

    def _targets_of(self, node: int, candidates: Sequence[int]) -> list[int]:
        """The targets that the split links with this candidate, and nothing with another."""
        others = [other for other in candidates if other != node]
        around = self.asked.around(node)[:MOST_TARGETS].tolist()
        return [
            target
            for target in around
            if self._may_be_asked[target]
            and all(self._is_apart(target, other) for other in others)
            and self._has_other_edges(target)
        ]

    def _choose(self, rng: np.random.Generator, slot: int) -> tuple[int, list[int], list[int]]:
        """A target, its hidden neighbours, and the candidates: the neighbours of several targets, none of which is
        linked with another's, and any of which is asked about.

        So that several right ones go together says nothing: all of them do.

        Raises:
            Redraw: if too few such targets are found.
        """
        count, near = self.knobs.num_hidden, self.knobs.num_near > 0

        def draw(found: Sequence[Group]) -> Group | None:
            target: int | None = int(rng.choice(self.targets))
            if found and near and rng.random() < NEAR_SHARE:
                target = self.steps_from(found[0][0], rng)
            if target is None or not self._may_be_asked[target]:
                return None
            neighbors = self.asked.around(target)
            if not self._has_other_edges(target):
                return None
            neighbors = neighbors[self.source.has_text[neighbors]]
            if len(neighbors) < count:
                return None
            hidden = rng.choice(neighbors, count, replace=False).tolist()
            return (target, hidden) if not found or self._kinds(hidden) == self._kinds(found[0][1]) else None

        def are_apart(one: Group, other: Group) -> bool:
            pairs = ((group[0], node) for group, rest in ((one, other), (other, one)) for node in rest[1])
            return set(one[1]).isdisjoint(other[1]) and all(self._is_apart(*pair) for pair in pairs)

        found = drawn_apart(draw, are_apart, self.knobs.num_candidates // count, CHOICES)
        (target, hidden), groups = one_of(found, 0, rng)
        rest = [node for _, nodes in groups for node in nodes if node != hidden[0]]
        return target, hidden, inserted(hidden[0], rng.permutation(rest).tolist(), slot)

    def _kinds(self, nodes: Sequence[int]) -> list[int]:
        groups = node_groups(self.source)
        return [] if groups is None else sorted(groups[nodes].tolist())

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
