"""Writing a subgraph as text, under a budget that depends on no model's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from unicodedata import east_asian_width

import numpy as np

from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.prompts import write_options

_PIECE = re.compile(r"[A-Za-z0-9_]{1,8}|[^\sA-Za-z0-9_]")

HIDDEN = "(description hidden)"
EMPTY = "(no description)"

FEWEST_WORDS, ENOUGH_WORDS = 12, 20
"""Words that are shown of every text, or all of it: less is nothing to reason from. And how many a node beyond the
needed ones has to leave to each."""
PIECES_PER_WORD = 8
"""Pieces that a word may take of these at most: some "words" are very long."""
MOST_HEADS = 20_000
"""Beginnings of texts that are kept."""


def count_pieces(text: str) -> int:
    """The built-in length of a text: runs of up to 8 ASCII letters or digits, and every other visible character.

    About the number of tokens of a common tokenizer on English, and an upper bound in scripts without spaces.
    """
    return len(_PIECE.findall(text))


def cut(text: str, pieces: int) -> str:
    """``text`` with at most ``pieces`` pieces, cut between two words and marked by "…"; white space is collapsed.

    >>> cut("graph-based neural networks", 3)
    'graph-based …'
    """
    text = " ".join(text.split())
    found = list(_PIECE.finditer(text))
    if len(found) <= pieces:
        return text
    within = found[pieces - 1].end() if pieces > 0 else 0
    end = within
    while end > 0 and not _is_between_words(text, end):
        end -= 1
    if end == 0 and pieces >= FEWEST_WORDS:
        end = within  # one endless word: half of it says more than nothing
    return (text[:end].rstrip() + " …").lstrip()


def _is_between_words(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    # Scripts without spaces have wide characters: each may end a line.
    return before == " " or after == " " or east_asian_width(before) in "WF" or east_asian_width(after) in "WF"


class Head(NamedTuple):
    """The beginning of a text, as far as a budget may ever show it."""

    text: str
    pieces: int
    least: int
    """Pieces of its first words, which are shown in any case."""
    enough: int
    """Pieces of as many words as make the node worth showing."""
    length: int
    """Characters of the whole text."""


def read_head(text: str, pieces: int) -> Head:
    """The beginning of ``text`` of at most that many pieces; what is far behind it is not read."""
    size = 16 * pieces
    while size < len(text) and count_pieces(text[:size]) <= pieces:
        size *= 4
    head = cut(text[:size], pieces)
    plain = head.removesuffix(" …")
    total = count_pieces(plain)
    least, enough = (
        min(total, PIECES_PER_WORD * number, count_pieces(" ".join(plain.split(" ", number)[:number])))
        for number in (FEWEST_WORDS, ENOUGH_WORDS)
    )
    return Head(head, total, least, enough, len(text))


class Heads:
    """The beginnings of a graph's texts, each cut once for all prompts."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[int, int], Head] = {}

    def of(self, node: int, pieces: int) -> Head:
        head = self._known.get((node, pieces))
        if head is None:
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            head = self._known[node, pieces] = read_head(self._graph.texts[node], pieces)
        return head


@lru_cache(maxsize=2)
def heads_of(graph: TextAttributedGraph) -> Heads:
    """What has been cut of the graph's texts so far."""
    return Heads(graph)


