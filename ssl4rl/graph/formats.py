"""Ways of writing a subgraph: the same nodes, texts and edges in each.

How a graph is written changes what a language model answers about it (Fatemi et al., "Talk like a Graph", ICLR 2024):
an adjacency list here is their "incident" encoding with the nodes' texts in place.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from ssl4rl.graph.budget import fair_shares, read_head, shown_part
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import moved

GraphFormat = Literal["edge_list", "adjacency_list", "outline", "json"]
"""The nodes and then the edges; the edges under each node that has them; a tree that grows from the asked nodes; or
one JSON object."""
AT_BOTH_ENDS = frozenset[GraphFormat]({"adjacency_list", "outline"})
"""Formats in which an edge without direction has no first end."""
Restatement = Literal["numbers", "lines", "edges", "ends", "options"]
"""Another way to write the same: other numbers for the nodes; their lines, the edges or the options in another order;
the ends of edges that have no direction, and of a question about two nodes, the other way round."""

T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """How a subgraph is written: in which format, and the usual way or restated."""

    rng: np.random.Generator
    """Draws the numbers of the nodes, and other orders where something is restated."""
    graph_format: GraphFormat = "edge_list"
    restated: Restatement | None = None

    def in_order(self, things: list[T], what: Restatement) -> list[T]:
        """The things as they stand, or, if it is they that are restated, each in another place."""
        if self.restated != what:
            return things
        return [things[place] for place in moved(len(things), self.rng)]


@dataclass(frozen=True)
class Content:
    """What is shown of a graph, however it is written.

    ``number`` maps a node of the graph to its local number, ``texts`` to its text or what stands in its place;
    ``edges`` are the edges shown, and ``asked`` the nodes that the question is about.
    """

    number: dict[int, int]
    texts: dict[int, str]
    edges: tuple[int, ...]
    asked: tuple[int, ...]


class Edge(NamedTuple):
    """An edge between local numbers, with its relation and its text where it has them."""

    source: int
    target: int
    relation: str
    text: str


class _Page(NamedTuple):
    """Content over local numbers."""

    lines: dict[int, str]
    """The text of each number, in ascending order."""
    edges: list[Edge]
    asked: list[int]
    directed: bool
    plain: bool
    """Whether edges have neither relations nor texts."""
    form: Form


def write_graph(graph: TextAttributedGraph, content: Content, edge_budget: int, form: Form) -> str:
    """The content in one of the formats; the texts of edges are cut to ``edge_budget`` pieces in all."""
    number = content.number
    page = _Page(
        lines={number[node]: content.texts[node] for node in sorted(number, key=number.__getitem__)},
        edges=_edges(graph, content.edges, number, edge_budget, form),
        asked=sorted(number[node] for node in content.asked),
        directed=graph.directed,
        plain=is_plain(graph),
        form=form,
    )
    return WRITERS[form.graph_format](page)


def is_plain(graph: TextAttributedGraph) -> bool:
    """Whether an edge is no more than its two ends."""
    return graph.relations is None and graph.edge_texts is None


def relation_name(graph: TextAttributedGraph, edge: int) -> str:
    """What the relation of an edge is called; empty where edges have none."""
    return "" if graph.relations is None else graph.relation_names[int(graph.relations[edge])]


def edge_line(edge: Edge, directed: bool) -> str:
    """An edge on a line of its own: "[1] --cites--> [2]: its text"."""
    return f"[{edge.source}] {_arrow(edge.relation, directed)} [{edge.target}]" + _after_colon(edge)


def _after_colon(edge: Edge) -> str:
    return f": {edge.text}" if edge.text else ""


def _edges(
    graph: TextAttributedGraph, edges: Sequence[int], number: Mapping[int, int], budget: int, form: Form
) -> list[Edge]:
    if not edges:
        return []
    pairs = graph.edge_index[:, list(edges)].T.tolist()
    ends = {edge: [number[source], number[target]] for edge, (source, target) in zip(edges, pairs, strict=True)}
    if not graph.directed:
        ends = {edge: sorted(pair) for edge, pair in ends.items()}
    order = sorted(edges, key=lambda edge: (ends[edge], edge))
    shown = _edge_texts(graph, order, budget)
    order = form.in_order(order, "edges")
    if form.restated == "ends" and not graph.directed:
        ends = {edge: pair[::-1] for edge, pair in ends.items()}
    return [Edge(ends[edge][0], ends[edge][1], relation_name(graph, edge), shown.get(edge, "")) for edge in order]


def _edge_texts(graph: TextAttributedGraph, edges: Sequence[int], budget: int) -> dict[int, str]:
    """The edges' texts, cut fairly to ``budget`` pieces in all."""
    if not graph.edge_texts:
        return {}
    heads = [read_head(graph.edge_texts[edge], budget) for edge in edges]
    shares = fair_shares([head.pieces for head in heads], budget)
    texts = map(shown_part, heads, shares)
    return dict(zip(edges, texts, strict=True))


def _arrow(relation: str, directed: bool, backwards: bool = False) -> str:
    middle = f"--{relation}--" if relation else "--"
    if not directed:
        return middle
    return f"<{middle}" if backwards else f"{middle}>"


