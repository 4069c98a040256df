"""What the benchmarks on graphs share.

Their prompts are made as the tasks' are, from training edges only. Which items there are, their order, their negatives
and their options depend on the data, the split and the seed alone, so two runs that show different amounts of the
graph (none, with ``num_hops=0``) are asked the same questions and can be compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl4rl.graph.task import PAPER_CONTEXT

LEVELS: Mapping[str, Mapping[str, Any]] = {
    "no-graph": {"num_hops": 0},
    "one-hop": {},
    "two-hop": {"num_hops": 2, "fanout": 3},
    "paper": PAPER_CONTEXT,
}
"""How much of the graph a prompt shows."""

ABLATIONS: Mapping[str, Mapping[str, Any]] = {"graph removed": {"num_hops": 0}}
"""The same questions, and of the asked nodes the same texts to the word, without a neighbour or an edge."""
