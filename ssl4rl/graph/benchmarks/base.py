"""What the benchmarks on graphs share.

Their prompts are made as the tasks' are, from training edges only. Which items there are, their order, their negatives
and their options depend on the data, the split and the seed alone, so two runs that show different amounts of the
graph (none, with ``num_hops=0``) are asked the same questions and can be compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from ssl4rl.benchmarks import Benchmark
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.formats import AT_BOTH_ENDS, Restatement
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.task import PAPER_CONTEXT, ContextKnobs, GraphTask

LEVELS: Mapping[str, Mapping[str, Any]] = {
    "no-graph": {"num_hops": 0},
    "one-hop": {},
    "two-hop": {"num_hops": 2, "fanout": 3},
    "paper": PAPER_CONTEXT,
}
"""How much of the graph a prompt shows."""


class GraphKnobs(ContextKnobs):
    """What the benchmarks on graphs add to the context."""

    unseeded = ContextKnobs.unseeded | {"restated"}

    restated: Restatement | None = None
    """The same question put in another way: ``numbers`` gives nodes other numbers, and so their lines another order;
    ``lines``, ``edges`` and ``options`` are each put in another order; ``ends`` swaps the two nodes of a question about
    an edge, and the ends of edges that have no direction."""


GK = TypeVar("GK", bound=GraphKnobs)


class GraphBenchmark(GraphTask[GK], Benchmark[TextAttributedGraph, GK]):
    """Base of the benchmarks on graphs."""

    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "graph removed": {"num_hops": 0},
        "edges rewired": {"corrupt": "edges"},
        "edges reversed": {"corrupt": "directions"},
        "centre text only": {"corrupt": "other_text"},
        "neighbour text only": {"corrupt": "asked_text"},
        "structure only": {"corrupt": "text"},
    }
    """The same questions. Without the graph the asked nodes have the same texts to the word, and no neighbour or
    edge; rewired, they have other neighbours; in all others the same nodes and edges are shown."""
    usual_ablations: ClassVar[tuple[str, ...]] = ("graph removed",)
    restatements: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "nodes renumbered": {"restated": "numbers"},
        "nodes reordered": {"restated": "lines"},
        "edges reordered": {"restated": "edges"},
        "options reordered": {"restated": "options"},
        "ends swapped": {"restated": "ends"},
    }
    asks_options: ClassVar[bool] = True
    """Whether answers are options in an order of their own."""
    asks_pairs: ClassVar[bool] = False
    """Whether a question names two nodes in an order that means nothing."""

    def prepare(self) -> None:
        super().prepare()
        restated = self.knobs.restated
        if restated == "options" and not self.asks_options:
            raise NotApplicable(f"task.restated=options: benchmark {self.name} has no options to put in another order")
        if restated == "ends" and self.source.directed and not self.asks_pairs:
            raise NotApplicable(f"task.restated=ends: the edges of graph {self.source.name} have a direction")
        if restated == "ends" and self.knobs.graph_format in AT_BOTH_ENDS and not self.asks_pairs:
            raise NotApplicable(f"task.restated=ends: {self.knobs.graph_format} writes an edge as its nodes stand")

    def note_of_textless(self, nodes: IntArray, what: str) -> list[str]:
        """A note if some of what is asked about, [M] or the ends of edges [2, M], is a node without a text."""
        textless = ~self.source.has_text[nodes]
        count = int((textless if textless.ndim == 1 else textless.any(axis=0)).sum())
        end = "have no text" if nodes.ndim == 1 else "have an end without a text"
        return [f"{count:,} of {nodes.shape[-1]:,} {self.split} {what} that are asked about {end}"] if count else []

    @property
    def restated(self) -> Restatement | None:
        return self.knobs.restated
