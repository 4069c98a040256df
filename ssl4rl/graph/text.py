"""Writing a subgraph as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from ssl4rl.graph.budget import Head, count_pieces, fair_shares, heads_of, read_head, shown_part
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.prompts import write_options
from ssl4rl.rng import moved

Blanked = Literal["all", "asked", "others"]
"""Whose texts are left out."""
Restatement = Literal["numbers", "lines", "edges", "ends", "options"]
"""Another way to write the same: other numbers for the nodes; their lines, the edges or the options in another order;
the ends of edges that have no direction, and of a question about two nodes, the other way round."""

HIDDEN = "(description hidden)"
EMPTY = "(no description)"

T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """How a subgraph is written: the usual way, or restated."""

    restated: Restatement | None = None
    rng: np.random.Generator | None = None
    """Draws the other order, where there is one."""

    def in_order(self, things: list[T], what: Restatement) -> list[T]:
        """The things as they stand, or, if it is they that are restated, each in another place."""
        if self.restated != what or self.rng is None:
            return things
        return [things[place] for place in moved(len(things), self.rng)]


@dataclass(frozen=True)
class GraphText:
    """A subgraph as a prompt shows it. Nodes have local numbers, shuffled, so that a number carries no information.

    ``number`` maps a node of the graph to its local number, ``texts`` to what stands on its line; ``shown`` maps nodes
    that are not masked, and options, to their texts as shown; ``options`` are the lettered lines; ``dropped`` says how
    many characters were cut from whose text, and ``edges`` which edges are shown.
    """

    text: str
    options: str
    number: dict[int, int]
    texts: dict[int, str]
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
    masked: Collection[int] | Mapping[int, str] = (),
    options: Sequence[int] = (),
    blank: Blanked | None = None,
) -> GraphText:
    """The nodes, one a line with number and text, then the edges, with direction, relation and text where they exist.

    ``keep`` and ``masked`` are the asked nodes. The texts of ``masked`` are not shown, or what it maps them to is shown
    in their place. ``options`` are nodes whose texts are offered as lettered answers instead. The budget decides how
    many of the other nodes are shown: as many, nearest first, as leave each text enough words. One neighbour of each
    asked node is shown in any case. Edges have half of ``text_budget`` on top, for themselves. ``blank`` leaves nodes'
    texts out, but not the options'.
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
    numbers = rng.permutation(len(nodes)) + 1
    number = {node: int(local) for node, local in zip(nodes, numbers, strict=True)}
    joining = [edge for edge, pair in ends.items() if number.keys() >= set(pair)]
    needed = [edge for edge in joining if edge in subgraph.needed]
    edges = choose_edges(graph, joining, rng, text_budget // 2, first=asked, needed=needed)
    instead = masked if isinstance(masked, Mapping) else dict.fromkeys(masked, HIDDEN)
    if blank and isinstance(masked, Mapping) and _is_blanked(blank, True):
        instead = dict.fromkeys(masked, EMPTY)
    texts = {node: instead[node] if node in instead else shown[node] for node in nodes}
    return GraphText(
        text=_written_out(graph, texts, number, edges, text_budget, Form()),
        options=write_options([shown[node] for node in options]),
        number=number,
        texts=texts,
        shown=shown,
        dropped={node: heads[node].length - len(text) for node, text in shown.items() if text.endswith("…")},
        edges=edges,
    )


def restate(
    graph: TextAttributedGraph,
    written: GraphText,
    restated: Restatement,
    rng: np.random.Generator,
    text_budget: int,
) -> GraphText:
    """The same subgraph in another form. It draws after everything else, so that all else is as it was."""
    number = written.number
    if restated == "numbers":
        taken = list(number.values())
        number = {node: taken[place] for node, place in zip(number, moved(len(number), rng), strict=True)}
    text = _written_out(graph, written.texts, number, written.edges, text_budget, Form(restated, rng))
    return replace(written, number=number, text=text)


def _written_out(
    graph: TextAttributedGraph,
    texts: Mapping[int, str],
    number: Mapping[int, int],
    edges: Sequence[int],
    text_budget: int,
    form: Form,
) -> str:
    lines = [f"[{number[node]}] {texts[node]}" for node in sorted(number, key=number.__getitem__)]
    listed = write_edges(graph, edges, number, text_budget // 2, form)
    return "\n".join(["Nodes:", *form.in_order(lines, "lines"), listed])


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
    if _is_plain(graph):
        cost = dict.fromkeys(edges, count_pieces("1-1,"))
    else:
        cost = {edge: count_pieces(_edge_line(graph, edge, (1, 1), "")) for edge in edges}
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


def write_edges(
    graph: TextAttributedGraph, edges: Sequence[int], number: Mapping[int, int], text_budget: int, form: Form
) -> str:
    """The edges over local numbers: "1-2, 1-3" where an edge is just that, else one a line."""
    if not edges:
        return "Edges: none shown."
    pairs = graph.edge_index[:, list(edges)].T.tolist()
    ends = {edge: [number[source], number[target]] for edge, (source, target) in zip(edges, pairs, strict=True)}
    if not graph.directed:
        ends = {edge: sorted(pair) for edge, pair in ends.items()}
    arrow = "->" if graph.directed else "-"
    order = sorted(edges, key=lambda edge: (ends[edge], edge))
    shown = _edge_texts(graph, order, text_budget)
    order = form.in_order(order, "edges")
    if form.restated == "ends" and not graph.directed:
        ends = {edge: pair[::-1] for edge, pair in ends.items()}
    if _is_plain(graph):
        return "Edges: " + ", ".join(arrow.join(map(str, ends[edge])) for edge in order) + "."
    return "Edges:\n" + "\n".join(_edge_line(graph, edge, ends[edge], shown.get(edge, "")) for edge in order)


def _is_blanked(blank: Blanked, is_asked: bool) -> bool:
    return blank == "all" or (blank == "asked") == is_asked


def _edge_texts(graph: TextAttributedGraph, edges: Sequence[int], budget: int) -> dict[int, str]:
    """The edges' texts, cut fairly to ``budget`` pieces in all."""
    if not graph.edge_texts:
        return {}
    heads = [read_head(graph.edge_texts[edge], budget) for edge in edges]
    shares = fair_shares([head.pieces for head in heads], budget)
    texts = map(shown_part, heads, shares)
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