def fair_shares(lengths: Sequence[int], budget: int, least: Sequence[int] | None = None) -> list[int]:
    """Splits ``budget`` so that the smallest share is as large as possible; no share exceeds its length.

    No share is below ``least``, even where that takes more than the budget.

    >>> fair_shares([3, 10, 10], 15), fair_shares([3, 10, 10], 8, [3, 4, 4])
    ([3, 6, 6], [3, 4, 4])
    """
    floor = [0] * len(lengths) if least is None else list(least)

    def shares(level: int) -> list[int]:
        return [min(length, max(level, low)) for length, low in zip(lengths, floor, strict=True)]

    low, high = 0, max(lengths, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(shares(middle)) <= budget else (low, middle - 1)
    result = shares(low)
    left = budget - sum(result)
    # What is left is less than a piece for each: the first ones get it.
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if left > 0 and result[index] == low < lengths[index]:
            result[index] += 1
            left -= 1
    return result


@dataclass(frozen=True)
class GraphText:
    """A subgraph as a prompt shows it. Nodes have local numbers, shuffled, so that a number carries no information.

    ``number`` maps a node of the graph to its local number; ``shown`` maps nodes and options to their texts as shown;
    ``options`` are the lettered lines; ``dropped`` says how many characters were cut from whose text, and ``edges``
    which edges are shown.
    """

    text: str
    options: str
    number: dict[int, int]
    shown: dict[int, str]
    dropped: dict[int, int]
    edges: tuple[int, ...]


def write_subgraph(
    graph: TextAttributedGraph,
    subgraph: Subgraph,
    rng: np.random.Generator,
    *,
    text_budget: int,
    keep: Collection[int] = (),
    masked: Collection[int] = (),
    options: Sequence[int] = (),
    blank: bool = False,
) -> GraphText:
    """The nodes, one a line with number and text, then the edges, with direction, relation and text where they exist.

    ``keep`` and ``masked`` are the asked nodes; the texts of ``masked`` are not shown. ``options`` are nodes whose
    texts are offered as lettered answers instead. The budget decides how many of the other nodes are shown: as many,
    nearest first, as leave each text enough words. One neighbour of each asked node is shown in any case. Edges
    have half of ``text_budget`` on top, for themselves. ``blank`` leaves the nodes' texts out, but not the options'.
    """
    asked = [node for node in subgraph.nodes if node in keep or node in masked]
    visible = [node for node in subgraph.nodes if node not in masked]
    heads = {node: heads_of(graph).of(node, text_budget) for node in (*visible, *options)}
    shares = _asked_shares(heads, [node for node in asked if node in visible], options, text_budget)
    left = text_budget - sum(shares.values())
    ends = dict(zip(subgraph.edges, graph.edge_index[:, list(subgraph.edges)].T.tolist(), strict=True))
    near = _nearest_first(subgraph, asked, list(ends.values()))
    room = left - sum(heads[node].enough for node in options)
    chosen = _that_fit(near, heads, room)
    group = [*options, *chosen]
    fair = fair_shares([heads[node].pieces for node in group], left, [heads[node].least for node in group])
    shares |= dict(zip(group, fair, strict=True))
    shown = {node: _shown_part(heads[node], share) or EMPTY for node, share in shares.items()}
    if blank:
        shown |= {node: EMPTY for node in shown if node not in options}

    nodes = [node for node in subgraph.nodes if node in asked or node in chosen]
    numbers = rng.permutation(len(nodes)) + 1
    number = {node: int(local) for node, local in zip(nodes, numbers, strict=True)}
    lines = [
        f"[{number[node]}] {HIDDEN if node in masked else shown[node]}"
        for node in sorted(number, key=number.__getitem__)
    ]
    joining = [edge for edge, pair in ends.items() if number.keys() >= set(pair)]
    edges = choose_edges(graph, joining, rng, text_budget // 2, first=asked)
    return GraphText(
        text="\n".join(["Nodes:", *lines, write_edges(graph, edges, number, text_budget // 2)]),
        options=write_options([shown[node] for node in options]),
        number=number,
        shown=shown,
        dropped={node: heads[node].length - len(text) for node, text in shown.items() if text.endswith("…")},
        edges=edges,
    )


def _asked_shares(
    heads: Mapping[int, Head], asked: Sequence[int], options: Sequence[int], budget: int
) -> dict[int, int]:
    """The shares of the asked nodes' texts: the same whatever is shown around them, so that removing it compares.

    A quarter of the budget is left to that, and the rest is shared with the options.
    """
    group = [*asked, *options]
    shares = fair_shares(
        [heads[node].pieces for node in group], budget - budget // 4, [heads[node].least for node in group]
    )
    return dict(zip(asked, shares, strict=False))


def _nearest_first(subgraph: Subgraph, asked: Sequence[int], pairs: Sequence[Sequence[int]]) -> dict[int, bool]:
    """The nodes that are not asked about, as they were reached, but one neighbour of each asked node before all others.

    True for these neighbours.
    """
    linked: dict[int, set[int]] = {node: set() for node in asked}
    for source, target in pairs:
        if source in linked:
            linked[source].add(target)
        if target in linked:
            linked[target].add(source)
    others = [node for node in subgraph.nodes if node not in linked]
    first: dict[int, bool] = {}
    for node in asked:
        # An edge to another asked node is an edge to reason from as well.
        if linked[node].isdisjoint((*asked, *first)):
            first |= dict.fromkeys([other for other in others if other in linked[node]][:1], True)
    return first | {node: False for node in others if node not in first}


def _that_fit(near: Mapping[int, bool], heads: Mapping[int, Head], room: int) -> list[int]:
    chosen = []
    for node, is_needed in near.items():
        room -= heads[node].enough
        if room < 0 and not is_needed:
            break
        chosen.append(node)
    return chosen


def _shown_part(head: Head, pieces: int) -> str:
    return head.text if pieces >= head.pieces else cut(head.text.removesuffix(" …"), pieces)


def choose_edges(
    graph: TextAttributedGraph, edges: Sequence[int], rng: np.random.Generator, budget: int, first: Collection[int]
) -> tuple[int, ...]:
    """As many edges as fit in ``budget`` pieces, without their texts, and one at each node of ``first`` in any case.

    Those that touch ``first`` come before the others.
    """
    if _is_plain(graph):
        cost = dict.fromkeys(edges, count_pieces("1-1,"))
    else:
        cost = {edge: count_pieces(_edge_line(graph, edge, (1, 1), "")) for edge in edges}
    if sum(cost.values()) <= budget:
        return tuple(edges)
    shuffled = [edges[i] for i in rng.permutation(len(edges))]
    ends = {edge: set(graph.edge_index[:, edge].tolist()) for edge in shuffled}
    touching = [edge for edge in shuffled if not ends[edge].isdisjoint(first)]
    needed = [next((edge for edge in touching if node in ends[edge]), None) for node in first]
    chosen: list[int] = []
    for edge in dict.fromkeys([*(edge for edge in needed if edge is not None), *touching, *shuffled]):
        budget -= cost[edge]
        if budget >= 0 or edge in needed:
            chosen.append(edge)
    return tuple(sorted(chosen))


def write_edges(graph: TextAttributedGraph, edges: Sequence[int], number: Mapping[int, int], text_budget: int) -> str:
    """The edges over local numbers: "1-2, 1-3" where an edge is just that, else one a line."""
    if not edges:
        return "Edges: none shown."
    pairs = graph.edge_index[:, list(edges)].T.tolist()
    ends = {edge: [number[source], number[target]] for edge, (source, target) in zip(edges, pairs, strict=True)}
    if not graph.directed:
        ends = {edge: sorted(pair) for edge, pair in ends.items()}
    arrow = "->" if graph.directed else "-"
    order = sorted(edges, key=lambda edge: (ends[edge], edge))
    if _is_plain(graph):
        return "Edges: " + ", ".join(arrow.join(map(str, ends[edge])) for edge in order) + "."
    shown = _edge_texts(graph, order, text_budget)
    return "Edges:\n" + "\n".join(_edge_line(graph, edge, ends[edge], shown.get(edge, "")) for edge in order)


def _edge_texts(graph: TextAttributedGraph, edges: Sequence[int], budget: int) -> dict[int, str]:
    """The edges' texts, cut fairly to ``budget`` pieces in all."""
    if not graph.edge_texts:
        return {}
    heads = [read_head(graph.edge_texts[edge], budget) for edge in edges]
    shares = fair_shares([head.pieces for head in heads], budget)
    texts = map(_shown_part, heads, shares)
    return dict(zip(edges, texts, strict=True))


def _is_plain(graph: TextAttributedGraph) -> bool:
    return graph.relations is None and graph.edge_texts is None


def _edge_line(graph: TextAttributedGraph, edge: int, ends: Sequence[int], text: str) -> str:
    first, second = ends
    label = "" if graph.relations is None else graph.relation_names[int(graph.relations[edge])]
    if graph.directed:
        joined = f"[{first}] --{label}--> [{second}]" if label else f"[{first}] --> [{second}]"
    else:
        joined = f"[{first}] --{label}-- [{second}]" if label else f"[{first}] -- [{second}]"
    return f"{joined}: {text}" if text else joined
