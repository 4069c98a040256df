"""A graph in numbers: what ``data info`` and ``data validate`` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split, full_adjacency, node_split, pair_numbers
from ssl4rl.source import SPLITS, Summary
from ssl4rl.tally import Tally, as_data, reading_rows

SHOWN_NAMES = 12
"""Classes and relations that are listed for people; the rest are counted."""
SHOWN_CHARACTERS = 200
"""Length to which the text of the example is cut."""
SHOWN_OF_REPEATED = 40
"""The same for a text that several nodes have."""

REMARKS = {
    "respelled_ids": ("ids", "were found in another spelling (3.0 for 3, or é as two characters)"),
    "edges_in_two_splits": ("splits", "edges are in two splits of the data, and count as in the later one"),
    "edges_without_split": ("not used", "edges are in no split, so no prompt shows them"),
    "partial_texts": ("texts", "lack a part of the template, as a cell is empty"),
    "texts_from_ids": ("texts", "are the nodes' own names, as there is no entity2text.txt"),
}
"""What readers count besides edges, and how it is said."""


def summarise(graph: TextAttributedGraph) -> Summary:
    """Counts, sizes of splits, and names of classes and relations.

    ``num_edges`` is the number that the source counts (for an undirected dataset often both directions);
    ``num_pairs`` is the number of distinct unordered pairs of nodes once self-loops and duplicates are dropped.
    """
    degrees = np.bincount(graph.edge_index.reshape(-1), minlength=graph.num_nodes)
    lengths = graph.num_words if graph.num_nodes else np.zeros(1, dtype=np.int32)
    labels = np.zeros(0, dtype=np.int64) if graph.labels is None else graph.labels
    sizes = np.bincount(labels[labels >= 0], minlength=len(graph.label_names))
    facts: dict[str, Any] = {
        "name": graph.name,
        "num_nodes": graph.num_nodes,
        "num_edges": graph.counts.get("edges", graph.num_edges),
        "num_pairs": pair_numbers(full_adjacency(graph))[1],
        "num_classes": len(graph.label_names),
        "num_relations": len(graph.relation_names),
        "directed": graph.directed,
        "node_meaning": graph.node_meaning,
        "edge_meaning": graph.edge_meaning,
        "self_loops": graph.counts.get("self_loops", 0),
        "duplicates": graph.counts.get("duplicates", 0),
        "isolated_nodes": int((degrees == 0).sum()),
        "empty_texts": int((lengths == 0).sum()),
        "repeated_texts": _repeated(graph),
        "median_words": int(np.median(lengths)),
        "unlabelled_nodes": int((labels < 0).sum()),
        "largest_class": int(sizes.max(initial=0)),
        "classes_of_one": int((sizes == 1).sum()),
        "node_splits": {split: len(part) for split, part in node_split(graph).items()},
        "node_splits_from": "data" if graph.node_splits else "seed",
        "edge_splits": {split: len(part) for split, part in edge_split(graph).items()},
        "edge_splits_from": "data" if graph.edge_splits else "seed",
        "counts": dict(graph.counts),
        "reading": as_data([*graph.reading, *_contents(graph)]),
        "fingerprint": graph.fingerprint,
        "label_names": list(graph.label_names),
        "relation_names": list(graph.relation_names),
    }
    facts["warnings"] = warnings(facts)
    return Summary(facts, [*_rows(facts), *reading_rows(graph.reading)], _details(graph))


def _contents(graph: TextAttributedGraph) -> Iterator[Tally]:
    """What the nodes and edges that were read have, and how many lack it."""
    texts = int(graph.has_text.sum())
    yield Tally.of("texts of nodes", graph.num_nodes, {"empty texts": graph.num_nodes - texts}, texts)
    if graph.labels is not None:
        labelled = int((graph.labels >= 0).sum())
        yield Tally.of(
            "labels of nodes", graph.num_nodes, {"nodes without a class": graph.num_nodes - labelled}, labelled
        )
    for noun, count, splits in (
        ("nodes", graph.num_nodes, graph.node_splits),
        ("edges", graph.num_edges, graph.edge_splits),
    ):
        if splits:
            inside = sum(map(len, splits.values()))
            yield Tally.of(f"splits of {noun}", count, {f"{noun} in no split": count - inside}, inside)


FEW_NODES = 50
"""Below it, a split of nodes or edges holds a handful at most."""
MANY_REPEATED = 0.05
"""Share of the nodes whose text is another's too, from which on tasks about texts have several right answers."""


