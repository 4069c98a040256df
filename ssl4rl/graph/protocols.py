"""Protocols of node classification: which nodes are in train, val and test, by name or by a file of node ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.errors import NotApplicable, UserError, unknown
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import LABELLED_PER_CLASS, LABELLED_VAL, NONE, node_split
from ssl4rl.records import parse_json
from ssl4rl.rng import seeded_rng
from ssl4rl.source import SPLITS

PLANETOID = "planetoid"
PLANETOID_TEST = 1000
"""Test nodes of Planetoid's split (Yang et al. 2016, §5.1), or as many as are left, if these are no fewer than val."""
RANDOM = tuple(f"random-{number}" for number in range(10))
"""Ten seeded splits of each class, 60/20/20 (Pei et al. 2020, "Geom-GCN", §4.1)."""
PROTOCOLS = (PLANETOID, *RANDOM)
MOST_NAMED = 3
"""Ids that an error names."""

Split = dict[str, IntArray]
"""Node indices of train, val and test, ascending."""


def protocol_split(graph: TextAttributedGraph, protocol: str | None) -> Split:
    """The nodes of train, val and test by a protocol's name or file; None is the data's own split, or a seeded one.

    A file holds the ids of the test nodes, one a line or as a JSON list; train and val are then those of the usual
    split without them. A JSON object has all three lists: ``{"train": [...], "val": [...], "test": [...]}``.

    Raises:
        UserError: for an unknown protocol, a file that cannot be read, ids that the graph does not have, an id twice.
        NotApplicable: for a graph without labels, or one that is too small for the protocol.
    """
    if protocol is None:
        split = node_split(graph)
        _check_disjoint(graph, split)
        return split
    if protocol == PLANETOID:
        return _planetoid(graph)
    if protocol in RANDOM:
        return _random(graph, protocol)
    path = Path(protocol).expanduser()
    if path.is_file():
        stat = path.stat()
        return _from_file(graph, path, (stat.st_mtime_ns, stat.st_size))
    if path.suffix or "/" in protocol:
        raise UserError(f"protocol {protocol}: there is no such file")
    raise unknown("protocol", protocol, [*PROTOCOLS, "a file of node ids"])


def left_out_of_train(graph: TextAttributedGraph, protocol: str | None) -> dict[str, int]:
    """How many nodes of the usual train and val a file of test nodes takes out of these; empty where none."""
    if protocol is None or protocol in PROTOCOLS or not graph.node_splits:
        return {}
    test = protocol_split(graph, protocol)["test"]
    counts = {split: int(np.isin(graph.node_splits.get(split, NONE), test).sum()) for split in ("train", "val")}
    return {split: count for split, count in counts.items() if count}


def _labelled(graph: TextAttributedGraph) -> tuple[IntArray, IntArray]:
    """The nodes that have a label, and the label of each."""
    labels = _labels(graph)
    nodes = np.flatnonzero(labels >= 0)
    return nodes, labels[nodes]


def _labels(graph: TextAttributedGraph) -> IntArray:
    if graph.labels is None:
        raise NotApplicable(f"graph {graph.name} has no labels, which a protocol of node classification needs")
    return graph.labels


def _ascending(parts: Mapping[str, Any]) -> Split:
    return {split: np.sort(np.asarray(parts[split], dtype=np.int64)) for split in SPLITS}


@lru_cache(maxsize=4)
def _planetoid(graph: TextAttributedGraph) -> Split:
    nodes, labels = _labelled(graph)
    counts = np.bincount(labels, minlength=len(graph.label_names))
    if (counts < LABELLED_PER_CLASS).any():
        small = int(np.argmin(counts))
        raise NotApplicable(
            f"protocol planetoid trains on {LABELLED_PER_CLASS} nodes of each class, and class "
            f"{graph.label_names[small]!r} of graph {graph.name} has {counts[small]}; use random-0 to random-9"
        )
    order = seeded_rng("protocol", graph.fingerprint, PLANETOID).permutation(len(nodes))
    nodes, labels = nodes[order], labels[order]
    train = np.concatenate([nodes[labels == label][:LABELLED_PER_CLASS] for label in range(len(counts))])
    # Drawn anew: what is left of the first order begins with nodes of large classes.
    rest = seeded_rng("protocol", graph.fingerprint, PLANETOID, "rest").permutation(np.setdiff1d(nodes, train))
    if len(rest) < 2 * LABELLED_VAL:
        raise NotApplicable(
            f"protocol planetoid needs {LABELLED_VAL} nodes for val and as many for test, and {len(rest):,} labelled "
            f"nodes of graph {graph.name} are left after train; use random-0 to random-9"
        )
    val, test = rest[:LABELLED_VAL], rest[LABELLED_VAL : LABELLED_VAL + PLANETOID_TEST]
    return _ascending({"train": train, "val": val, "test": test})


