"""Parsers of TAGLAS's raw files, which ``ssl4rl data fetch`` runs once per dataset.

A raw file comes from elsewhere, so it is not trusted: see :mod:`ssl4rl.data.graphs.pt`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.fields import adjacency_edges
from ssl4rl.data.graphs.pt import read_pt
from ssl4rl.data.graphs.triples import numbered
from ssl4rl.data.packed import read_gzip
from ssl4rl.data.text import clean, freebase_relations, readable, sentences
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.records import parse_json
from ssl4rl.source import SPLITS
from ssl4rl.tally import Tally

REPOSITORY = "WFRaain/TAG_datasets"
"""The dataset repository on the Hugging Face hub."""


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def _read_rows(path: Path, columns: int) -> list[list[str]]:
    """The tab-separated rows of a text file."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != columns:
            raise UserError(f"{path}, row {number}: expected {columns} tab-separated columns, got {len(cells)}")
        rows.append(cells)
    return rows


def _array(values: Any) -> IntArray:
    return np.asarray(values, dtype=np.int64)


def _edges(fields: dict[str, Any]) -> IntArray:
    """``edge_index`` [2, E], from the field of that name or from ``adj_t``.

    ``adj_t`` is the transposed adjacency, which makes no difference here: the graphs are undirected.
    """
    if fields.get("edge_index") is not None:
        return _array(fields["edge_index"]).reshape(2, -1)
    return adjacency_edges(fields["adj_t"])


def _node_splits(masks: Iterable[Any], keep: NDArray[np.bool_] | None = None) -> dict[str, IntArray]:
    """Indices of the nodes in each split, from the masks of train, val and test.

    A mask is [N], [N, 1] or a list of several [N], of which the first is used; ``keep`` [N] restricts all three.
    """
    splits = {}
    for split, mask in zip(SPLITS, masks, strict=True):
        is_list = isinstance(mask, list) and np.ndim(mask[0]) > 0
        members = np.asarray(mask[0] if is_list else mask, dtype=bool).reshape(-1)
        splits[split] = np.flatnonzero(members if keep is None else members & keep)
    return splits


def _descriptions(names: Sequence[str], path: Path) -> list[str]:
    """The description of each class, found by its name, or by its position if the file uses other names."""
    entries = _read_json(path)
    by_name = {readable(entry["name"]).lower(): clean(entry["description"]) for entry in entries}
    if not any(name.lower() in by_name for name in names) and len(entries) == len(names):
        return [clean(entry["description"]) for entry in entries]
    return [by_name.get(name.lower(), "") for name in names]


def _undirected(
    name: str,
    texts: Sequence[str],
    edges: IntArray,
    *,
    pairs: bool = False,
    reading: Sequence[Tally] = (),
    **rest: Any,
) -> TextAttributedGraph:
    """Builds the graph, with the number of edges that the literature states in ``counts["edges"]``.

    That number counts every edge in both directions, or with ``pairs`` once; self-loops are included.
    """
    graph = TextAttributedGraph.from_edges(name, texts, edges, **rest)
    loops = len(np.unique(edges[0, edges[0] == edges[1]]))
    canonical = graph.num_edges * (1 if pairs else 2) + loops
    return replace(graph, counts={**graph.counts, "edges": canonical}, reading=[*reading, *graph.reading])


def _fields_read(fields: Mapping[str, Any], used: Iterable[str]) -> list[Tally]:
    """Which fields are read, and of several masks of train how many: the first."""
    tallies = [Tally.of_named("fields", fields, used, "unused fields")]
    masks = fields.get("train_masks")
    if isinstance(masks, list) and np.ndim(masks[0]):
        tallies.append(Tally.of("masks", len(masks), {"masks after the first": len(masks) - 1}))
    return tallies


PAPER_FIELDS = ("y", "label_names", "raw_texts", "edge_index", "adj_t")


