"""Path queries: which entity is reached from a start over a chain of relations? The last edge is never shown.

After Guu et al. (Traversing Knowledge Graphs in Vector Space, EMNLP 2015) and Hamilton et al. (Embedding Logical
Queries on Knowledge Graphs, NeurIPS 2018). Wrong entities are the ends of other paths over the same relations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.chains import follow, steps
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.alike import drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs, CandidateTask
from ssl4rl.prompts import label_noun, write_options

DRAWS = 10
"""Paths that are tried for each alternative: over some relations nearly everything leads to the same ends."""


class PathKnobs(CandidateKnobs):
    """Settings of path queries."""

    length: int = Field(2, ge=2, le=3)
    """Relations in the chain."""
    num_near: Literal[0] = 0
    """Wrong ends are where the same chain leads to from other starts, wherever these are."""
    hide: Literal["last", "all"] = "last"
    """``last``: the path is shown up to its last edge; ``all``: nothing of it but its start."""


class Path(NamedTuple):
    """A path from its start to its end."""

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    reached: frozenset[int]
    """What all of these but the last lead to from the start."""
    before: frozenset[int]
    """From what the last of them leads to the end."""


class PathQuery(CandidateTask[PathKnobs]):
    """Which of these entities does a chain of relations lead to? Scored 0 or 1."""

    name: ClassVar[str] = "path"
    version: ClassVar[int] = 3
    knobs_type = PathKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2},
        "medium": {},
        "hard": {"length": 3},
        "hidden": {"hide": "all"},
    }

    def prepare(self) -> None:
        super().prepare()
        self.refuse_crowds("the ends of paths")
        if not self._asked_by_relation:
            raise NotApplicable(
                f"graph {self.source.name} has no relation with {self.knobs.num_candidates} {self.split} edges; "
                "task.num_candidates is too many"
            )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_candidates

        def draw(found: Sequence[Path]) -> Path | None:
            return self._draw_path(self.relations[list(found[0].edges)] if found else None, rng)

        alike = drawn_apart(draw, _are_apart, count, DRAWS * count)
        (nodes, edges, *_), paths = one_of(alike, self.slot(index, count), rng)
        candidates = [path.nodes[-1] for path in paths]
        self._check_texts(nodes, edges, candidates)
        texts, left = self.cut_options(candidates)
        self.check_options(list(texts.values()))
        shown = nodes[:-1] if self.knobs.hide == "last" else nodes[:1]
        subgraph = self.cut(shown, rng, hidden_nodes=[*candidates, *nodes[len(shown) :]])
        written = self.write(replace(subgraph, needed=edges[: len(shown) - 1]), rng, left, keep=shown)
        chain = self.relations[list(edges)].tolist()
        names = [f'"{self.source.relation_names[relation]}"' for relation in chain]
        missing = "the last of them is" if self.knobs.hide == "last" else "they are"
        question = (
            f"From node [{written.number[nodes[0]]}], follow an edge {', then an edge '.join(names)}; {missing} not "
            "shown. Which of these is at the end?"
        )
        parts = self.prompt(
            written.text, question, write_options(list(texts.values())), self.form(label_noun(self.letters))
        )
        gold = self.letters[candidates.index(nodes[-1])]
        meta = self.meta(subgraph, written, node=nodes[0], path=list(nodes), chain=chain, candidates=candidates)
        return Draft.any_of(parts, [gold], list(self.letters), (node_item(nodes[0]),), meta)

    def _check_texts(self, nodes: Sequence[int], edges: Sequence[int], candidates: Sequence[int]) -> None:
        """Refuses a wrong end that reads like another node that the chain leads to.

        Raises:
            Redraw: if there is one.
        """
        texts = self.source.texts
        ends = follow(self.source, self.view.full, nodes[:1], self.relations[list(edges)].tolist(), 0)
        right = {texts[end] for end in ends}
        if any(texts[node] in right for node in candidates if node != nodes[-1]):
            raise Redraw("a wrong end reads like another that is right")

    def _draw_path(self, chain: IntArray | None, rng: np.random.Generator) -> Path | None:
        """A path that ends with an edge of the split, drawn from its end; over ``chain``, if one is given."""
        edges = [int(rng.choice(self._asked if chain is None else self._asked_by_relation[int(chain[-1])]))]
        nodes = self.source.edge_index[::-1, edges[0]].tolist()
        for step in reversed(range(self.knobs.length - 1)):
            others, into = steps(self.source, self.view.visible, nodes[-1:], 1)
            if chain is not None:
                others, into = (each[self.relations[into] == chain[step]] for each in (others, into))
            if not len(into):
                return None
            place = int(rng.integers(len(into)))
            nodes.append(int(others[place]))
            edges.append(int(into[place]))
        if len(set(nodes)) < len(nodes) or not self.source.has_text[nodes].all():
            return None
        nodes, edges = nodes[::-1], edges[::-1]
        relations = self.relations[edges].tolist()
        reached = follow(self.source, self.view.full, nodes[:1], relations[:-1], 0)
        before = follow(self.source, self.view.full, nodes[-1:], relations[-1:], 1)
        return Path(tuple(nodes), tuple(edges), reached, before)

    @cached_property
    def _asked_by_relation(self) -> dict[int, IntArray]:
        """The edges of the split by relation, where there are enough of them."""
        edges = self.view.asked[self.split]
        relations = self.relations[edges]
        known, counts = np.unique(relations, return_counts=True)
        return {int(each): edges[relations == each] for each in known[counts >= self.knobs.num_candidates]}

    @cached_property
    def _asked(self) -> IntArray:
        return np.concatenate(list(self._asked_by_relation.values()))


def _are_apart(path: Path, other: Path) -> bool:
    """Whether neither path's end is reached from the other's start, or is one of its nodes."""
    return all(b.nodes[-1] not in a.nodes and a.reached.isdisjoint(b.before) for a, b in ((path, other), (other, path)))
