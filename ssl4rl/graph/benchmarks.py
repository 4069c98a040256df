"""What training is judged by: node classification, link prediction, relation prediction, on the canonical splits.

The same prompts' parts as the tasks', and training edges only. Which items there are, their order, their negatives
and their options depend on the data, the split and the seed alone, so two runs that show different amounts of the
graph (none, with ``num_hops=0``) are asked the same questions and can be compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.answers import option_labels
from ssl4rl.example import Example
from ssl4rl.graph.graph import IntArray, TextAttributedGraph
from ssl4rl.graph.pairs import PairKnobs, PairTask
from ssl4rl.graph.splits import node_split, pair_keys
from ssl4rl.graph.task import PAPER_CONTEXT, ContextKnobs, GraphTask
from ssl4rl.graph.text import write_options, write_subgraph
from ssl4rl.tasks import MAX_DRAWS, REPLY_FORMAT, SPLITS, Benchmark, Draft, NotApplicable, seeded_rng

LEVELS: Mapping[str, Mapping[str, Any]] = {
    "no-graph": {"num_hops": 0},
    "one-hop": {},
    "two-hop": {"num_hops": 2, "fanout": 3},
    "paper": PAPER_CONTEXT,
}
"""How much of the graph a prompt shows."""

ABLATIONS: Mapping[str, Mapping[str, Any]] = {"graph removed": {"num_hops": 0}}
"""The same questions, and of the asked nodes the same texts to the word, without a neighbour or an edge."""


class NodeKnobs(ContextKnobs):
    """Settings of node classification."""

    fanout: int = Field(5, ge=1, le=50)
    """New neighbours sampled per node and hop (TAGLAS's default)."""


class NodeClassification(GraphTask[NodeKnobs], Benchmark[TextAttributedGraph, NodeKnobs]):
    """The class of a node, by label, from all classes in an order shuffled per item."""

    name: ClassVar[str] = "node"
    knobs_type = NodeKnobs
    levels = LEVELS
    default_level = "one-hop"
    ablations = ABLATIONS

    def prepare(self) -> None:
        super().prepare()
        if self.source.labels is None:
            raise NotApplicable(
                f"graph {self.source.name} has no labels, which node classification needs; --benchmark link asks "
                "about its edges"
            )
        nodes = node_split(self.source)[self.split]
        nodes = nodes[self.source.labels[nodes] >= 0]
        if not len(nodes):
            raise NotApplicable(f"graph {self.source.name} has no labelled {self.split} nodes")
        self.nodes: IntArray = _order(self).permutation(nodes)
        self.labels: IntArray = self.source.labels

    @property
    def size(self) -> int:
        return len(self.nodes)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        node = int(self.nodes[index])
        label = int(self.labels[node])
        options = [int(i) for i in _of_item(self, node).permutation(len(self.source.label_names))]
        subgraph = self.cut([node], rng)
        written = write_subgraph(self.source, subgraph, rng, text_budget=self.knobs.text_budget, keep=(node,))
        question = f"Which of these classes does node [{written.number[node]}] belong to?"
        named = write_options([self.source.label_names[option] for option in options])
        labels = option_labels(len(options))
        what = "one letter" if labels[0] == "A" else "one number"
        parts = self.prompt(written.text, question, named, REPLY_FORMAT.format(what=what))
        more = {"item": f"node:{node}", "class": self.source.label_names[label], "node": node, "options": options}
        return Draft(parts, [labels[options.index(label)]], self.meta(subgraph, written, **more))

    def choices(self, example: Example) -> dict[str, str]:
        return _by_label(self.source.label_names, example)


class LinkPrediction(PairTask[PairKnobs], Benchmark[TextAttributedGraph, PairKnobs]):
    """Edge or not: every pair of the split that an edge joins (even items), and as many that none does (odd ones)."""

    name: ClassVar[str] = "link"
    knobs_type = PairKnobs
    levels = LEVELS
    default_level = "one-hop"
    ablations = ABLATIONS

    def prepare(self) -> None:
        super().prepare()
        # Parallel edges are one question.
        _, first = np.unique(pair_keys(self.source, self.asked), return_index=True)
        self.positives: IntArray = self.source.edge_index[:, _order(self).permutation(self.asked[first])]
        self._found: list[tuple[int, int]] = []
        self._draws = _order(self, self.knobs.negatives)

    @property
    def size(self) -> int:
        return 2 * int(self.positives.shape[1])

    def unlinked(self, place: int) -> tuple[int, int]:
        """The ``place``-th unlinked pair: no two are the same, and none is asked about in a later split.

        Raises:
            NotApplicable: if the graph has too few such pairs.
        """
        for _ in range(MAX_DRAWS * (place + 1)):
            if place < len(self._found):
                return self._found[place]
            first, second = self.negative(self.knobs.negatives, self._draws)
            pair = min(first, second), max(first, second)
            if pair not in self._taken:
                self._taken.add(pair)
                self._found.append(pair)
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
        draft = self.ask_edge((first, second), self.knobs.negatives, rng)
        more = {"item": f"link:{min(first, second)}-{max(first, second)}", "class": draft.target}
        return replace(draft, target=[draft.target], meta={**draft.meta, **more})

    def choices(self, example: Example) -> dict[str, str]:
        return {"yes": "yes", "no": "no"}


class RelationKnobs(ContextKnobs):
    """Settings of relation prediction."""

    fanout: int = Field(3, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    num_options: int | None = Field(10, ge=2)
    """Relations to choose from, as many as there are at most; null offers all of them."""


class RelationPrediction(PairTask[RelationKnobs], Benchmark[TextAttributedGraph, RelationKnobs]):
    """The relation from head to tail, by label; every relation that holds between the two is right."""

    name: ClassVar[str] = "relation"
    knobs_type = RelationKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {**LEVELS, "all": {"num_options": None}}
    default_level = "one-hop"
    ablations = ABLATIONS

    def prepare(self) -> None:
        super().prepare()
        known = len(self.source.relation_names)
        self.num_options = min(self.knobs.num_options or known, known)
        self.triples: IntArray = _order(self).permutation(self.asked)
        # Refuses now, not at the first item, a graph without relations.
        self.relations[self.triples[0]]

    @property
    def size(self) -> int:
        return len(self.triples)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        edge = int(self.triples[index])
        relation = int(self.relations[edge])
        head, tail = (int(node) for node in self.source.edge_index[:, edge])
        options = self.relation_options(edge, self.num_options, _of_item(self, edge))
        draft = self.ask_relation(edge, options, rng)
        more = {
            "item": f"relation:{head}-{relation}-{tail}",
            "class": self.source.relation_names[relation],
            "options": options,
            "relation": relation,
        }
        return replace(draft, meta={**draft.meta, **more})

    def choices(self, example: Example) -> dict[str, str]:
        return _by_label(self.source.relation_names, example)


def _order(benchmark: GraphTask[Any], *more: object) -> np.random.Generator:
    """What decides which items there are and their order: nothing that changes how much a prompt shows."""
    return seeded_rng("items", benchmark.source.fingerprint, benchmark.name, benchmark.split, benchmark.seed, *more)


def _of_item(benchmark: GraphTask[Any], *item: object) -> np.random.Generator:
    return _order(benchmark, "options", *item)


def _by_label(names: Sequence[str], example: Example) -> dict[str, str]:
    """The names of an example's options, by the label that each has there."""
    options = example.meta["options"]
    return {label: names[option] for label, option in zip(option_labels(len(options)), options, strict=True)}
