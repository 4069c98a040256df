"""Writing a subgraph as text, under a budget that depends on no model's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.prompts import write_options

_PIECE = re.compile(r"[A-Za-z0-9_]{1,8}|[^\sA-Za-z0-9_]")

HIDDEN = "(description hidden)"
EMPTY = "(no description)"


def count_pieces(text: str) -> int:
    """The built-in length of a text: runs of up to 8 ASCII letters or digits, and every other visible character.

    About the number of tokens of a common tokenizer on English, and an upper bound in scripts without spaces.
    """
    return len(_PIECE.findall(text))


def cut(text: str, pieces: int) -> str:
    """``text`` with at most ``pieces`` pieces, cut at the end of a word and marked by "…"; white space is collapsed.

    >>> cut("graph neural networks", 2)
    'graph neural …'
    """
    text = " ".join(text.split())
    found = list(_PIECE.finditer(text))
    if len(found) <= pieces:
        return text
    end = found[pieces - 1].end() if pieces > 0 else 0
    # A long word is several pieces: step back to its start rather than show half of it.
    while 0 < end < len(text) and text[end - 1].isascii() and text[end - 1].isalnum() and text[end].isalnum():
        end -= 1
    return (text[:end].rstrip() + " …").lstrip()


def fair_shares(lengths: Sequence[int], budget: int) -> list[int]:
    """Splits ``budget`` so that the smallest share is as large as possible; no share exceeds its length.

    >>> fair_shares([3, 10, 10], 15)
    [3, 6, 6]
    """
    shares = [0] * len(lengths)
    left = max(0, budget)
    for place, index in enumerate(sorted(range(len(lengths)), key=lambda i: lengths[i])):
        shares[index] = min(lengths[index], left // (len(lengths) - place))
        left -= shares[index]
    return shares


@dataclass(frozen=True)
class Budget:
    """Texts cut to a budget: what is shown, and how many pieces of each were dropped."""

    shown: dict[int, str]
    dropped: dict[int, int]


def fit_texts(texts: Mapping[int, str], budget: int, keep: Collection[int] = ()) -> Budget:
    """Cuts the texts fairly to ``budget`` pieces in all; those in ``keep`` are cut last.

    The others get what those leave, and at least a quarter of the budget: a prompt without any context would be another
    task. The quarter is set aside even where they need less, so that the texts in ``keep`` are cut at the same place
    whatever is shown around them.
    """
    lengths = {key: count_pieces(text) for key, text in texts.items()}
    kept, others = [key for key in texts if key in keep], [key for key in texts if key not in keep]
    shares: dict[int, int] = {}
    left = budget
    for group, set_aside in ((kept, budget // 4), (others, 0)):
        fair = fair_shares([lengths[key] for key in group], left - set_aside)
        shares.update(zip(group, fair, strict=True))
        left -= sum(fair)
    return Budget(
        shown={
            key: " ".join(text.split()) if lengths[key] <= shares[key] else cut(text, shares[key])
            for key, text in texts.items()
        },
        dropped={key: lengths[key] - shares[key] for key in texts if lengths[key] > shares[key]},
    )


@dataclass(frozen=True)
class GraphText:
    """A subgraph as a prompt shows it. Nodes have local numbers, shuffled, so that a number carries no information.

    ``number`` maps a node of the graph to its local number; ``shown`` maps nodes and options to their texts as shown;
    ``options`` are the lettered lines; ``dropped`` says how many pieces were cut from whose text, and ``edges`` which
    edges are shown.
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
) -> GraphText:
    """The nodes, one a line with number and text, then the edges, with direction, relation and text where they exist.

    The texts of ``masked`` nodes are not shown. ``options`` are nodes whose texts are offered as lettered answers
    instead; they and the nodes in ``keep`` are cut last. Edges have half of ``text_budget`` on top, for themselves.
    """
    numbers = rng.permutation(len(subgraph.nodes)) + 1
    number = {node: int(local) for node, local in zip(subgraph.nodes, numbers, strict=True)}
    visible = [node for node in number if node not in masked]
    fitted = fit_texts({node: graph.texts[node] for node in (*visible, *options)}, text_budget, {*keep, *options})
    shown = {node: text or EMPTY for node, text in fitted.shown.items()}
    lines = [
        f"[{number[node]}] {HIDDEN if node in masked else shown[node]}"
        for node in sorted(number, key=number.__getitem__)
    ]
    edges = choose_edges(graph, subgraph.edges, rng, text_budget // 2, first={*keep, *masked})
    return GraphText(
        text="\n".join(["Nodes:", *lines, write_edges(graph, edges, number, text_budget // 2)]),
        options=write_options([shown[node] for node in options]),
        number=number,
        shown=shown,
        dropped=fitted.dropped,
        edges=edges,
    )


def choose_edges(
    graph: TextAttributedGraph, edges: Sequence[int], rng: np.random.Generator, budget: int, first: Collection[int]
) -> tuple[int, ...]:
    """As many edges as fit in ``budget`` pieces, without their texts; those that touch ``first`` before the others."""
    if _is_plain(graph):
        cost = dict.fromkeys(edges, count_pieces("1-1,"))
    else:
        cost = {edge: count_pieces(_edge_line(graph, edge, (1, 1), "")) for edge in edges}
    if sum(cost.values()) <= budget:
        return tuple(edges)
    shuffled = [edges[i] for i in rng.permutation(len(edges))]
    touching = [edge for edge in shuffled if not {int(node) for node in graph.edge_index[:, edge]}.isdisjoint(first)]
    chosen: list[int] = []
    for edge in dict.fromkeys([*touching, *shuffled]):
        budget -= cost[edge]
        if budget >= 0:
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
    shown = fit_texts({edge: graph.edge_texts[edge] for edge in order}, text_budget).shown if graph.edge_texts else {}
    return "Edges:\n" + "\n".join(_edge_line(graph, edge, ends[edge], shown.get(edge, "")) for edge in order)


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