def warnings(facts: Mapping[str, Any]) -> list[str]:
    """What makes scores on this graph mean little, a sentence each."""
    found = []
    nodes, repeated = facts["num_nodes"], facts["repeated_texts"]
    if nodes < FEW_NODES:
        found.append(f"nodes: {nodes:,}; scores rest on a handful of examples")
    if facts["empty_texts"] == nodes:
        found.append("no node has a text, and prompts are made of texts: name the column with `text:` in dataset.yaml")
    elif facts["empty_texts"] * 2 > nodes:
        found.append(f"{facts['empty_texts']:,} of {nodes:,} nodes have no text")
    if repeated["nodes"] > MANY_REPEATED * nodes:
        found.append(
            f"{repeated['nodes']:,} of {nodes:,} nodes have a text that others have too, so that one text has several "
            "right answers"
        )
    if facts["num_classes"] == 1:
        found.append(f"there is one class, {facts['label_names'][0]!r}: every answer about classes is right")
    elif facts["largest_class"] == 1:
        found.append("no class has two nodes: the labels seem to be names, and nothing can be learned of a class")
    elif facts["classes_of_one"]:
        found.append(f"{facts['classes_of_one']:,} of {facts['num_classes']:,} classes have a single node")
    if "texts_from_ids" in facts["counts"]:
        found.append("the nodes' names stand in for texts: there is no entity2text.txt")
    for noun in ("node", "edge"):
        sizes = facts[f"{noun}_splits"]
        empty = [split for split in SPLITS if not sizes[split]]
        if empty and nodes >= FEW_NODES:
            found.append(f"no {noun}s are in {' and '.join(empty)}")
    return found


def _rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    classes = f"{facts['num_classes']:,}"
    if facts["num_classes"] and facts["unlabelled_nodes"]:
        classes += f" ({facts['unlabelled_nodes']:,} nodes have none)"
    if facts["largest_class"] == 1:
        classes += " (each has a single node: are these the names of nodes?)"
    rest = facts["num_nodes"] - sum(facts["node_splits"].values())
    outside = f"; {rest:,} nodes are in none" if rest and facts["node_splits_from"] == "data" else ""
    return [
        ("name", facts["name"]),
        ("nodes", f"{facts['num_nodes']:,} (each is {facts['node_meaning']}; median {facts['median_words']:,} words)"),
        ("edges", f"{facts['num_edges']:,} as the source counts them; {facts['num_pairs']:,} linked pairs of nodes"),
        ("an edge means", f"{facts['edge_meaning']} ({'directed' if facts['directed'] else 'undirected'})"),
        ("without text", f"{facts['empty_texts']:,} nodes"),
        *([("same texts", _of_repeated(facts["repeated_texts"]))] if facts["repeated_texts"]["nodes"] else []),
        ("without edges", f"{facts['isolated_nodes']:,} nodes"),
        ("classes", classes),
        ("relations", f"{facts['num_relations']:,}"),
        ("node splits", _sizes(facts["node_splits"], facts["node_splits_from"]) + _mask(facts["counts"]) + outside),
        ("edge splits", _sizes(facts["edge_splits"], facts["edge_splits_from"])),
        *(
            (noun, f"{facts['counts'][count]:,} {what}")
            for count, (noun, what) in REMARKS.items()
            if count in facts["counts"]
        ),
    ]


def _repeated(graph: TextAttributedGraph) -> dict[str, Any]:
    """How many nodes have a text that others have too, the commonest such text, and how many have that one."""
    hashes = np.fromiter(map(hash, graph.texts), dtype=np.int64, count=graph.num_nodes)[graph.has_text]
    _, first, sizes = np.unique(hashes, return_index=True, return_counts=True)
    if not len(sizes) or sizes.max() == 1:
        return {"nodes": 0, "commonest": None, "times": 0}
    # Of several texts the one that comes first: hashes of texts differ from process to process.
    node = int(np.flatnonzero(graph.has_text)[first[sizes == sizes.max()].min()])
    return {"nodes": int(sizes[sizes > 1].sum()), "commonest": graph.texts[node], "times": int(sizes.max())}


def _of_repeated(found: Mapping[str, Any]) -> str:
    text = found["commonest"]
    cut = text[:SHOWN_OF_REPEATED] + ("…" if len(text) > SHOWN_OF_REPEATED else "")
    return f"{found['nodes']:,} nodes have a text that others have too (most often {cut!r}, {found['times']:,})"


def _mask(counts: Mapping[str, int]) -> str:
    return (
        f"; mask {counts['mask']} of {counts['masks']}, `mask:` in dataset.yaml picks another"
        if "masks" in counts
        else ""
    )


def _sizes(splits: Mapping[str, int], origin: str) -> str:
    sizes = " / ".join(f"{splits[split]:,}" for split in SPLITS)
    return f"{sizes} (train / val / test, {'given' if origin == 'data' else 'seeded'})"


def _details(graph: TextAttributedGraph) -> list[str]:
    details = []
    for title, names in (("classes", graph.label_names), ("relations", graph.relation_names)):
        if names:
            rest = len(names) - SHOWN_NAMES
            more = f" … and {rest} more" if rest > 0 else ""
            details.append(f"{title}: {', '.join(names[:SHOWN_NAMES])}{more}")
    text = next((text for text in graph.texts if text), "")
    if text:
        details.append(f"one text: {text[:SHOWN_CHARACTERS]}{'…' if len(text) > SHOWN_CHARACTERS else ''}")
    return details
