"""Direction: an edge joins two nodes; which of the two does it start from?

Link direction prediction, as in Salha et al. (Gravity-Inspired Graph Autoencoders for Directed Link Prediction, CIKM
2019). There popular nodes are targets; here every node is asked about as often as a source as it is as a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.balance import balanced, evened
from ssl4rl.graph.budget import heads_of
from ssl4rl.graph.pairs import PairTask
from ssl4rl.graph.task import ContextKnobs, pair_item
from ssl4rl.prompts import OPTION_LETTERS, label_noun, read_alike, write_options

UNBALANCED = 0.01
"""The most of the edges' weight that may be unbalanced."""
FEWEST = {"train": 10_000, "val": 100, "test": 100}
"""The fewest edges that it may be spread over: of fewer, which node comes first in each is soon known by heart."""
MUTUAL = 0.1
"""Relations of which so large a share holds both ways are symmetric, and have no direction to ask about."""


class Direction(PairTask[ContextKnobs]):
    """Which of two linked nodes points at the other? Scored 0 or 1."""

    name: ClassVar[str] = "direction"
    version: ClassVar[int] = 2
    knobs_type = ContextKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_hops": 2, "fanout": 3},
        "medium": {},
        "hard": {"num_hops": 0},
    }

    @property
    def num_slots(self) -> int:
        return 2

    def prepare(self) -> None:
        super().prepare()
        if not self.source.directed:
            raise NotApplicable(f"the edges of graph {self.source.name} have no direction")
        one_way = self._one_way()
        ends, degrees, unbalanced = self.source.edge_index[:, one_way], self.view.visible.degrees, 0.0
        if self.split == "train":
            columns, weights, unbalanced = balanced(ends, degrees)
        else:
            # What train tells of the nodes, which is nothing, cannot help here; how many edges they have could.
            columns, weights = evened(*self._arrows(ends))
        spread = 1 / np.square(weights).sum() if len(weights) else 0
        if unbalanced > UNBALANCED or spread < FEWEST[self.split]:
            raise NotApplicable(
                f"too few {self.split} edges of graph {self.source.name} lie on cycles: along the others, which node "
                "comes first could be known without its text; ask about link instead"
            )
        self.edges, self._until = one_way[columns], np.cumsum(weights)

    def _arrows(self, ends: IntArray) -> tuple[IntArray, IntArray]:
        """How many visible edges lead into either end, [2, E], and out of it, without those that are spared."""
        known = self.source.edge_index[:, np.unique(self.view.visible.edges)]
        out, into = (np.bincount(each, minlength=self.source.num_nodes)[ends] for each in known)
        into[0], out[1] = np.maximum(into[0] - 1, 0), np.maximum(out[1] - 1, 0)
        return into, out

    def _spare_pairs_of(self, source: int, target: int, rng: np.random.Generator) -> Iterator[frozenset[int]]:
        """An edge into the source and one out of the target: of the other kind, each lacks the asked one."""
        visible, ends = self.view.visible, self.source.edge_index
        for node, end in ((source, 1), (target, 0)):
            row = slice(visible.indptr[node], visible.indptr[node + 1])
            others = visible.neighbors[row][ends[end, visible.edges[row]] == node]
            others = others[(others != source) & (others != target)]
            if len(others):
                yield frozenset((node, int(others[rng.integers(len(others))])))

    def _one_way(self) -> IntArray:
        """The edges of the split between nodes with a text that no edge joins the other way."""
        graph = self.source
        source, target = graph.edge_index
        keys, reverse = source * graph.num_nodes + target, target * graph.num_nodes + source
        mutual = np.isin(keys, reverse)
        usable = ~mutual & graph.has_text[source] & graph.has_text[target]
        if graph.relations is not None:
            share = np.bincount(self.relations, mutual) / np.maximum(np.bincount(self.relations), 1)
            usable &= share[self.relations] < MUTUAL
        asked: IntArray = self.asked[usable[self.asked]]
        return asked

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        place = min(int(np.searchsorted(self._until, rng.random() * self._until[-1], "right")), len(self.edges) - 1)
        edge = int(self.edges[place])
        source, target = self.source.edge_index[:, edge].tolist()
        slot = self.slot(index, 2)
        candidates = [source, target] if slot == 0 else [target, source]
        subgraph = self.cut(candidates, rng, [frozenset(candidates), *self._spare_pairs_of(source, target, rng)])
        written = self.write(subgraph, rng, keep=candidates)
        # The texts themselves: where `corrupt` takes them away, what is shown of both is the same.
        heads = heads_of(self.source)
        if read_alike([heads.of(node, self.knobs.text_budget).text for node in candidates]):
            raise Redraw("two nodes read alike")
        names = [f"[{written.number[node]}]" for node in candidates]
        relation = "" if self.source.relations is None else f' "{self.source.relation_names[self.relations[edge]]}"'
        question = (
            f"An edge{relation} between nodes {names[0]} and {names[1]} is not shown. "
            "Which of the two does it start from?"
        )
        letters = OPTION_LETTERS[:2]
        parts = self.prompt(written.text, question, write_options(names), self.form(label_noun(letters)))
        meta = self.meta(subgraph, written, asked=sorted(candidates), candidates=candidates)
        return Draft.any_of(parts, [letters[slot]], list(letters), (pair_item(source, target),), meta)