@lru_cache(maxsize=4)
def _random(graph: TextAttributedGraph, protocol: str) -> Split:
    nodes, labels = _labelled(graph)
    order = seeded_rng("protocol", graph.fingerprint, protocol).permutation(len(nodes))
    nodes, labels = nodes[order], labels[order]
    parts: dict[str, list[IntArray]] = {split: [] for split in SPLITS}
    for label in range(len(graph.label_names)):
        of_class = nodes[labels == label]
        bounds = [round(share * len(of_class)) for share in (0.6, 0.8)]
        for part_name, part in zip(SPLITS, np.split(of_class, bounds), strict=True):
            parts[part_name].append(part)
    split = _ascending({name: np.concatenate(several) for name, several in parts.items()})
    for name in SPLITS:
        if not len(split[name]):
            raise NotApplicable(
                f"protocol {protocol} leaves no node for {name}: graph {graph.name} has {len(nodes)} labelled nodes; "
                "it needs a class of at least 3"
            )
    return split


@lru_cache(maxsize=4)
def _from_file(graph: TextAttributedGraph, path: Path, version: tuple[int, int]) -> Split:
    """The split of a file; ``version`` tells apart what it held at different times."""
    given = _read(path)
    places = {split: _nodes(graph, path, ids) for split, ids in given.items()}
    test = places["test"]
    if len(places) == len(SPLITS):
        split = _ascending(places)
        _check_disjoint(graph, split, str(path))
        return split
    usual = node_split(graph, reserved=test)
    return _ascending({"test": test, **{name: usual[name] for name in ("train", "val")}})


def _read(path: Path) -> dict[str, list[tuple[str, str]]]:
    """By split (``test`` alone, or all three), each id with its place in the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"protocol {path} cannot be read ({error}); give one id a line, or JSON") from error
    if not text.lstrip().startswith(("[", "{")):
        lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
        return {"test": [(line, f"line {number}") for number, line in lines if line]}
    try:
        content = parse_json(text)
    except ValueError as error:
        raise UserError(f"protocol {path} begins like JSON and is none ({error})") from error
    if isinstance(content, list):
        content = {"test": content}
    elif content.keys() != set(SPLITS):
        raise UserError(
            f"protocol {path} has the keys {', '.join(map(repr, content)) or 'none'}; give a list of test nodes, or "
            '{"train": [...], "val": [...], "test": [...]}'
        )
    found = {}
    for split, ids in content.items():
        if not isinstance(ids, list) or not all(type(each) in (int, str) for each in ids):
            raise UserError(f"protocol {path}: {split} is not a list of ids (whole numbers or texts)")
        found[split] = [(str(each), f"{split}[{place}]") for place, each in enumerate(ids)]
    return found


def _nodes(graph: TextAttributedGraph, path: Path, given: Sequence[tuple[str, str]]) -> list[int]:
    """The nodes of these ids, each of which must exist, have a label, and occur once."""
    number = {name: node for node, name in enumerate(_ids(graph))}
    known: dict[str, str] = {}
    for identity, place in given:
        if identity in known:
            raise UserError(f"protocol {path}: {identity!r} is listed twice ({known[identity]} and {place})")
        known[identity] = place
    first, last = graph.node_name(0), graph.node_name(graph.num_nodes - 1)
    missing = [identity for identity in known if identity not in number]
    _refuse(path, known, missing, f"not in graph {graph.name}, whose ids are {first!r} to {last!r}")
    labels = _labels(graph)
    unlabelled = [identity for identity in known if labels[number[identity]] < 0]
    _refuse(path, known, unlabelled, f"without a label in graph {graph.name}")
    if not known:
        raise UserError(f"protocol {path} holds no ids")
    return [number[identity] for identity in known]


def _ids(graph: TextAttributedGraph) -> Iterable[str]:
    return map(str, range(graph.num_nodes)) if graph.node_ids is None else graph.node_ids


def _refuse(path: Path, places: Mapping[str, str], wrong: Sequence[str], why: str) -> None:
    if wrong:
        named = ", ".join(f"{identity!r} ({places[identity]})" for identity in wrong[:MOST_NAMED])
        more = f" and {len(wrong) - MOST_NAMED:,} more" if len(wrong) > MOST_NAMED else ""
        raise UserError(f"protocol {path}: {len(wrong):,} of {len(places):,} ids are {why}: {named}{more}")


def _check_disjoint(graph: TextAttributedGraph, split: Mapping[str, Any], place: str = "") -> None:
    of_node: dict[int, str] = {}
    for name in SPLITS:
        part = np.asarray(split[name])
        twice = [node for node in part.tolist() if node in of_node] if of_node else []
        if twice:
            raise UserError(
                f"{f'protocol {place}' if place else f'graph {graph.name}'}: node {graph.node_name(twice[0])!r} is in "
                f"{of_node[twice[0]]} and {name}"
                + (f" ({len(twice) - 1:,} more nodes are in two splits)" if len(twice) > 1 else "")
                + "; put each node into one split"
            )
        of_node |= dict.fromkeys(part.tolist(), name)
