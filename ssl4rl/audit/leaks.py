"""What a prompt must not show, found by reading the prompt back rather than asking its author."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ssl4rl.answers import words
from ssl4rl.audit.offers import Offer, lines_outside_options, read_offers
from ssl4rl.benchmarks import Benchmark
from ssl4rl.example import Example
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.read_graph import graph_format, read_node, shown_edges
from ssl4rl.graph.splits import edge_split
from ssl4rl.tasks import Task

QUOTE = 8
"""A run of so many words of a hidden text is a quotation of it; so is all of a shorter one."""
LETTERS = re.compile(r"[^\W\d_]+")


def find_leaks(task: Task[Any, Any], examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Each kind of leak, and the first example with it."""
    graph = task.source if isinstance(task.source, TextAttributedGraph) else None
    # Rewired edges are none of the graph's, as was asked for.
    rewired = getattr(task.knobs, "corrupt", None) == "edges"
    shown = graph is not None and not rewired and all(_shows_graph(example) for example in examples)
    leaks = _leaks_on(graph) if graph is not None and shown else None
    first = dict[str, str]()
    for offer in read_offers(examples):
        found = [] if leaks is None else leaks.of(offer.example)
        # A class is called what its members' texts are about, and a relation what an edge is called.
        if not isinstance(task, Benchmark) and offer.has_texts and not offer.named and (graph is None or offer.nodes):
            found += ["shows the right option's text outside the options"] * repeats_right_option(offer, graph)
        found += ["shows a missing word on its line"] * _shows_missing_word(offer)
        for leak in found:
            first.setdefault(leak, str(offer.example.id))
    return list(first.items())


def _shows_graph(example: Example) -> bool:
    return "nodes" in example.meta and "edges" in example.meta and graph_format(example.text) is not None


def repeats_right_option(offer: Offer, graph: TextAttributedGraph | None) -> bool:
    """Whether all of a right option's text stands outside the options; a short one would have to be a whole line.

    Another node of the graph may have that very text, and is shown with it: that is the data's doing.
    """
    nodes = {int(number): node for number, node in offer.example.meta.get("nodes", {}).items()} if graph else {}
    own = [words(text.removesuffix("…")) for label, text in zip(offer.labels, offer.texts, strict=True)]
    right = [used for label, used in zip(offer.labels, own, strict=True) if used and label in offer.right]
    for line in lines_outside_options(offer):
        number, text = read_node(line) or (0, line)
        shown, node = words(text), nodes.get(number)
        if node is not None and graph is not None and node not in offer.nodes:
            right_here = [used for used in right if not _within(used, words(graph.texts[node]))]
        else:
            right_here = right
        if any(_within(used, shown) if len(used) >= QUOTE else used == shown for used in right_here):
            return True
    return False


def _shows_missing_word(offer: Offer) -> bool:
    """Whether the line of a node that a word of is missing has that word."""
    meta = offer.example.meta
    if "blank" not in meta:
        return False
    number = next(int(number) for number, node in meta["nodes"].items() if node == meta["target"])
    nodes = filter(None, map(read_node, lines_outside_options(offer)))
    shown = LETTERS.findall(next(text for local, text in nodes if local == number).lower())
    return any(
        text.lower() in shown for label, text in zip(offer.labels, offer.texts, strict=True) if label in offer.right
    )


def _within(part: Sequence[str], whole: Sequence[str]) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(whole)} "


@lru_cache(maxsize=1)
def _leaks_on(graph: TextAttributedGraph) -> Leaks:
    # The edges of a large graph take longer to collect than a task's examples to read.
    return Leaks(graph)


class Leaks:
    """Finds what the prompts on one graph must not show."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self.graph = graph
        split = edge_split(graph)
        ends = graph.edge_index
        held_out = np.concatenate([split["val"], split["test"]])
        self.linked = {frozenset(pair) for pair in ends.T.tolist()}
        self.held_out = {frozenset(pair) for pair in ends[:, held_out].T.tolist()}

    def of(self, example: Example) -> list[str]:
        """What is wrong with the prompt, one line each."""
        meta, prompt = example.meta, example.text
        node_of = {int(number): node for number, node in meta["nodes"].items()}
        edges = [(node_of[source], node_of[target]) for source, target in shown_edges(prompt)]
        pairs = {frozenset(edge) for edge in edges}
        problems = []
        if len(edges) != len(meta["edges"]):
            problems.append("the prompt's edges cannot all be read back")
        if not pairs <= self.linked:
            problems.append("shows an edge that does not exist")
        if pairs & self.held_out:
            problems.append("shows an edge of val or test")
        if "asked" in meta and frozenset(meta["asked"]) in pairs:
            problems.append(self._asked_edge(example, edges))
        for node in meta.get("hidden", ()):
            if frozenset((meta["target"], node)) in pairs or node in node_of.values():
                problems.append("shows a hidden neighbour")
        return [*problems, *self._quotations(example)]

    def _asked_edge(self, example: Example, edges: Sequence[tuple[int, int]]) -> str:
        """Which of the edges between the asked nodes is shown; the direction matters where a relation is asked for."""
        head, tail = example.meta["asked"]
        if self.graph.directed and "options" in example.meta and (head, tail) not in edges:
            return "shows an inverse relation of the asked edge"
        return "shows the asked edge"

    def _quotations(self, example: Example) -> list[str]:
        nodes = filter(None, map(read_node, example.text.splitlines()))
        shown = [words(text) for _, text in nodes] if "masked" in example.meta else []
        for node in example.meta.get("masked", ()):
            hidden = words(self._hidden_text(example, node))
            size = min(QUOTE, len(hidden))
            if size and any(_runs(hidden, size) & _runs(text, size) for text in shown):
                return ["shows a masked text"]
        return []

    def _hidden_text(self, example: Example, node: int) -> str:
        """What an answer can be told by: the option as it is shown, or what is to be written. No more of it counts."""
        candidates = list(example.meta.get("candidates") or ())
        [offer] = read_offers([example])
        if node in candidates and offer.has_texts:
            return offer.texts[candidates.index(node)].removesuffix("…")
        return example.gold if example.scoring.function == "score_text" else self.graph.texts[node]


def _runs(text: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(text[start : start + size]) for start in range(len(text) - size + 1)}
