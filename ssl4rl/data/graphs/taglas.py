"""The TAGLAS datasets (Feng et al. 2024, "TAGLAS: An atlas of text-attributed graph datasets"), from their raw files.

Two halves: the registered functions, which read the converted form and need no torch, and the parsers of the raw
files, which ``ssl4rl data fetch`` runs once. A raw file is data from elsewhere: pickles are read with an allow-list of
inert classes, so neither torch_geometric nor torch_sparse is imported.

To add a dataset, write a parser, list it in ``RAW`` with its files, and add a function and its name to the registry.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.store import read_graph
from ssl4rl.data.text import clean, freebase_relations, readable, sentences
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import IntArray, TextAttributedGraph

REPOSITORY = "WFRaain/TAG_datasets"
"""The dataset repository on the Hugging Face hub."""

SPLITS = ("train", "val", "test")


def cora() -> TextAttributedGraph:
    """2,708 machine-learning papers, 7 classes."""
    return read_graph("cora")


def pubmed() -> TextAttributedGraph:
    """19,717 papers on diabetes, 3 classes."""
    return read_graph("pubmed")


def wikics() -> TextAttributedGraph:
    """11,701 Wikipedia articles on computer science, 10 classes."""
    return read_graph("wikics")


def products() -> TextAttributedGraph:
    """54,025 Amazon products, 47 classes (44 of them in the splits)."""
    return read_graph("products")


def fb15k237() -> TextAttributedGraph:
    """14,541 Freebase entities, 237 relations."""
    return read_graph("fb15k237")


def wn18rr() -> TextAttributedGraph:
    """40,943 WordNet word senses, 11 relations."""
    return read_graph("wn18rr")


# ---- reading the raw files ------------------------------------------------------------------------------------------


class _Record:
    """Stands in for every class that a raw pickle may name; only its ``__dict__`` is filled."""


_ALLOWED = [
    "torch_geometric.data.data.Data",
    "torch_geometric.data.data.DataEdgeAttr",
    "torch_geometric.data.data.DataTensorAttr",
    "torch_geometric.data.storage.GlobalStorage",
    "torch_sparse.tensor.SparseTensor",
    "torch_sparse.storage.SparseStorage",
]


def _read_pt(path: Path) -> dict[str, Any]:
    """The fields of a pickled PyG ``Data``."""
    import torch

    try:
        with torch.serialization.safe_globals([(_Record, name) for name in _ALLOWED]):
            data = torch.load(path, map_location="cpu", weights_only=True)
        fields: dict[str, Any] = data if isinstance(data, dict) else data._store._mapping
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} is not a PyG Data file that can be read safely: {reason}") from error
    return dict(fields)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
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
            raise UserError(f"{path}, row {number}: {len(cells)} tab-separated columns, expected {columns}")
        rows.append(cells)
    return rows


def _array(values: Any) -> IntArray:
    return np.asarray(values, dtype=np.int64)


def _edges(fields: dict[str, Any]) -> IntArray:
    """``edge_index`` [2, E], from a field of that name or from ``adj_t`` (torch sparse, or torch_sparse's own class).

    The transpose of a symmetric adjacency is itself, and the graphs here are undirected.
    """
    if fields.get("edge_index") is not None:
        return _array(fields["edge_index"]).reshape(2, -1)
    adjacency = fields["adj_t"]
    if not isinstance(adjacency, _Record):
        return _array(adjacency.to_sparse_coo().coalesce().indices())
    storage = vars(adjacency)["storage"]
    column = _array(storage._col)
    if storage._row is not None:
        return np.stack([_array(storage._row), column])
    degrees = np.diff(_array(storage._rowptr))
    return np.stack([np.repeat(np.arange(len(degrees)), degrees), column])


def _node_splits(masks: Iterable[Any], keep: NDArray[np.bool_] | None = None) -> dict[str, IntArray]:
    """Indices from the masks of train, val and test, each [N], [N, 1] or a list of [N] (the first is used)."""
    splits = {}
    for split, mask in zip(SPLITS, masks, strict=True):
        first = np.asarray(mask[0] if isinstance(mask, list) and np.ndim(mask[0]) else mask, dtype=bool).reshape(-1)
        splits[split] = np.flatnonzero(first if keep is None else first & keep)
    return splits


def _descriptions(names: Sequence[str], path: Path) -> list[str]:
    """The description of each class, found by name; by position where the file's names are other ones."""
    entries = _read_json(path)
    by_name = {readable(entry["name"]).lower(): clean(entry["description"]) for entry in entries}
    if not any(name.lower() in by_name for name in names) and len(entries) == len(names):
        return [clean(entry["description"]) for entry in entries]
    return [by_name.get(name.lower(), "") for name in names]


def _undirected(
    name: str, texts: Sequence[str], edges: IntArray, *, pairs: bool = False, **rest: Any
) -> TextAttributedGraph:
    """Builds the graph; ``counts["edges"]`` is the number in the literature.

    That is the number of directed copies once the adjacency is symmetric, or with ``pairs`` of unordered pairs, in
    both cases with self-loops.
    """
    graph = TextAttributedGraph.from_edges(name, texts, edges, **rest)
    loops = len(np.unique(edges[0, edges[0] == edges[1]]))
    canonical = graph.num_edges * (1 if pairs else 2) + loops
    return replace(graph, counts={**graph.counts, "edges": canonical})


def _papers(folder: Path, name: str, pt: str, classes: str, names: Sequence[str] | None = None) -> TextAttributedGraph:
    """Cora and PubMed; ``names`` of the classes, by default those that the file gives per node."""
    fields = _read_pt(folder / pt)
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
        node_meaning="a paper",
        edge_meaning="one paper cites the other",
    )


