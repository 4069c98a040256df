"""Questions with two right answers, by what the source says and not by what the task meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ssl4rl.answers import normalise
from ssl4rl.audit.offers import Offer, read_offers
from ssl4rl.example import Example
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import edge_view
from ssl4rl.tasks import AnyTask


def find_ambiguous(task: AnyTask, examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Each way in which an option that counts as wrong is right, and the first example with it."""
    graph = task.source if isinstance(task.source, TextAttributedGraph) and task.source.num_edges else None
    first = dict[str, str]()
    # A description that is to be written is none of several.
    chosen = [example for example in examples if example.scoring.function != "score_text"]
    for offer in read_offers(chosen):
        for found in (*_equal_texts(offer), *(() if graph is None else _by_the_graph(offer, graph))):
            first.setdefault(found, str(offer.example.id))
    return list(first.items())


def _equal_texts(offer: Offer) -> Iterator[str]:
    texts = {label: normalise(text) for label, text in zip(offer.labels, offer.texts, strict=True)}
    right = {text for label, text in texts.items() if label in offer.right}
    if len(offer.right) < len(texts) and any(
        text in right for label, text in texts.items() if label not in offer.right
    ):
        yield "a wrong option reads like a right one"


def _by_the_graph(offer: Offer, graph: TextAttributedGraph) -> Iterator[str]:
    full = edge_view(graph).full
    target = offer.example.meta.get("target")
    if offer.nodes and isinstance(target, int):
        linked = {label for label, node in zip(offer.labels, offer.nodes, strict=True) if _joined(full, target, node)}
        # Only where being linked is what makes an option right.
        if offer.right < linked:
            yield "a wrong option is linked to the target as well"
    for node in offer.example.meta.get("masked", ()):
        edges = [edge for edge in offer.example.meta["edges"] if node in edge]
        around = {end for edge in edges for end in edge if end != node}
        if any(other != node and all(_joined(full, end, other) for end in around) for other in offer.nodes):
            yield "all that is shown of a hidden node holds of another option as well"
    groups = offer.example.meta.get("groups", ())
    for label, group in zip(offer.labels, groups, strict=False):
        if label not in offer.right and isinstance(target, int) and any(_joined(full, target, node) for node in group):
            yield "a node of a wrong group is linked to the target as well"
        if (
            label not in offer.right
            and isinstance(target, int)
            and {graph.texts[node] for node in group} <= {graph.texts[node] for node in full.around(target).tolist()}
        ):
            yield "all texts of a wrong group are those of neighbours as well"
    for label, node, near in zip(
        offer.labels, *(offer.example.meta.get(key, ()) for key in ("of", "lists")), strict=False
    ):
        if label not in offer.right and not all(_joined(full, node, each) for each in near):
            yield "a wrong list holds a node that is no neighbour as well"
        if label in offer.right and all(_joined(full, node, each) for each in near):
            yield "the right list holds neighbours only"
    chain = offer.example.meta.get("chain")
    if chain and graph.relations is not None:
        reached = _reached(graph, graph.relations, full, offer.asked[0], chain)
        texts = {graph.texts[node] for node in reached}
        ends = {label for label, node in zip(offer.labels, offer.nodes, strict=True) if graph.texts[node] in texts}
        if ends - offer.right:
            yield "a wrong option is reached as well"
    if offer.named and len(offer.asked) == 2:
        sources = set(graph.edge_index[0, full.between(*offer.asked)].tolist())
        if sources != {node for label, node in zip(offer.labels, offer.nodes, strict=True) if label in offer.right}:
            yield "edges between the asked nodes point both ways, or the other way"
    if len(offer.asked) == 2 and not offer.nodes:
        if offer.right == {"no"} and _holds(graph, full, *offer.asked, offer.example.meta.get("relation")):
            yield "the answer is no, and an edge joins the asked nodes"
        elif offer.has_texts and graph.relations is not None:
            holding = _relations(graph, full, *offer.asked)
            right = {text for label, text in zip(offer.labels, offer.texts, strict=True) if label in offer.right}
            if right <= holding and holding & ({*offer.texts} - right):
                yield "the relation of a wrong option holds as well"


def _joined(full: Adjacency, one: int, other: int) -> bool:
    return len(full.between(one, other)) > 0


def _reached(
    graph: TextAttributedGraph, relations: IntArray, full: Adjacency, start: int, chain: Sequence[int]
) -> set[int]:
    """What a chain of relations leads to; not by the code of the task, whose faults would then go unseen."""
    nodes = {start}
    for relation in chain:
        ends = set[int]()
        for node in nodes:
            row = slice(full.indptr[node], full.indptr[node + 1])
            others, edges = full.neighbors[row], full.edges[row]
            holds = relations[edges] == relation
            if graph.directed:
                holds &= graph.edge_index[0, edges] == node
            ends.update(others[holds].tolist())
        nodes = ends
    return nodes


def _holds(graph: TextAttributedGraph, full: Adjacency, head: int, tail: int, relation: int | None) -> bool:
    """Whether the relation holds from head to tail; where none is asked about, whether any edge joins them."""
    if relation is None:
        return _joined(full, head, tail)
    return graph.relation_names[relation] in _relations(graph, full, head, tail)


def _relations(graph: TextAttributedGraph, full: Adjacency, head: int, tail: int) -> set[str]:
    edges = [edge for edge in full.between(head, tail) if not graph.directed or graph.edge_index[0, edge] == head]
    return {graph.relation_names[int(graph.relations[edge])] for edge in edges if graph.relations is not None}
