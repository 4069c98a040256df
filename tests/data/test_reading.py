"""Of whatever a loader finds, what it read and what it skipped add up: every loader is registered here."""

import base64
import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch_geometric.data import Data, HeteroData

import ssl4rl
from ssl4rl.build import find_kind
from ssl4rl.data.graphs import GRAPH
from ssl4rl.data.graphs.convert import from_networkx, from_pyg
from ssl4rl.data.images import CLASSES, IMAGES, QUESTIONS
from ssl4rl.data.images.tables import _arrow_rows, unpacked
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.runs import Run, UsedSource
from ssl4rl.tally import Tally

Made = tuple[Any, dict[str, int]]
"""What a loader read (or a path and its kind), and how many of each thing there are in what was written."""
LOADERS: dict[str, Callable[[Path], Made]] = {}

TEXTS = ["zero", "one", "two", "three"]
EDGES = torch.tensor([[0, 1, 1, 2, 3, 3], [1, 0, 2, 3, 3, 0]])  # one is reversed, one a self-loop


def loader(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
    LOADERS[make.__name__] = make
    return make


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 90, 160)).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, **files: str | bytes) -> Path:
    """Files by name, in which two underscores stand for a slash and one at the end for nothing."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


@loader
def tables_of_a_graph(root: Path) -> Made:
    nodes = "id,text,label,split,year\na,x,k,train,1\nb,,k,test,2\nc,nan,,,3\nd,z,l,val,4\n"
    edges = "source,target,weight\na,b,1\nb,a,1\na,a,1\nb,c,1\nc,d,2\n"
    write(root, nodes_DOT_csv=nodes, edges_DOT_csv=edges, README_DOT_md="x", dataset_DOT_yaml="node: a thing")
    counted = {"files": 4, "columns of nodes.csv": 5, "columns of edges.csv": 3, "rows of nodes.csv": 4}
    return root, {**counted, "rows of edges.csv": 5, "given edges": 5, "texts of nodes": 4, "labels of nodes": 4}


@loader
def jsonl_and_parquet_of_a_graph(root: Path) -> Made:
    rows = [{"id": number, "text": text, "tags": ["x"]} for number, text in enumerate(TEXTS)]
    write(root, nodes_DOT_jsonl="\n".join(map(json.dumps, rows)) + "\n\n")
    pq.write_table(pa.table({"source": [0, 1, 2], "target": [1, 2, 3], "vector": [[1.0]] * 3}), root / "edges.parquet")
    counted = {"files": 2, "columns of nodes.jsonl": 3, "columns of edges.parquet": 3}
    return root, {**counted, "rows of nodes.jsonl": 4, "rows of edges.parquet": 3, "given edges": 3}


@loader
def triples(root: Path) -> Made:
    write(root, train_DOT_txt="a\tr\tb\nb\tr\tc\na\tr\tb\n\n", valid_DOT_txt="c\ts\tc\n", test_DOT_txt="a\ts\tc\n")
    write(root, entity2text_DOT_txt="a\tthe first\nb\nc\tnan\nd\tnobody's\n", entity2id_DOT_txt="4\n")
    write(root, relation2text_DOT_txt="r\tlikes\ns\tsees\nt\tnever\n")
    counted = {"files": 6, "relations in relation2text.txt": 3, "given edges": 5, "texts of nodes": 4}
    return root, {**counted, "rows of train.txt": 3, "rows of valid.txt": 1, "rows of entity2text.txt": 4}


@loader
def pt_file(root: Path) -> Made:
    mask = torch.tensor([True, False, False, False])
    content = {"edge_index": EDGES, "raw_texts": TEXTS, "y": torch.tensor([0, 1, -1, 0]), "x": torch.ones(4, 2)}
    torch.save({**content, "train_mask": mask, "extra": "?"}, root / "g.pt")
    return root / "g.pt", {"fields": 6, "given edges": 6, "labels of nodes": 4, "splits of nodes": 4}


@loader
def pyg_object(root: Path) -> Made:
    return from_pyg(Data(edge_index=EDGES, raw_texts=TEXTS, x=torch.ones(4, 2)), "g"), {"fields": 3, "given edges": 6}


@loader
def hetero_object(root: Path) -> Made:
    data = HeteroData()
    data["paper"].raw_texts, data["author"].num_nodes = TEXTS, 2
    data["paper", "cites", "paper"].edge_index = EDGES
    data["author", "writes", "paper"].edge_index = EDGES[:, :2]
    return from_pyg(data, "g"), {"kinds of nodes": 2, "kinds of edges": 2, "given edges": 6}


@loader
def networkx_object(root: Path) -> Made:
    graph = nx.DiGraph([(0, 1), (1, 0), (2, 2)])
    for node in graph:
        graph.nodes[node].update(text=f"text {node}", age=node)
    nx.set_edge_attributes(graph, 1.0, "weight")
    return from_networkx(graph, "g"), {"attributes of nodes": 2, "attributes of edges": 1, "nodes": 3, "given edges": 3}


@loader
def graphml(root: Path) -> Made:
    graph = nx.Graph([("a", "b"), ("b", "c")])
    nx.set_node_attributes(graph, {node: {"text": node * 3, "age": 1} for node in graph})
    nx.write_graphml(graph, root / "g.graphml")
    return root / "g.graphml", {"attributes of nodes": 2, "nodes": 3, "given edges": 2}


@loader
def table_with_neighbours(root: Path) -> Made:
    rows = 'category,text,label,node_id,neighbour\nA,zero,0,0,"[1, 2]"\nB,one,1,1,[0]\nA,two,0,2,\n'
    return write(root, Children_DOT_csv=rows) / "Children.csv", {"columns of Children.csv": 5, "given edges": 3}


@loader
def ogb(root: Path) -> Made:
    write(
        root, raw__edge_DOT_csv="0,1\n1,2\n2,2\n", mapping__nodeidx2paperid_DOT_csv="node idx,paper id\n0,9\n1,8\n2,7\n"
    )
    (root / "raw" / "node-label.csv").write_text("0\n1\n\n0\n".replace("\n\n", "\n"))
    (root / "raw" / "node-feat.csv.gz").write_bytes(gzip.compress(b"1\n"))
    write(root, titleabs_DOT_tsv="9\tOne\tabout\n8\tTwo\tnan\n5\tOther\tx\n7\tThree\tx\n")
    return root, {"files": 5, "rows of titleabs.tsv": 4, "given edges": 3, "texts of nodes": 3}


@loader
def folder_of_images(root: Path) -> Made:
    write(root, cat__1_DOT_png=png(1), cat__2_DOT_png=png(2), dog__3_DOT_png=png(3)[:-30], dog__4_DOT_png=png(4))
    write(root, notes_DOT_txt="x", dog__5_DOT_heic="x", _DOT_hidden_DOT_png=png(5))
    (root / "linked").symlink_to(root / "cat")
    return root, {"files": 8, "labels of images": 3, "splits of images": 3}


@loader
def index_of_images(root: Path) -> Made:
    write(root, a_DOT_png=png(1), b_DOT_png=png(2), index_DOT_csv="path,label,who\na.png,x,1\nb.png,,2\nc.png,y,3\n")
    return root / "index.csv", {"rows of index.csv": 3, "columns of index.csv": 3, "labels of images": 2}


@loader
def folder_with_metadata(root: Path) -> Made:
    write(
        root,
        a_DOT_png=png(1),
        b_DOT_png=png(2),
        more_DOT_png=png(3),
        metadata_DOT_csv="file_name,label\na.png,x\nb.png,y\n",
    )
    return root, {"rows of metadata.csv": 2, "columns of metadata.csv": 2, "files": 4}


@loader
def folder_with_metadata_of_each_split(root: Path) -> Made:
    write(root, train__a_DOT_png=png(1), test__b_DOT_png=png(2), logo_DOT_png=png(3), labels_DOT_csv="x", note="x")
    write(root, train__metadata_DOT_csv="file_name,label,by\na.png,x,me\nc.png,x,me\n")
    write(root, test__metadata_DOT_jsonl='{"file_name": "b.png", "label": "y"}\n')
    columns = {"columns of train/metadata.csv": 3, "columns of test/metadata.jsonl": 2}
    return root, {"rows of test/metadata.jsonl, train/metadata.csv": 3, **columns, "files": 7}


@loader
def images_of_several_frames(root: Path) -> Made:
    frames = [Image.new("RGB", (32, 24), (shade, 0, 0)) for shade in (10, 90, 200)]
    for kind in ("gif", "tiff", "webp", "png"):
        frames[0].save(root / f"some.{kind}", save_all=True, append_images=frames[1:])
    return write(root, one_DOT_png=png(1)), {"files": 5, "images read in full": 5}


@loader
def parquet_of_images(root: Path) -> Made:
    table = {
        "image": [png(1), png(2), None, b"?"],
        "label": [0.0, None, 1.0, 1.0],
        "url": ["u"] * 4,
        "boxes": [[1]] * 4,
    }
    pq.write_table(pa.table(table), root / "t.parquet")
    return root / "t.parquet", {"rows": 4, "columns of t.parquet": 4, "labels of images": 2}


@loader
def folder_of_shards(root: Path) -> Made:
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": [png(1), png(len(split))]}), root / f"{split}-00000-of-00001.parquet")
    return write(root, README_DOT_md="x"), {"rows": 4, "files": 3}


@loader
def dataset_of_the_hub(root: Path) -> Made:
    batch = pa.record_batch({"image": [png(1), b"", png(2)]})
    listing = unpacked("h", ("hub", str(root)), _arrow_rows("h/train", [batch], "train"), "rows")
    from ssl4rl.data.images.check import find_broken
    from ssl4rl.data.images.files import _image_set

    return _image_set(listing, find_broken(listing)), {"rows": 3}


@loader
def table_of_questions(root: Path) -> Made:
    image = base64.b64encode(png(1)).decode()
    rows = [
        [number, f"q{number}?", "yes", "no", "A", picture, "?"]
        for number, picture in enumerate([image, image, 77, "!!" * 99])
    ]
    with (root / "q.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(
            [["index", "question", "A", "B", "answer", "image", "comment"], *rows]
        )
    return root / "q.tsv", {"rows of q.tsv": 4, "columns of q.tsv": 7}


@loader
def kaggle_and_classes(root: Path) -> Made:
    tree = root / "ILSVRC" / "Data" / "CLS-LOC"
    for number, name in enumerate(("train/n1/a", "train/n2/b", "val/c")):
        write(tree, **{f"{name.replace('/', '__')}_DOT_png": png(number)})
    write(root, LOC_synset_mapping_DOT_txt="n1 one, uno\nn2 two\nn3 three\n")
    write(root, LOC_val_solution_DOT_csv="ImageId,PredictionString\nc,n1 1 2 3 4\nzz,n2 1 2 3 4\n")
    counted = {"files": 5, "rows of LOC_val_solution.csv": 2, "rows of LOC_synset_mapping.txt": 3}
    return CLASSES.load(str(root)), counted


def tallies(made: Any) -> list[Tally]:
    """The tallies of a source; of a path, those that ``info`` prints."""
    if isinstance(made, Path):
        kind = find_kind(str(made))
        made = kind.load(str(made))
        found = [Tally(**each) for each in kind.summarise(made).facts["reading"]]
        assert found[: len(made.reading)] == list(made.reading)
        return found
    return list(made.reading)


@pytest.mark.parametrize("name", LOADERS)
def test_read_and_skipped_are_what_was_found(name: str, tmp_path: Path, home: Path) -> None:
    (tmp_path / "data").mkdir()
    made, counted = LOADERS[name](tmp_path / "data")
    found = {tally.what: tally for tally in tallies(made)}
    for tally in found.values():
        assert tally.read + sum(tally.skipped.values()) == tally.found, tally
        assert all(count > 0 for count in tally.skipped.values())
    # What was written is counted here, not by the loader.
    assert {what: found[what].found for what in counted} == counted


def test_taglas_counts_as_well(samples: Path, home: Path) -> None:
    from ssl4rl.data.graphs.fetch import fetch
    from ssl4rl.data.graphs.taglas_raw import RAW

    for name in RAW:
        graph = fetch(name, samples)
        assert {"given edges"} <= {tally.what for tally in graph.reading}
        assert all(tally.read + sum(tally.skipped.values()) == tally.found for tally in graph.reading)
        assert list(ssl4rl.load(name).reading) == list(graph.reading)  # kept with the converted graph


@pytest.mark.parametrize("kind", SOURCE_KINDS.names())
def test_registered_sources_count_as_well(kind: str) -> None:
    source_kind = SOURCE_KINDS.get(kind)
    facts = source_kind.summarise(source_kind.load(source_kind.default)).facts
    assert all(each["read"] + sum(each["skipped"].values()) == each["found"] for each in facts["reading"])


def test_every_kind_of_source_and_every_layout_is_here() -> None:
    """A new ending or kind has to be added above."""
    from ssl4rl.data.graphs.files import FORMATS
    from ssl4rl.data.images.files import SHARDS, SUFFIXES
    from ssl4rl.data.images.index import METADATA
    from ssl4rl.data.images.questions import TABLES
    from ssl4rl.data.tables import SUFFIXES as TABLES_OF_GRAPHS

    assert {kind.name for kind in (GRAPH, IMAGES, QUESTIONS, CLASSES)} == set(SOURCE_KINDS.names())
    assert {*FORMATS, *METADATA, *SHARDS, *SUFFIXES, *TABLES, *TABLES_OF_GRAPHS} == {
        *(".graphml", ".gexf", ".gml", ".csv", ".tsv", ".jsonl", ".parquet", ".arrow", ".feather"),
        *("metadata.csv", "metadata.jsonl", "metadata.parquet", "index.csv", "index.jsonl", "index.parquet"),
    }


def test_a_run_records_what_was_read(tmp_path: Path, home: Path) -> None:
    (tmp_path / "data").mkdir()
    path, _ = tables_of_a_graph(tmp_path / "data")
    with_more = "".join(f"n{number},text {number},k,train,0\n" for number in range(60))
    (path / "nodes.csv").write_text((path / "nodes.csv").read_text() + with_more)
    ring = "".join(f"n{number},n{(number + step) % 60},1\n" for number in range(60) for step in (1, 2))
    (path / "edges.csv").write_text((path / "edges.csv").read_text() + ring)
    run = Run.create(tmp_path / "run", {})
    run.write_environment([UsedSource.of(ssl4rl.task("link", str(path)))], None, {})
    (source,) = json.loads((tmp_path / "run" / "environment.json").read_text())["sources"]
    by_what = {each["what"]: each for each in source["reading"]}
    assert by_what["given edges"]["skipped"] == {"self-loops": 1, "repeated or reversed edges": 1}
    assert by_what["columns of nodes.csv"]["skipped"] == {"unused columns of nodes.csv (year)": 1}
