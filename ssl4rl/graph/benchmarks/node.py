"""Node classification: the class of a node, by label, from all classes in an order shuffled per item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.base import LEVELS, GraphBenchmark, GraphKnobs
from ssl4rl.graph.protocols import left_out_of_train, protocol_split
from ssl4rl.graph.task import node_item
from ssl4rl.prompts import label_noun, labels_for, same_names, write_options


class NodeKnobs(GraphKnobs):
    """Settings of node classification."""

    # What is shown of a node is the same under every protocol, and wherever a file of ids lies.
    unseeded = GraphKnobs.unseeded | {"protocol"}

    fanout: int = Field(5, ge=1, le=50)
    """New neighbours sampled per node and hop (TAGLAS's default)."""
    protocol: str | None = None
    """Which nodes are in train, val and test: null is what the data brings; ``planetoid`` (20 per class, 500, 1,000),
    ``random-0`` to ``random-9`` (60/20/20), or a file of ids, which are then the test nodes."""


class NodeClassification(GraphBenchmark[NodeKnobs]):
    """Which class does a node belong to? By label, from all classes in an order shuffled per item."""

    name: ClassVar[str] = "node"
    version: ClassVar[int] = 2
    knobs_type = NodeKnobs
    levels = LEVELS
    default_level = "one-hop"

    def prepare(self) -> None:
        super().prepare()
        if self.source.labels is None:
            raise NotApplicable(
                f"graph {self.source.name} has no labels, which node classification needs; --benchmark link asks "
                "about its edges"
            )
        if len(self.source.label_names) == 1:
            raise NotApplicable(f"graph {self.source.name} has one class, so there is nothing to choose from")
        self.parts = protocol_split(self.source, self.knobs.protocol)
        nodes = self.parts[self.split]
        nodes = nodes[self.source.labels[nodes] >= 0]
        if not len(nodes):
            raise NotApplicable(
                f"graph {self.source.name} has no labelled {self.split} nodes; add more, or a column `split`"
            )
        if wrong := same_names(self.source.label_names):
            raise NotApplicable(f"classes of graph {self.source.name} cannot be options: {wrong}; rename one of them")
        self.nodes: IntArray = self.item_rng().permutation(nodes)
        self.labels: IntArray = self.source.labels

    @property
    def size(self) -> int:
        return len(self.nodes)

    @property
    def notes(self) -> Sequence[str]:
        left_out = left_out_of_train(self.source, self.knobs.protocol)
        left = [
            f"{self.knobs.protocol} tests on nodes that the data has in {split}, which are left out there: {count:,}"
            for split, count in left_out.items()
        ]
        return [*left, *self.note_of_textless(self.nodes, "nodes")]

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        node = int(self.nodes[index])
        label = int(self.labels[node])
        order = self.item_rng("options", node).permutation(len(self.source.label_names))
        options = self.offered(order.tolist(), node)
        names = [self.source.label_names[option] for option in options]
        labels = labels_for(names)
        choices = dict(zip(labels, names, strict=True))
        subgraph = self.cut([node], rng)
        written = self.write(subgraph, rng, keep=(node,))
        question = f"Which of these classes does node [{written.number[node]}] belong to?"
        form = self.form(label_noun(labels))
        return self.closed(
            self.prompt(written.text, question, write_options(names, labels), form),
            accepted=[labels[options.index(label)]],
            choices=choices,
            item=node_item(node),
            class_name=self.source.label_names[label],
            source_items=(node_item(node),),
            meta=self.meta(subgraph, written, node=node, options=options),
        )