def _papers(folder: Path, name: str, pt: str, classes: str, names: Sequence[str] | None = None) -> TextAttributedGraph:
    """Cora and PubMed; ``names`` of the classes are by default those that the file states for each node."""
    fields = read_pt(folder / pt)
    labels = _array(fields["y"]).reshape(-1)
    if names is None:
        given = dict(zip(labels.tolist(), fields["label_names"], strict=True))
        names = [readable(given[label]) for label in range(int(labels.max()) + 1)]
    return _undirected(
        name,
        [_paper(text) for text in fields["raw_texts"]],
        _edges(fields),
        labels=labels,
        label_names=list(names),
        label_descriptions=_descriptions(names, folder / classes),
        node_splits=_node_splits(fields[f"{split}_masks"] for split in SPLITS),
        reading=_fields_read(fields, [*PAPER_FIELDS, *(f"{split}_masks" for split in SPLITS)]),
        node_meaning="a paper",
        edge_meaning="one paper cites the other",
    )


def _paper(text: str) -> str:
    """The text of a paper: the raw one is ``title : abstract``, with the doubled quotes of a CSV file."""
    title, separator, abstract = text.replace('""', '"').partition(" : ")
    return sentences(title.rstrip(" ,"), abstract) if separator else clean(title)


def _parse_cora(folder: Path) -> TextAttributedGraph:
    return _papers(folder, "cora", "cora.pt", "cora_node.json")


def _parse_pubmed(folder: Path) -> TextAttributedGraph:
    return _papers(folder, "pubmed", "pubmed.pt", "pubmed.json", ("Experimental", "Type 1", "Type 2"))


def _parse_wikics(folder: Path) -> TextAttributedGraph:
    data, about = _read_json(folder / "data.json"), _read_json(folder / "metadata.json")
    links = data["links"]
    edges: list[tuple[int, int]] = []
    for source, targets in enumerate(links):
        edges.extend((source, target) for target in targets)
    names = [clean(about["labels"][str(label)]) for label in range(len(about["labels"]))]
    return _undirected(
        "wikics",
        [sentences(readable(node["title"]), " ".join(node["tokens"])) for node in about["nodes"]],
        _array(edges).reshape(-1, 2).T,
        pairs=True,
        labels=_array(data["labels"]),
        label_names=names,
        label_descriptions=_descriptions(names, folder / "wikics.json"),
        node_splits=_node_splits([data["train_masks"], data["val_masks"], data["test_mask"]]),
        reading=_fields_read(data, ("links", "labels", "train_masks", "val_masks", "test_mask")),
        node_meaning="a Wikipedia article on computer science",
        edge_meaning="one article links to the other",
    )


