"""Same class: do two nodes belong to the same class? The labels are the graph's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.benchmarks.base import LEVELS, GraphBenchmark, GraphKnobs
from ssl4rl.graph.splits import node_split
from ssl4rl.graph.task import pair_item


class SameClass(GraphBenchmark[GraphKnobs]):
    """Do two nodes belong to the same class? Even items are pairs that do, odd items are pairs that do not."""

    name: ClassVar[str] = "same-class"
    knobs_type = GraphKnobs
    levels = LEVELS
    default_level = "one-hop"
    asks_options = False
    asks_pairs = True

    def prepare(self) -> None:
        super().prepare()
        labels = self.source.labels
        if labels is None:
            raise NotApplicable(f"graph {self.source.name} has no labels, which benchmark {self.name} needs")
        nodes = node_split(self.source)[self.split]
        classes = [nodes[labels[nodes] == label] for label in range(len(self.source.label_names))]
        self.classes = [members for members in classes if len(members) > 1]
        if len(self.classes) < 2:
            raise NotApplicable(
                f"graph {self.source.name} has fewer than two classes with two {self.split} nodes, which benchmark "
                f"{self.name} needs"
            )

    @property
    def size(self) -> int:
        return sum(len(members) for members in self.classes) // 2 * 2

    @property
    def vocabulary(self) -> Mapping[str, str]:
        return {"yes": "yes", "no": "no"}

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        if index >= self.size:
            raise IndexError(index)
        pair, answer = self._pair(index)
        subgraph = self.cut(pair, rng)
        written = self.write(subgraph, rng, keep=pair)
        first, second = (written.number[node] for node in (pair[::-1] if self.restated == "ends" else pair))
        question = f"Do nodes [{first}] and [{second}] belong to the same class?"
        return self.closed(
            self.prompt(written.text, question, self.form("yes or no")),
            accepted=[answer],
            choices=self.vocabulary,
            item=f"{self.name}:{index}",
            class_name=answer,
            source_items=(pair_item(*pair),),
            meta=self.meta(subgraph, written, pair=pair),
        )

    def _pair(self, index: int) -> tuple[list[int], str]:
        """The nodes of an item and its answer; the same ones however much of the graph a prompt shows.

        Classes are drawn alike for both answers, so that a large class does not mean "yes".
        """
        rng = self.item_rng(index)
        first, second = rng.choice(len(self.classes), 2, replace=False)
        if index % 2:
            return [int(rng.choice(self.classes[first])), int(rng.choice(self.classes[second]))], "no"
        return [int(node) for node in rng.choice(self.classes[first], 2, replace=False)], "yes"