def _edge_list(page: _Page) -> str:
    lines = [f"[{number}] {text}" for number, text in page.lines.items()]
    return "\n".join(["Nodes:", *page.form.in_order(lines, "lines"), _listed_edges(page, page.edges, "Edges")])


def _listed_edges(page: _Page, edges: Sequence[Edge], title: str) -> str:
    """The edges as "1-2, 1-3" where an edge is just that, else one a line."""
    if not edges:
        return f"{title}: none shown."
    if page.plain:
        arrow = "->" if page.directed else "-"
        return f"{title}: " + ", ".join(f"{edge.source}{arrow}{edge.target}" for edge in edges) + "."
    return f"{title}:\n" + "\n".join(edge_line(edge, page.directed) for edge in edges)


def _adjacency_list(page: _Page) -> str:
    lines = page.form.in_order(list(page.lines.items()), "lines")
    blocks = [f"[{number}] {text}" + _adjacent(page, number) for number, text in lines]
    return "\n".join(["Nodes, each with its edges:", *blocks, *([] if page.edges else ["Edges: none shown."])])


def _adjacent(page: _Page, number: int) -> str:
    """The edges of a node, one a line, or one kind of arrow a line where an edge is no more than its ends.

    Each edge stands at both its ends, and its text at the first.
    """
    found = []
    for edge in page.edges:
        if number == edge.source:
            found.append((_arrow(edge.relation, page.directed), f"[{edge.target}]" + _after_colon(edge)))
        if number == edge.target and (page.directed or edge.source != edge.target):
            found.append((_arrow(edge.relation, page.directed, backwards=True), f"[{edge.source}]"))
    if not page.plain:
        return "".join(f"\n  {arrow} {other}" for arrow, other in found)
    others: dict[str, list[str]] = {}
    for arrow, other in found:
        others.setdefault(arrow, []).append(other)
    return "".join(f"\n  {arrow} {', '.join(each)}" for arrow, each in others.items())


def _outline(page: _Page) -> str:
    """A tree from the asked nodes outwards; nodes that no shown edge leads to stand on lines of their own below it."""
    children, left = _tree(page)
    inside = {child for grown in children.values() for child, _ in grown}
    # Asked nodes first: the tree grew from them.
    roots = dict.fromkeys([*page.asked, *(number for number in page.lines if number not in inside)])
    out = ["Outline from " + " and ".join(f"[{number}]" for number in page.asked) + ":" if page.asked else "Outline:"]
    stack = [(0, number, "") for number in reversed(page.form.in_order(list(roots), "lines"))]
    while stack:
        depth, number, arrow = stack.pop()
        out.append("  " * depth + f"{arrow}[{number}] {page.lines[number]}")
        below = page.form.in_order(children.get(number, []), "lines")
        for child, edge in reversed(below):
            stack.append((depth + 1, child, _arrow(edge.relation, page.directed, edge.target == number) + " "))
        out += ["  " * (depth + 1) + f"(edge to [{child}]: {edge.text})" for child, edge in below if edge.text]
    if not page.edges:
        out.append("Edges: none shown.")
    return "\n".join([*out, *([_listed_edges(page, left, "Other edges")] if left else [])])


def _tree(page: _Page) -> tuple[dict[int, list[tuple[int, Edge]]], list[Edge]]:
    """The nodes below each number with the edges that lead there, breadth first, and the edges that are left."""
    at: dict[int, list[tuple[int, int]]] = {number: [] for number in page.lines}
    for place, edge in enumerate(page.edges):
        at[edge.source].append((edge.target, place))
        at[edge.target].append((edge.source, place))
    children: dict[int, list[tuple[int, Edge]]] = {}
    used, seen = set[int](), set(page.asked)
    for start in [*page.asked, *page.lines]:
        queue = deque([start] if start in page.asked or start not in seen else [])
        seen.add(start)
        while queue:
            number = queue.popleft()
            for other, place in at[number]:
                if other not in seen:
                    seen.add(other)
                    used.add(place)
                    queue.append(other)
                    children.setdefault(number, []).append((other, page.edges[place]))
    return children, [edge for place, edge in enumerate(page.edges) if place not in used]


def _json(page: _Page) -> str:
    """One JSON object, a node a line; an edge is two numbers, or an object where it has a relation or a text."""
    nodes = page.form.in_order([_dumps({"id": number, "text": text}) for number, text in page.lines.items()], "lines")
    if page.plain:
        edges = ", ".join(_dumps([edge.source, edge.target]) for edge in page.edges)
    else:
        edges = "".join(f"\n{_dumps(_as_object(edge))}," for edge in page.edges).removesuffix(",")
    directed = "true" if page.directed else "false"
    return '{"nodes": [\n' + ",\n".join(nodes) + f'],\n"directed": {directed}, "edges": [{edges}]}}'


def _as_object(edge: Edge) -> dict[str, Any]:
    return {key: value for key, value in edge._asdict().items() if value != ""}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


WRITERS: Mapping[GraphFormat, Callable[[_Page], str]] = {
    "edge_list": _edge_list,
    "adjacency_list": _adjacency_list,
    "outline": _outline,
    "json": _json,
}
