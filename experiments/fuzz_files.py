"""What fuzzing feeds to the readers of files, and what has to hold: graphs in folders, triples and ``.pt``, and tables.

Each target writes the files of one input from a fuzzer's bytes, and raises if a promise is broken.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import torch
from PIL import Image

from experiments.fuzz_texts import Chooser, check_message, pieces, scratch
from ssl4rl.data.graphs import check, read
from ssl4rl.data.graphs.folder import check_folder, load_folder
from ssl4rl.data.images.questions import check_questions, load_questions
from ssl4rl.data.images.tables import list_images_of, list_shards
from ssl4rl.data.readers import read_table
from ssl4rl.data.tables import Problems, find_table
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph

CELLS = pieces(
    "a|b|c|d|1|2|3|01|1.0|nan|| |None|-1|train|val|test|trian|a text|Theory|&amp;|=1+1|\x00|�|ü|é|\u202e|1e999|"
    '[1, 2]|"|,|\n|\r'
)
COLUMNS = pieces(
    "id|text|title|abstract|label|split|kind|source|target|relation|name|ID|Label|:ID|title:string|node_id|head|"
    "tail|Type|neighbour|| |\ufeffid|label_name|train"
)
VALUES: list[Any] = [
    *(None, True, 0, 1, -1, 2**70, 1.5, float("nan"), float("inf"), b"\xff", [1], {"a": 1}, "a", "b", "", "nan", "1"),
]
SETTINGS = [
    *pieces(
        "text: |label: |id: |directed: |mask: |node: |source: |split: |title|'{title}. {a}'|'{title}'|'{'|true|1|no|"
        "~|\n|&a [|*a|]|{|}|2001-13-45|: |- "
    ),
    "9" * 5000,
]


def place(name: str) -> Path:
    """An empty folder."""
    folder = scratch() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def encoded(text: str) -> bytes:
    """The text as bytes; a lone surrogate of the range that Python gives to undecodable bytes becomes such a byte."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def write_table(choose: Chooser, folder: Path, stem: str, usual: list[str]) -> None:
    """A table of one of the formats, whole or damaged."""
    columns = usual if choose.below(3) else [choose.pick(COLUMNS) for _ in range(1 + choose.below(4))]
    kind = choose.below(6)
    if kind < 3:
        lines = [",".join(columns)]
        for _ in range(choose.below(8)):
            lines.append(
                ",".join(choose.pick(CELLS) for _ in range(len(columns) if choose.below(8) else choose.below(5)))
            )
        end = choose.pick(["\n", "\r\n", "\n\n"])
        (folder / f"{stem}.csv").write_bytes(b"\xef\xbb\xbf" * choose.below(2) + encoded(end.join(lines)))
    elif kind < 5:
        rows = [json.dumps({c: _json_value(choose) for c in columns}) for _ in range(choose.below(8))]
        rows += [choose.text([*CELLS, "[" * 50, "{", "}", ":"], 6)] if choose.below(8) == 0 else []
        (folder / f"{stem}.jsonl").write_bytes(encoded("\n".join(rows)))
    else:
        data = {column: [choose.pick(VALUES[6:] if n else VALUES) for n in range(3)] for column in columns}
        (folder / f"{stem}.parquet").write_bytes(damaged(choose, _parquet(data)))


def _json_value(choose: Chooser) -> Any:
    value = choose.pick([*VALUES, *CELLS])
    return str(value) if isinstance(value, bytes) else value


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    """A parquet file; a column whose values have several types becomes text."""
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError, TypeError, UnicodeEncodeError):
            arrays[name] = pyarrow.array([ascii(value) for value in values])
    written = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), written)
    return written.getvalue()


def damaged(choose: Chooser, content: bytes) -> bytes:
    """Bytes with up to three of them changed, or cut off; most often as they are."""
    kind = choose.below(8)
    if kind == 0 and content:
        return content[: choose.below(65_536) % len(content)]
    if kind == 1 and content:
        changed = bytearray(content)
        for _ in range(1 + choose.below(3)):
            changed[choose.below(65_536) % len(changed)] ^= 1 + choose.below(255)
        return bytes(changed)
    return content


def check_graph(graph: TextAttributedGraph) -> None:
    """What every graph keeps."""
    assert len(graph.texts) == graph.num_nodes, "texts and nodes differ in number"
    for text in graph.texts:
        text.encode("utf-8")
    ends = graph.edge_index
    assert not ends.size or (ends.min() >= 0 and ends.max() < graph.num_nodes), "an edge to a node that is not there"


def graph_folder(data: bytes) -> None:
    """A folder is read, or refused in one line; of a table that is read no row is missing."""
    choose, folder = Chooser(data), place("graph")
    write_table(choose, folder, "nodes", ["id", "text", "label", "split"][: 2 + choose.below(3)])
    write_table(choose, folder, "edges", ["source", "target", "relation"][: 2 + choose.below(2)])
    if choose.below(3) == 0:
        (folder / "dataset.yaml").write_bytes(encoded(choose.text(SETTINGS, 10)))
    report = check_folder(folder)
    try:
        graph = load_folder(folder)
    except UserError as error:
        check_message(error)
        assert report.problems, "validate finds no problem in a folder that cannot be loaded"
        return
    assert not report.problems, "a folder with problems is loaded"
    check_graph(graph)
    nodes, edges = (read_table(find_table(folder, stem), Problems(strict=True)) for stem in ("nodes", "edges"))
    assert len(nodes.rows) == graph.num_nodes, "a node is missing"
    dropped = graph.counts["self_loops"] + graph.counts["duplicates"]
    assert len(edges.rows) == graph.num_edges + dropped, "an edge is missing"


