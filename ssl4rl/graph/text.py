"""Writing a subgraph as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssl4rl.graph.budget import Head, count_pieces, fair_shares, heads_of, shown_part
from ssl4rl.graph.formats import Content, Edge, Form, edge_line, is_plain, relation_name, write_graph
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.prompts import write_options
from ssl4rl.rng import moved

Blanked = Literal["all", "asked", "others"]
"""Whose texts are left out."""

HIDDEN = "(description hidden)"
EMPTY = "(no description)"


@dataclass(frozen=True)
class GraphText(Content):
    """A subgraph as a prompt shows it. Nodes have local numbers, shuffled, so that a number carries no information.

    ``shown`` maps nodes that are not masked, and options, to their texts as shown; ``options`` are the lettered lines;
    ``dropped`` says how many characters were cut from whose text.
    """

    text: str
    options: str
    shown: dict[int, str]
    dropped: dict[int, int]


def write_subgraph(
    graph: TextAttributedGraph,
    subgraph: Subgraph,
    form: Form,
    *,
    text_budget: int,
    keep: Collection[int] = (),
    masked: Collection[int] | Mapping[int, str] = (),
    options: Sequence[int] = (),
    blank: Blanked | None = None,
) -> GraphText:
    """The nodes with number and text, and the edges, with direction, relation and text where they exist.

    ``keep`` and ``masked`` are the asked nodes. The texts of ``masked`` are not shown, or what it maps them to is shown
    in their place. ``options`` are nodes whose texts are offered as lettered answers instead. The budget decides how
    many of the other nodes are shown: as many, nearest first, as leave each text enough words. One neighbour of each
    asked node is shown in any case. Edges have half of ``text_budget`` on top, for themselves. ``blank`` leaves nodes'
    texts out, but not the options'. ``form`` says how all that is written, and has no say in what is shown; what it
    draws comes after everything else.
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
    shown = {node: shown_part(heads[node], share) or EMPTY for node, share in shares.items()}
    if blank:
        shown |= {node: EMPTY for node in shown if node not in options and _is_blanked(blank, node in asked)}

    nodes = [node for node in subgraph.nodes if node in asked or node in chosen]
    numbers = form.rng.permutation(len(nodes)) + 1
    number = {node: int(local) for node, local in zip(nodes, numbers, strict=True)}
    joining = [edge for edge, pair in ends.items() if number.keys() >= set(pair)]
    needed = [edge for edge in joining if edge in subgraph.needed]
    for_edges = text_budget // 2
    # Where edges have texts, their lines leave half of that to them.
    for_lines = for_edges if graph.edge_texts is None else for_edges // 2
    edges = choose_edges(graph, joining, form.rng, for_lines, first=asked, needed=needed)
    for_texts = for_edges - min(sum(_costs(graph, edges).values()), for_lines)
    instead = masked if isinstance(masked, Mapping) else dict.fromkeys(masked, HIDDEN)
    if blank and isinstance(masked, Mapping) and _is_blanked(blank, True):
        instead = dict.fromkeys(masked, EMPTY)
    texts = {node: instead[node] if node in instead else shown[node] for node in nodes}
    if form.restated == "numbers":
        taken = list(number.values())
        number = {node: taken[place] for node, place in zip(number, moved(len(number), form.rng), strict=True)}
    content = Content(number, texts, edges, tuple(asked))
    return GraphText(
        **vars(content),
        text=write_graph(graph, content, for_texts, form),
        options=write_options([shown[node] for node in options]),
        shown=shown,
        dropped={node: heads[node].length - len(text) for node, text in shown.items() if text.endswith("…")},
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


def choose_edges(
    graph: TextAttributedGraph,
    edges: Sequence[int],
    rng: np.random.Generator,
    budget: int,
    first: Collection[int],
    needed: Collection[int] = (),
) -> tuple[int, ...]:
    """As many edges as fit in ``budget`` pieces, without their texts; ``needed`` ones in any case, and one at each
    node of ``first``.

    Those that touch ``first`` come before the others.
    """
    cost = _costs(graph, edges)
    if sum(cost.values()) <= budget:
        return tuple(edges)
    shuffled = [edges[i] for i in rng.permutation(len(edges))]
    ends = {edge: set(graph.edge_index[:, edge].tolist()) for edge in shuffled}
    touching = [edge for edge in shuffled if not ends[edge].isdisjoint(first)]
    each = (next((edge for edge in touching if node in ends[edge]), None) for node in first)
    needed = [*needed, *(edge for edge in each if edge is not None)]
    chosen: list[int] = []
    for edge in dict.fromkeys([*needed, *touching, *shuffled]):
        budget -= cost[edge]
        if budget >= 0 or edge in needed:
            chosen.append(edge)
    return tuple(sorted(chosen))


def _costs(graph: TextAttributedGraph, edges: Sequence[int]) -> dict[int, int]:
    """How many pieces each edge takes, without its text."""
    if is_plain(graph):
        return dict.fromkeys(edges, count_pieces("1-1,"))
    lines = {edge: edge_line(Edge(1, 1, relation_name(graph, edge), ""), graph.directed) for edge in edges}
    return {edge: count_pieces(line) for edge, line in lines.items()}


def _is_blanked(blank: Blanked, is_asked: bool) -> bool:
    return blank == "all" or (blank == "asked") == is_asked