def _paper(text: str) -> str:
    """The raw texts are ``title : abstract``; they carry a CSV file's doubled quotes."""
    title, separator, abstract = text.replace('""', '"').partition(" : ")
    return sentences(title.rstrip(" ,"), abstract) if separator else clean(title)


def _parse_cora(folder: Path) -> TextAttributedGraph:
    return _papers(folder, "cora", "cora.pt", "cora_node.json")


def _parse_pubmed(folder: Path) -> TextAttributedGraph:
    return _papers(folder, "pubmed", "pubmed.pt", "pubmed.json", ("Experimental", "Type 1", "Type 2"))


def _parse_wikics(folder: Path) -> TextAttributedGraph:
    data, about = _read_json(folder / "data.json"), _read_json(folder / "metadata.json")
    links = data["links"]
    edges = np.array([(source, target) for source, row in enumerate(links) for target in row], dtype=np.int64)
    names = [clean(about["labels"][str(label)]) for label in range(len(about["labels"]))]
    return _undirected(
        "wikics",
        [sentences(readable(node["title"]), " ".join(node["tokens"])) for node in about["nodes"]],
        edges.reshape(-1, 2).T,
        pairs=True,
        labels=_array(data["labels"]),
        label_names=names,
        label_descriptions=_descriptions(names, folder / "wikics.json"),
        node_splits=_node_splits([data["train_masks"], data["val_masks"], data["test_mask"]]),
        node_meaning="a Wikipedia article on computer science",
        edge_meaning="one article links to the other",
    )


def _read_csv_gz(path: Path) -> list[list[str]]:
    """The rows after the header."""
    try:
        with gzip.open(path) as file:
            text = file.read().decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a gzipped UTF-8 file: {error}") from error
    return list(csv.reader(io.StringIO(text)))[1:]


def _parse_products(folder: Path) -> TextAttributedGraph:
    fields = _read_pt(folder / "ogbn-products_subset.pt")
    rows = _read_csv_gz(folder / "ogbn-products_subset.csv.gz")
    labels = _array(fields["y"]).reshape(-1)
    if len(rows) != len(labels):
        raise UserError(f"{folder / 'ogbn-products_subset.csv.gz'}: {len(rows)} rows for {len(labels)} nodes")
    # Names go by the index that the file states: counting rows would shift every class above the nameless one.
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
    """From train.txt, valid.txt and test.txt; entities are those of ``texts``, then those met in the triples."""
    files = {"train": "train.txt", "val": "valid.txt", "test": "test.txt"}
    parts = {split: _read_rows(folder / file, 3) for split, file in files.items()}
    triples = [triple for part in parts.values() for triple in part]
    entities = list(dict.fromkeys([*texts, *(entity for head, _, tail in triples for entity in (head, tail))]))
    relations = list(dict.fromkeys(relation for _, relation, _ in triples))
    node = {entity: number for number, entity in enumerate(entities)}
    kind = {relation: number for number, relation in enumerate(relations)}
    bounds = np.cumsum([0, *map(len, parts.values())])
    graph = TextAttributedGraph.from_edges(
        name,
        [texts.get(entity, "") for entity in entities],
        np.array([(node[head], node[tail]) for head, _, tail in triples], dtype=np.int64).reshape(-1, 2).T,
        directed=True,
        relations=_array([kind[relation] for _, relation, _ in triples]),
        relation_names=relation_names(relations),
        edge_splits={split: np.arange(bounds[i], bounds[i + 1]) for i, split in enumerate(SPLITS)},
        node_ids=entities,
        **meaning,
    )
    given = {f"edges_{split}": len(part) for split, part in parts.items()}
    return replace(graph, counts={**graph.counts, **given})


def _parse_fb15k237(folder: Path) -> TextAttributedGraph:
    return _knowledge_graph(
        "fb15k237",
        folder,
        {entity: _entity_text(about) for entity, about in _read_json(folder / "entity2wikidata.json").items()},
        freebase_relations,
        node_meaning="an entity",
        edge_meaning="the relation written on it holds from the first entity to the second",
    )


def _entity_text(about: dict[str, Any]) -> str:
    """Label and description, or the alternative names where there is no description."""
    label, description = clean(about.get("label") or ""), clean(about.get("description") or "")
    if label == about.get("wikidata_id"):  # a bare Q-number says nothing to a reader
        label = ""
    others = "; ".join(clean(other) for other in about.get("alternatives") or ())
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
    """``word, definition`` → ``word: definition``; three spaces part the definitions of senses that share an id."""
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
