"""Knowledge graphs as triples: ``train.txt``, ``valid.txt`` and ``test.txt``, each line a head, a relation and a tail.

Texts of entities and names of relations come from ``entity2textlong.txt`` (or ``entity2text.txt``) and
``relation2text.txt``, as in KG-BERT's folders; where there are none, the names, made readable, are the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ssl4rl.data.graphs.settings import MEANING_WITHOUT_MASKS, meanings, read_settings
from ssl4rl.data.text import clean, present, readable
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import SPLITS
from ssl4rl.tally import Tally, of_folder

PARTS = {"train": ("train",), "val": ("valid", "val", "dev"), "test": ("test",)}
"""Names of the files of each split, without their ending; the first one that exists is read."""

ENDINGS = (".txt", ".tsv")

ENTITY_TEXTS = ("entity2textlong.txt", "entity2text.txt")
RELATION_TEXTS = ("relation2text.txt",)


def holds_triples(folder: Path) -> bool:
    """Whether a folder has a train.txt whose first line is three texts, separated by tabs."""
    path = _part(folder, PARTS["train"])
    if path is None:
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            return len(file.readline().rstrip("\r\n\t ").split("\t")) == 3
    except (OSError, UnicodeDecodeError):
        return False


def read_triples(folder: Path) -> TextAttributedGraph:
    """The graph of a folder of triples, directed, with the files as its splits of edges.

    Raises:
        UserError: if a line is not a triple, or an entity has two texts; the message names it.
    """
    settings = read_settings(folder / "dataset.yaml", MEANING_WITHOUT_MASKS)
    files = {split: path for split, stems in PARTS.items() if (path := _part(folder, stems)) is not None}
    parts = {split: list(_rows(path, 3)) for split, path in files.items()}
    text_file, relation_file = (_first(folder, names) for names in (ENTITY_TEXTS, RELATION_TEXTS))
    texts, relation_texts = _texts(text_file), _texts(relation_file)
    triples = [triple for part in parts.values() for triple in part]
    if not triples:
        raise UserError(f"{folder}: its files of triples are empty, so the graph has no edges")
    nodes, relations, ends, codes = numbered(triples, texts)
    rest: dict[str, Any] = meanings(settings)
    if len(parts) > 1:
        rest["edge_splits"] = _splits({split: len(part) for split, part in parts.items()})
    graph = TextAttributedGraph.from_edges(
        settings.get("name") or folder.resolve().name,
        [clean(texts.get(entity, "")) if texts else name_of(entity) for entity in nodes],
        ends,
        directed=settings.get("directed", True),
        relations=codes,
        relation_names=_distinct(
            [clean(relation_texts.get(name, "")) or name_of(name) for name in relations], relations
        ),
        node_ids=nodes,
        **rest,
    )
    reading = [of_folder(folder, [*files.values(), text_file, relation_file, folder / "dataset.yaml"])]
    if relation_file:
        unknown = len(relation_texts.keys() - set(relations))
        skipped = {"names of relations that no triple has": unknown}
        reading.append(Tally.of(f"relations in {relation_file.name}", len(relation_texts), skipped))
    counts = dict(graph.counts) if texts else {**graph.counts, "texts_from_ids": len(nodes)}
    return replace(graph, counts=counts, reading=[*reading, *graph.reading])


def numbered(triples: Sequence[Sequence[str]], known: Iterable[str]) -> tuple[list[str], list[str], IntArray, IntArray]:
    """Entities (those ``known``, then others by first mention) and relations in order, ends [2, E], relations [E]."""
    nodes = {entity: number for number, entity in enumerate(known)}
    relations: dict[str, int] = {}
    for head, relation, tail in triples:
        nodes.setdefault(head, len(nodes))
        nodes.setdefault(tail, len(nodes))
        relations.setdefault(relation, len(relations))
    ends = np.array([(nodes[head], nodes[tail]) for head, _, tail in triples], dtype=np.int64).reshape(-1, 2).T
    codes = np.array([relations[relation] for _, relation, _ in triples], dtype=np.int64)
    return list(nodes), list(relations), ends, codes


def name_of(identity: str) -> str:
    """A readable name from an id: the last part of a URI, without underscores.

    >>> name_of("http://ex.org/p/part_of"), name_of("acquired_abnormality"), name_of("/m/027rn")
    ('part of', 'acquired abnormality', '/m/027rn')
    """
    if identity.strip("<>").startswith(("http://", "https://")):
        identity = unquote(identity.strip("<>").rstrip("/").replace("#", "/").rpartition("/")[2])
    return readable(identity)


def _distinct(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The names, or the ids themselves where two would be called the same."""
    uses = Counter(names)
    return [name if uses[name] == 1 else each for name, each in zip(names, ids, strict=True)]


def _splits(sizes: dict[str, int]) -> dict[str, IntArray]:
    """Indices of the triples in each split: one after the other, in the order of ``sizes``."""
    ends = np.cumsum([sizes.get(split, 0) for split in SPLITS])
    return {split: np.arange(end - sizes.get(split, 0), end) for split, end in zip(SPLITS, ends, strict=True)}


def _part(folder: Path, stems: Sequence[str]) -> Path | None:
    paths = (folder / f"{stem}{ending}" for stem in stems for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _texts(path: Path | None) -> dict[str, str]:
    """The text of each name in a file; empty where it gives none."""
    texts: dict[str, str] = {}
    for name, text in _rows(path, 2) if path else ():
        if texts.setdefault(name, text) != text:
            raise UserError(f"{path}: {name!r} has two texts, {texts[name][:40]!r} and {text[:40]!r}; keep one")
    return texts


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    """The rows of a file, separated by tabs; a tab at the end is no further cell, and a text may be missing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        cells = [present(cell.strip()) for cell in line.rstrip("\r\t ").split("\t")]
        if columns == 2 and len(cells) == 1:
            cells.append("")
        if len(cells) != columns:
            raise UserError(f"{path}, row {number}: expected {columns} texts separated by tabs, got {len(cells)}")
        if not cells[0] or (columns == 3 and not all(cells)):
            raise UserError(f"{path}, row {number}: a name is missing")
        yield cells
