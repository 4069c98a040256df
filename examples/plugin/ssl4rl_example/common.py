"""Common neighbour: two nodes are linked with the same third one, which is hidden; find it among candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.candidates import CandidateKnobs, CandidateTask
from ssl4rl.prompts import label_noun


class Common(CandidateTask[CandidateKnobs]):
    """Which of these is linked with both nodes? Exactly one candidate is, and no other is linked with either."""

    name: ClassVar[str] = "common"
    knobs_type = CandidateKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_near": 0},
        "medium": {},
        "hard": {"num_candidates": 8, "num_near": 6, "num_hops": 2, "fanout": 3},
    }

    def prepare(self) -> None:
        super().prepare()
        # The first of the two edges is of the task's split; what prompts may show is the training edges' alone.
        self.asked = Adjacency.build(self.source.num_nodes, self.source.edge_index, self.view.asked[self.split])
        others = self.view.visible.degrees - (self.split == "train")  # there the first edge is one of the visible ones
        self.is_middle = (self.asked.degrees > 0) & (others > 0) & self.source.has_text
        if not self.is_middle.any():
            raise NotApplicable(f"graph {self.source.name} has too few {self.split} edges; use a larger graph")

    def weights(self) -> NDArray[np.bool_]:
        # Wrong candidates are nodes that are right elsewhere. Of any node, the right one would have the most edges.
        return self.is_middle

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        # Drawn by node and not by edge, so that much-linked nodes are not right more often than others.
        middle = int(rng.choice(np.flatnonzero(self.is_middle)))
        first = int(rng.choice(self.asked.around(middle)))
        others = [node for node in self.view.visible.around(middle) if node != first]
        if not others:
            raise Redraw("the node in the middle has one neighbour only")
        ends = [int(node) for node in rng.permutation([first, rng.choice(others)])]
        candidates = self.mix([middle], ends, rng, taken=ends, slot=self.slot(index, self.num_slots))
        subgraph = self.cut(ends, rng, hidden_nodes=candidates)
        written = self.write_with(subgraph, candidates, rng, keep=ends)
        numbers = [written.number[node] for node in ends]
        question = f"Not every node is shown. Which of these is linked with both [{numbers[0]}] and [{numbers[1]}]?"
        return Draft.any_of(
            parts=self.prompt(written.text, question, written.options, self.form(label_noun(self.letters))),
            accepted=[self.letter_of(candidates)[middle]],
            choices=list(self.letters),
            source_items=tuple(node_item(node) for node in ends),
            meta=self.meta(subgraph, written, ends=ends, candidates=candidates, middle=middle),
        )
