"""Link prediction as ranking: of the nodes that an end of a test edge could be, how early does the true one come?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.base import LEVELS, GraphBenchmark, GraphKnobs
from ssl4rl.graph.candidates import Side, given_candidates
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.pairs import PairTask, Question
from ssl4rl.graph.splits import pair_keys
from ssl4rl.graph.task import pair_item

SIDES: Mapping[str, Sequence[Side]] = {"both": ("tail", "head"), "tail": ("tail",), "head": ("head",)}


class RankingKnobs(GraphKnobs):
    """Settings of link prediction as ranking."""

    unseeded = GraphKnobs.unseeded | {"negatives"}

    side: Literal["both", "tail", "head"] = "both"
    """Which end of an edge is looked for: each in a query of its own, or one of them."""
    num_candidates: int | None = Field(20, ge=2)
    """Candidates of each query: the true one, and others drawn from all nodes not known to be right; null takes
    all of these."""
    negatives: str | None = None
    """A file of the wrong candidates instead, one query's a line of JSON lines; all of them are taken."""


class Ranking(GraphBenchmark[RankingKnobs], PairTask[RankingKnobs]):
    """Is there an edge between a node and each of its candidates? They are ranked by how likely the model says yes."""

    name: ClassVar[str] = "ranking"
    knobs_type = RankingKnobs
    levels = LEVELS
    default_level = "one-hop"
    asks_options = False
    ranks = True

    def prepare(self) -> None:
        super().prepare()
        if not self.source.directed and self.knobs.side != "both":
            raise NotApplicable(f"task.side={self.knobs.side}: the edges of graph {self.source.name} have no direction")
        asked = self.asked
        if self.source.relations is None:
            _, first = np.unique(pair_keys(self.source, asked), return_index=True)  # parallel edges are one question
            asked = asked[first]
        self._sides = SIDES[self.knobs.side]
        self._edges: IntArray = self.item_rng().permutation(asked)
        # Examples before a question are of train, and benchmarks publish candidates of the other splits.
        file = None if self.split == "train" else self.knobs.negatives
        self._given = (
            None if file is None else given_candidates(self.source, file, self._edges, self._sides, self.split)
        )
        groups = node_groups(self.source)
        # Those of nodes whose group is not known begin at −1, and are counted.
        self._groups = None if groups is None else groups - groups.min()
        self._latest: tuple[int, IntArray] | None = None
        if not self._starts[-1]:
            raise NotApplicable(f"graph {self.source.name} has no node that could be a wrong candidate")

    @property
    def size(self) -> int:
        return int(self._starts[-1])

    @property
    def num_questions(self) -> int:
        return len(self._queries)

    def items_of(self, questions: int) -> int:
        return int(self._starts[questions])

    @property
    def notes(self) -> Sequence[str]:
        alone = len(self._sides) * len(self._edges) - self.num_questions
        every = "every node" if self._groups is None else "every node of its kind or side"
        if self._given is not None:
            every = f"every candidate in {self.knobs.negatives}"
        notes = self.note_of_textless(self.source.edge_index[:, self._edges], "edges")
        notes += [f"{alone:,} queries are left out: {every} is right"] if alone else []
        if self._given is not None:
            true = sum(len(np.intersect1d(nodes, self._right(*query))) for query, nodes in self._given.items())
            given = f"candidates are those of {self.knobs.negatives}"
            return [*notes, f"{given}, but for {true:,} that are known to be right" if true else given]
        others = "all nodes" if self._groups is None else "all nodes of the right one's kind or side"
        if self.knobs.num_candidates is None:
            return [*notes, f"candidates are {others} but for others known to be right (filtered ranking)"]
        sizes = np.diff(self._starts)
        number = f"{self.knobs.num_candidates}"
        if len(sizes) and sizes.min() < self.knobs.num_candidates:
            number = f"{sizes.min()} to {sizes.max()} ({np.median(sizes):g} in the median)"
        return [
            *notes,
            f"ranks are among {number} candidates, the wrong ones drawn at random from {others} but "
            "for those known to be right; among all of them ranks are worse (task.num_candidates=null)",
        ]

    def _ends(self, edge: int) -> tuple[int, int]:
        head, tail = self.source.edge_index[:, edge]
        return int(head), int(tail)

    def _right(self, edge: int, side: Side) -> IntArray:
        """The nodes that are right in that place in any split, and the node at the other end: none is a wrong one."""
        head, tail = self._ends(edge)
        anchor = head if side == "tail" else tail
        full = self.view.full
        if self.source.relations is None:
            return np.append(full.around(anchor), anchor).astype(np.int64)
        row = slice(full.indptr[anchor], full.indptr[anchor + 1])
        around = full.edges[row]
        same = self.relations[around] == self.relations[edge]
        if self.source.directed:
            same &= self.source.edge_index[0 if side == "tail" else 1, around] == anchor
        return np.unique(np.append(full.neighbors[row][same], anchor)).astype(np.int64)

    def _members(self, node: int) -> IntArray:
        """The nodes of the group of ``node``, ascending: all nodes, where there are no groups."""
        if self._groups is None:
            return np.arange(self.source.num_nodes)
        return np.flatnonzero(self._groups == self._groups[node])

    def _query(self, number: int) -> tuple[int, Side]:
        edge, side = divmod(int(self._queries[number]), len(self._sides))
        return int(self._edges[edge]), self._sides[side]

    @cached_property
    def _sizes(self) -> IntArray:
        """How many candidates each query has, also those that have the true one alone, [edges · sides]."""
        every = [(int(edge), side) for edge in self._edges for side in self._sides]
        if self._given is not None:
            return np.array([1 + len(np.setdiff1d(self._given[query], self._right(*query))) for query in every])
        groups = np.zeros(self.source.num_nodes, dtype=np.int64) if self._groups is None else self._groups
        counts, wanted = np.bincount(groups), self.knobs.num_candidates
        most_right = int(self.view.full.degrees.max()) + 1
        ends = self.source.edge_index[:, self._edges]
        if wanted is not None and counts[groups[ends]].min() - most_right >= wanted:
            return np.full(len(every), wanted)
        sizes = []
        for edge, side in every:
            true = self._ends(edge)[side == "tail"]
            wrong = counts[groups[true]] - int((groups[self._right(edge, side)] == groups[true]).sum())
            sizes.append(1 + wrong if wanted is None else min(1 + wrong, wanted))
        return np.array(sizes)

    @cached_property
    def _queries(self) -> IntArray:
        """The queries that have a wrong candidate, as places among all."""
        return np.flatnonzero(self._sizes > 1)

    @cached_property
    def _starts(self) -> IntArray:
        """The first item of each query, and the number of all items, [queries + 1]."""
        return np.concatenate([[0], np.cumsum(self._sizes[self._queries])])

    def candidates(self, number: int) -> IntArray:
        """The nodes that a query ranks, the true one somewhere among them."""
        if self._latest is None or self._latest[0] != number:
            edge, side = self._query(number)
            true = self._ends(edge)[side == "tail"]
            rng = self.item_rng("candidates", edge, side)
            own = self._members(true) if self._given is None else self._given[edge, side]
            wrong = rng.permutation(np.setdiff1d(own, self._right(edge, side)))
            count = int(self._starts[number + 1] - self._starts[number])
            self._latest = number, np.insert(wrong[: count - 1], int(rng.integers(count)), true)
        return self._latest[1]

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        if index >= self.size:
            raise IndexError(index)
        number = int(np.searchsorted(self._starts, index, "right")) - 1
        candidates = self.candidates(number)
        candidate = int(candidates[index - self._starts[number]])
        edge, side = self._query(number)
        head, tail = self._ends(edge)
        pair = (head, candidate) if side == "tail" else (candidate, tail)
        holds = pair == (head, tail)
        if self.source.relations is None:
            asked, name = self.ask_edge(pair, "random", rng), f"{head}-{tail}"
        else:
            relation = int(self.relations[edge])
            asked, name = self._ask_triple(pair, relation, holds, rng), f"{head}-{relation}-{tail}"
        draft = self.closed(
            asked.parts,
            accepted=asked.accepted,
            choices=asked.choices,
            item=f"ranking:{name}:{side}:{candidate}",
            class_name=asked.accepted[0],
            source_items=tuple(dict.fromkeys((pair_item(head, tail), *asked.source_items))),
            meta={
                **asked.meta,
                "question": f"ranking:{name}:{side}",
                "edge": name,
                **({"category": side} if self.source.directed else {}),
            },
        )
        return replace(draft, chance=1 - 1 / len(candidates))  # of "no", whatever is asked

    def _ask_triple(self, pair: tuple[int, int], relation: int, holds: bool, rng: np.random.Generator) -> Question:
        """Does the relation hold from the first to the second: yes or no?"""
        head, tail = pair
        spared = [None] if not holds and self.split == "train" else []
        hidden = [frozenset(pair), *self._spare_pairs(pair, [], [spared, spared], rng)]
        subgraph = self.cut([head, tail], rng, hidden)
        written = self.write(subgraph, rng, keep=pair)
        question = (
            f"Not every edge is shown. Does the relation {self.source.relation_names[relation]!r} hold from node "
            f"[{written.number[head]}] to node [{written.number[tail]}]?"
        )
        return Question(
            parts=self.prompt(written.text, question, self.form("yes or no")),
            accepted=["yes" if holds else "no"],
            choices={"yes": "yes", "no": "no"},
            source_items=(pair_item(head, tail),),
            meta=self.meta(subgraph, written, asked=[head, tail], relation=relation),
        )
