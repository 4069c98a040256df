"""Link prediction: edge or not, over every pair of the split that an edge joins and as many that none does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.base import LEVELS, GraphBenchmark, GraphKnobs
from ssl4rl.graph.pairs import PairKnobs, PairTask
from ssl4rl.graph.splits import NONE, pair_keys
from ssl4rl.source import SPLITS
from ssl4rl.tasks import MAX_DRAWS


class LinkKnobs(PairKnobs, GraphKnobs):
    """Settings of link prediction."""


class LinkPrediction(GraphBenchmark[LinkKnobs], PairTask[LinkKnobs]):
    """Are two nodes joined by an edge? Even items are pairs of the split that are, odd items pairs that are not."""

    name: ClassVar[str] = "link"
    version: ClassVar[int] = 3
    knobs_type = LinkKnobs
    levels = LEVELS
    default_level = "one-hop"
    asks_options = False
    asks_pairs = True

    @property
    def unchanged_since(self) -> int:
        # Version 3: edges of directed graphs keep their direction when their ends are exchanged.
        return self.version if self.source.directed else self.version - 1

    def prepare(self) -> None:
        super().prepare()
        # Parallel edges are one question, and one that the test asks, where splits are of triples, is its alone.
        keys, first = np.unique(pair_keys(self.source, self.asked), return_index=True)
        later = [self.view.asked[split] for split in SPLITS[SPLITS.index(self.split) + 1 :]]
        first = first[~np.isin(keys, pair_keys(self.source, np.concatenate([NONE, *later])))]
        self.positives: IntArray = self.source.edge_index[:, self.item_rng().permutation(self.asked[first])]
        self._unlinked: list[tuple[int, int]] = []
        self._draws = self.item_rng(self.knobs.negatives)

    @property
    def size(self) -> int:
        return 2 * int(self.positives.shape[1])

    @property
    def notes(self) -> Sequence[str]:
        return self.note_of_textless(self.positives, "edges")

    def unlinked(self, place: int) -> tuple[int, int]:
        """The ``place``-th unlinked pair: no two are the same, and none is asked about in a later split.

        Raises:
            NotApplicable: if the graph has too few such pairs.
        """
        for _ in range(MAX_DRAWS * (place + 1)):
            if place < len(self._unlinked):
                return self._unlinked[place]
            first, second = self.negative(self.knobs.negatives, self._draws)
            pair = min(first, second), max(first, second)
            if pair not in self._taken:
                self._taken.add(pair)
                self._unlinked.append(pair)
        raise NotApplicable(
            f"graph {self.source.name} has too few unlinked pairs for task.negatives={self.knobs.negatives}"
        )

    @cached_property
    def _taken(self) -> set[tuple[int, int]]:
        # A few-shot example, or a pair that a threshold is chosen on, must not be one that the test asks about.
        taken = set()
        for split in SPLITS[SPLITS.index(self.split) + 1 :]:
            if len(self.view.asked[split]):
                later = type(self)(self.source, split=split, knobs=self.knobs.model_dump(), seed=self.seed)
                taken |= {later.unlinked(place) for place in range(later.positives.shape[1])}
        return taken

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        if index >= self.size:
            raise IndexError(index)
        first, second = self.unlinked(index // 2) if index % 2 else map(int, self.positives[:, index // 2])
        asked = self.ask_edge((first, second), self.knobs.negatives, rng)
        return self.closed(
            asked.parts,
            accepted=asked.accepted,
            choices=asked.choices,
            item=f"link:{min(first, second)}-{max(first, second)}",
            class_name=asked.accepted[0],
            source_items=asked.source_items,
            meta=asked.meta,
        )