def _read_csv_gz(path: Path) -> list[list[str]]:
    """The rows after the header."""
    try:
        text = read_gzip(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from error
    return list(csv.reader(io.StringIO(text)))[1:]


def _parse_products(folder: Path) -> TextAttributedGraph:
    fields = read_pt(folder / "ogbn-products_subset.pt")
    rows = _read_csv_gz(folder / "ogbn-products_subset.csv.gz")
    labels = _array(fields["y"]).reshape(-1)
    if len(rows) != len(labels):
        raise UserError(f"{folder / 'ogbn-products_subset.csv.gz'}: {len(rows)} rows for {len(labels)} nodes")
    # By the index that the file states: by position, every class after the nameless one would get the wrong name.
    by_index = {int(row[0]): clean(row[1]) for row in _read_csv_gz(folder / "labelidx2productcategory.csv.gz")}
    names = [by_index.get(label, f"label {label + 1}") for label in range(max([*by_index, int(labels.max())]) + 1)]
    return _undirected(
        "products",
        [sentences(*row[2:4]) for row in rows],
        _edges(fields),
        labels=labels,
        label_names=names,
        label_descriptions=_descriptions(names, folder / "products.json"),
        node_splits=_node_splits((fields[f"{split}_mask"] for split in SPLITS), keep=~np.isin(labels, (24, 44, 45))),
        reading=_fields_read(fields, ["y", "edge_index", "adj_t", *(f"{split}_mask" for split in SPLITS)]),
        node_meaning="a product",
        edge_meaning="the two products are often bought together",
    )


def _knowledge_graph(
    name: str,
    folder: Path,
    texts: dict[str, str],
    relation_names: Callable[[Sequence[str]], list[str]],
    **meaning: str,
) -> TextAttributedGraph:
    """Reads train.txt, valid.txt and test.txt.

    The entities are those of ``texts``, followed by those that occur only in the triples.
    """
    files = {"train": "train.txt", "val": "valid.txt", "test": "test.txt"}
    parts = {split: _read_rows(folder / file, 3) for split, file in files.items()}
    triples = [triple for part in parts.values() for triple in part]
    nodes, relations, ends, codes = numbered(triples, texts)
    bounds = np.cumsum([0, *map(len, parts.values())])
    graph = TextAttributedGraph.from_edges(
        name,
        [texts.get(entity, "") for entity in nodes],
        ends,
        directed=True,
        relations=codes,
        relation_names=relation_names(relations),
        edge_splits={split: np.arange(bounds[i], bounds[i + 1]) for i, split in enumerate(SPLITS)},
        node_ids=nodes,
        **meaning,
    )
    sizes = {f"edges_{split}": len(part) for split, part in parts.items()}
    return replace(graph, counts={**graph.counts, **sizes})


def _parse_fb15k237(folder: Path) -> TextAttributedGraph:
    return _knowledge_graph(
        "fb15k237",
        folder,
        {entity: _entity_text(entry) for entity, entry in _read_json(folder / "entity2wikidata.json").items()},
        freebase_relations,
        node_meaning="an entity",
        edge_meaning="the relation written on it holds from the first entity to the second",
    )


def _entity_text(entry: dict[str, Any]) -> str:
    """Label and description, or the alternative names if there is no description."""
    label, description = clean(entry.get("label") or ""), clean(entry.get("description") or "")
    if label == entry.get("wikidata_id"):  # a bare Q-number tells a reader nothing
        label = ""
    others = "; ".join(clean(other) for other in entry.get("alternatives") or ())
    detail = description or (f"also called {others}" if others else "")
    return f"{label}: {detail}" if label and detail else label or detail


def _parse_wn18rr(folder: Path) -> TextAttributedGraph:
    return _knowledge_graph(
        "wn18rr",
        folder,
        {sense: _sense_text(text) for sense, text in _read_rows(folder / "entity2text.txt", 2)},
        lambda names: [readable(name) for name in names],
        node_meaning="a word sense",
        edge_meaning="the relation written on it holds from the first word sense to the second",
    )


def _sense_text(text: str) -> str:
    """``word, definition`` → ``word: definition``; three spaces separate the definitions of senses that share an id."""
    word, _, definition = text.partition(", ")
    detail = " / ".join(filter(None, map(clean, definition.split("   "))))
    return f"{clean(word)}: {detail}" if detail else clean(word)


@dataclass(frozen=True)
class Raw:
    """Where a dataset's raw files are in the hub repository, and how they are read."""

    folder: str
    files: tuple[str, ...]
    parse: Callable[[Path], TextAttributedGraph]


RAW = {
    "cora": Raw("Cora", ("cora.pt", "cora_node.json"), _parse_cora),
    "pubmed": Raw("Pubmed", ("pubmed.pt", "pubmed.json"), _parse_pubmed),
    "wikics": Raw("wikics", ("data.json", "metadata.json", "wikics.json"), _parse_wikics),
    "products": Raw(
        "products",
        (
            "ogbn-products_subset.pt",
            "ogbn-products_subset.csv.gz",
            "labelidx2productcategory.csv.gz",
            "products.json",
        ),
        _parse_products,
    ),
    "fb15k237": Raw("FB15K237", ("entity2wikidata.json", "train.txt", "valid.txt", "test.txt"), _parse_fb15k237),
    "wn18rr": Raw("WN18RR", ("entity2text.txt", "train.txt", "valid.txt", "test.txt"), _parse_wn18rr),
}
