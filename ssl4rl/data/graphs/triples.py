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

from ssl4rl.data.graphs.rows import BODIES, ENDS, ID, RELATIONS, TITLES
from ssl4rl.data.graphs.settings import MEANING_WITHOUT_MASKS, meanings, read_settings
from ssl4rl.data.graphs.splits import keep_one
from ssl4rl.data.tables import plain_column
from ssl4rl.data.text import clean, present, readable
from ssl4rl.errors import UserError, listed
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import SPLITS
from ssl4rl.tally import Tally, of_folder

PARTS = {"train": ("train",), "val": ("valid", "val", "dev"), "test": ("test",)}
"""Names of the file of each split, without its ending."""

ENDINGS = (".txt", ".tsv")

ENTITY_TEXTS = ("entity2textlong.txt", "entity2text.txt")
RELATION_TEXTS = ("relation2text.txt",)

HEADERS = {(head, relation, tail) for head, tail in ENDS for relation in RELATIONS}
"""What the columns of triples are called, in lower case, where the first row names them."""
TEXT_HEADERS = {
    (name, text) for name in (*ID, "entity", "entity_id", "relation") for text in ("text", "label", *TITLES, *BODIES)
}
"""The same of the texts of entities and relations."""


def holds_triples(folder: Path) -> bool:
    """Whether a folder has a train.txt whose first line is three texts, separated by tabs."""
    path = train_file(folder)
    if path is None:
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            return len(file.readline().rstrip("\r\n\t ").split("\t")) == 3
    except (OSError, UnicodeDecodeError):
        return False


def train_file(folder: Path) -> Path | None:
    """What would be the training triples of a folder, by its name."""
    return next(iter(_parts(folder, PARTS["train"])), None)


def read_triples(folder: Path) -> TextAttributedGraph:
    """The graph of a folder of triples, directed, with the files as its splits of edges.

    Raises:
        UserError: if a line is not a triple, an entity has two texts, or a split has two files; the message names it.
    """
    settings = read_settings(folder / "dataset.yaml", MEANING_WITHOUT_MASKS)
    files = {split: path for split, stems in PARTS.items() if (path := _part(folder, split, stems)) is not None}
    headers: dict[str, int] = {}
    parts = {split: list(_rows(path, 3, headers)) for split, path in files.items()}
    text_file, relation_file = (_first(folder, names) for names in (ENTITY_TEXTS, RELATION_TEXTS))
    texts, relation_texts = _texts(text_file, headers), _texts(relation_file, headers)
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
    rows = {path.name: len(parts[split]) for split, path in files.items()}
    rows |= {text_file.name: len(texts)} if text_file else {}
    for name, count in rows.items():
        header = headers.get(name, 0)
        reading.append(Tally.of(f"rows of {name}", count + header, {f"header of {name}": header}))
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


def _parts(folder: Path, stems: Sequence[str]) -> list[Path]:
    paths = (folder / f"{stem}{ending}" for stem in stems for ending in ENDINGS)
    return [path for path in paths if path.is_file()]


def _part(folder: Path, split: str, stems: Sequence[str]) -> Path | None:
    """The file of a split; of two, neither may be passed over."""
    paths = _parts(folder, stems)
    if len(paths) > 1:
        raise keep_one(paths[0].name, paths[1].name, split, str(folder))
    return paths[0] if paths else None


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _texts(path: Path | None, headers: dict[str, int]) -> dict[str, str]:
    """The text of each name in a file; empty where it gives none."""
    texts: dict[str, str] = {}
    for name, text in _rows(path, 2, headers) if path else ():
        if texts.setdefault(name, text) != text:
            raise UserError(f"{path}: {name!r} has two texts, {texts[name][:40]!r} and {text[:40]!r}; keep one")
    return texts


def _is_header(path: Path, cells: Sequence[str]) -> bool:
    """Whether the first row of a file names its columns.

    Raises:
        UserError: if it names those of triples in another order.
    """
    names = tuple(map(plain_column, cells))
    if len(names) == 2:
        return names in TEXT_HEADERS
    for header in HEADERS:
        if sorted(names) == sorted(header) and names != header:
            raise UserError(f"{path}: its columns are {listed(cells)}; write them in the order {listed(header)}")
    return names in HEADERS


def _rows(path: Path, columns: int, headers: dict[str, int]) -> Iterator[list[str]]:
    """The rows of a file, separated by tabs; a tab at the end is no further cell, and a text may be missing.

    ``headers`` counts those that are passed over, by the file's name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    first = True
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
        if first and _is_header(path, cells):
            headers[path.name] = 1
        else:
            yield cells
        first = False