TRIPLES = pieces("a|b|c|likes|http://e.org/p/q|\t|\t|\t|\n|\n|\r\n| |\ufeff|#|\x00|ü")


def triples(data: bytes) -> None:
    """A folder of triples is read, or refused in one line."""
    choose, folder = Chooser(data), place("triples")
    names = ["train.txt", "valid.txt", "test.txt", "entity2text.txt", "relation2text.txt", "train.tsv", "dev.txt"]
    for name in names[: 1 + choose.below(len(names))]:
        columns = 2 if "2text" in name else 3
        rows = ["\t".join(choose.pick(TRIPLES[:5]) for _ in range(columns)) for _ in range(choose.below(6))]
        text = choose.pick(["\n", "\r\n"]).join(rows) + (choose.text(TRIPLES, 8) if choose.below(3) == 0 else "")
        (folder / name).write_bytes(damaged(choose, encoded(text)))
    if choose.below(4) == 0:
        (folder / "dataset.yaml").write_bytes(encoded(choose.text(SETTINGS, 6)))
    check_read(folder)


def check_read(path: Path) -> None:
    """Reading and checking agree, and what is read is a graph."""
    report = check(str(path))
    try:
        graph = read(str(path))
    except UserError as error:
        check_message(error)
        assert report.problems, "validate finds no problem in what cannot be loaded"
        return
    assert not report.problems, "what has problems is loaded"
    check_graph(graph)


def _tensors(choose: Chooser) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: torch.tensor([[0, 1, 2], [1, 2, 0]]),
        lambda: torch.tensor([choose.below(256) - 128 for _ in range(choose.below(8))], dtype=torch.long),
        lambda: torch.tensor([[choose.below(9) - 2 for _ in range(4)] for _ in range(choose.below(4))]),
        lambda: torch.rand(choose.below(5), choose.below(5)),
        lambda: torch.tensor(float("nan")),
        lambda: torch.zeros(3, dtype=torch.bool),
        lambda: torch.eye(3).to_sparse(),
        lambda: [choose.pick(CELLS) for _ in range(choose.below(6))],
        lambda: choose.pick(VALUES),
        lambda: {choose.pick(COLUMNS): choose.pick(VALUES)},
        lambda: torch.zeros(0, dtype=torch.complex64),
        lambda: torch.tensor([[0, 1], [1, 2]], dtype=torch.float16),
    ]
    return choose.pick(kinds)()


FIELDS = pieces(
    "edge_index|raw_texts|x|y|train_mask|val_mask|test_mask|num_nodes|edge_attr|label_names|adj_t|edge_type|"
    "node_type|train_idx|relation_names|edge_texts|split_idx"
)


def pt(data: bytes) -> None:
    """A ``.pt`` file is read, or refused in one line."""
    choose = Chooser(data)
    path = scratch() / "graph.pt"
    content: Any = {"edge_index": torch.tensor([[0, 1, 2], [1, 2, 0]]), "raw_texts": ["a", "b", "c"]}
    for _ in range(choose.below(5)):
        content[choose.pick(FIELDS)] = _tensors(choose)
    content = choose.pick([content, content, content, (content, None), [content, content], [], (), _tensors(choose)])
    written = io.BytesIO()
    torch.save(content, written, _use_new_zipfile_serialization=bool(choose.below(4)))
    path.write_bytes(damaged(choose, written.getvalue()))
    check_read(path)


@cache
def _png() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 90, 160)).save(written, "PNG")
    return written.getvalue()


QUESTION_COLUMNS = pieces("index|question|A|B|C|answer|image|hint|category|split|image_path")


def tables(data: bytes) -> None:
    """A table of questions or images, TSV or parquet, is read, or refused in one line."""
    choose, folder = Chooser(data), place("tables")
    os.environ["SSL4RL_HOME"] = str(folder / "home")
    columns = (
        QUESTION_COLUMNS[:7] if choose.below(4) else [choose.pick(QUESTION_COLUMNS) for _ in range(choose.below(9))]
    )
    rows = [[_question_cell(choose, name, number) for name in columns] for number in range(choose.below(5))]
    if choose.below(2):
        path = folder / "table.tsv"
        lines = ["\t".join(columns), *("\t".join(map(_as_text, row)) for row in rows)]
        path.write_bytes(damaged(choose, encoded("\n".join(lines))))
    else:
        path = folder / "table.parquet"
        by_name = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
        path.write_bytes(damaged(choose, _parquet(by_name)))
    readers: list[Callable[[], object]] = [
        lambda: load_questions(str(path)),
        lambda: list_images_of(path),
        lambda: list_shards(folder, ["table.parquet"]) if path.suffix == ".parquet" else None,
    ]
    check_questions(str(path))
    for reader in readers:
        try:
            reader()
        except UserError as error:
            check_message(error)


def _question_cell(choose: Chooser, name: str, number: int) -> Any:
    odd = choose.below(12) == 0
    if odd:
        return choose.pick([*VALUES, *CELLS])
    if name == "image":
        return choose.pick(
            [_png(), _png(), _png()[:40], b"", str(number), "1", "a.png", "../../etc/passwd.png", [_png()]]
        )
    usual = {"index": str(number + 1), "question": "which?", "A": "yes", "B": "no", "C": "", "answer": "A"}
    return usual.get(name, "")


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json.dumps([base64.b64encode(each).decode() for each in value]) if value == [_png()] else str(value)
