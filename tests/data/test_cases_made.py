"""Kinds of input that failed once, each made anew here: what is right for it, and for others of its kind."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import ssl4rl
from ssl4rl.cli.data import app
from ssl4rl.data.graphs import GRAPH
from ssl4rl.data.graphs.convert import from_networkx, from_pyg
from ssl4rl.data.images import CLASSES, IMAGES, QUESTIONS
from ssl4rl.errors import UserError
from ssl4rl.source import describe_broken

pytestmark = pytest.mark.usefixtures("home")


def validated(path: object, *options: str) -> dict:
    result = CliRunner().invoke(app, ["validate", str(path), "--json", *options])
    assert result.exit_code in (0, 2), result.output
    return json.loads(result.stdout)


def warned(path: Path) -> list[str]:
    """The warnings about images, without trying all tasks."""
    return IMAGES.check(str(path)).summary.facts["warnings"]


def graph(path: Path, texts: list[str], edges: list[tuple[int, int]], **columns: list) -> Path:
    path.mkdir()
    with (path / "nodes.csv").open("w", newline="") as file:
        rows = zip(range(len(texts)), texts, *columns.values(), strict=True)
        csv.writer(file).writerows([("id", "text", *columns), *rows])
    with (path / "edges.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("source", "target"), *edges])
    return path


def ring(count: int) -> list[tuple[int, int]]:
    return [(node, (node + step) % count) for node in range(count) for step in (1, 2, 5)]


def words(count: int) -> list[str]:
    return [f"text number {node} about subject {node % 7} and thing {node * 31 % 97}" for node in range(count)]


def image(shade: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def photos(root: Path, names: list[str]) -> Path:
    for shade, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(image(shade, "JPEG" if name.endswith("jpg") else "PNG"))
    return root


# v01: class folders that are links.


def test_linked_class_folders_are_followed(tmp_path):
    photos(tmp_path / "store", [f"n{number}/{name}.png" for number in range(3) for name in "abcdef"])
    view = tmp_path / "view"
    view.mkdir()
    for number in range(3):
        (view / f"class{number}").symlink_to(tmp_path / "store" / f"n{number}")
    found = ssl4rl.load(str(view), kind="images")
    assert len(found) == 18 and list(found.label_names) == ["class0", "class1", "class2"] and not found.passed_over
    assert ssl4rl.build.find_kind(str(view)).name == "images"


def test_links_that_lead_in_circles_end(tmp_path):
    root = photos(tmp_path / "mine", ["cat/a.png", "dog/b.png"])
    (root / "cat" / "up").symlink_to(root)  # to a folder around it
    (root / "again").symlink_to(root / "dog")  # to what is read anyway
    other = photos(tmp_path / "other", ["c.png"])
    (other / "back").symlink_to(root)
    (root / "one").symlink_to(other)
    (root / "two").symlink_to(other)  # twice the same
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    report = IMAGES.check(str(root))
    assert report.summary.facts["num_images"] == 3
    assert report.skipped == {"linked folders": 4, "broken or missing images": 1}
    assert "no such file" in report.problems[0]


# v02: photos in formats that are not read.


@pytest.mark.parametrize("suffix", ["HEIC", "heif", "avif", "dng"])
def test_photos_that_cannot_be_read_are_named_as_such(tmp_path, suffix):
    root = tmp_path / "phone"
    root.mkdir()
    for number in range(3):
        (root / f"IMG_{number}.{suffix}").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    report = validated(root)
    assert report["kind"] == "images" and not report["valid"]
    assert f"only {suffix.upper()} such as IMG_0.{suffix} (convert them to JPEG or PNG)" in report["problems"][0]
    (root / "ok.png").write_bytes(image(1))
    assert validated(root)["skipped"] == {f"{suffix.upper()} photos, which are not read": 3}


def test_a_photo_under_a_wrong_name_is_called_what_it_is(tmp_path):
    root = photos(tmp_path / "mine", ["a.jpg", "b.jpg"])
    for name, content, kind in (
        ("heic.jpg", b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
        ("avif.png", b"\0\0\0\x18ftypavif" + bytes(100), "AVIF"),
        ("page.jpg", b"<!DOCTYPE html><html>not found</html>", "HTML"),
        ("drawing.png", b"<?xml version='1.0'?><svg></svg>", "SVG"),
        ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ):
        (root / name).write_bytes(content)
        (problem,) = IMAGES.check(str(root)).problems
        assert name in problem and kind in problem, problem
        (root / name).unlink()


# v04, v10: broken images among many.


def test_broken_images_are_counted_before_anything_runs(tmp_path):
    root = photos(tmp_path / "mine", [f"p{number:03}.jpg" for number in range(100)])
    for number, content in ((14, image(14, "JPEG")[:-300]), (50, b""), (69, b"not an image")):
        (root / f"p{number:03}.jpg").write_bytes(content)
    report = validated(root)
    assert [problem.split(" is ")[0][-8:] for problem in report["problems"]] == ["p014.jpg", "p050.jpg", "p069.jpg"]
    assert report["skipped"] == {"broken or missing images": 3} and report["summary"]["num_images"] == 97
    images = ssl4rl.load(str(root), kind="images")
    assert "3 of 100 in mine cannot be read and are passed over" in describe_broken(images, 0.05)[0]
    with pytest.raises(UserError, match=r"more than max_broken=0\.01"):
        describe_broken(images, 0.01)


# g13, g16, g21 and others that carry no meaning.

EVERY = {"attribute", "neighbor", "link", "direction", "context", "path", "odd", "cloze", "order"}


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        (2, [(0, 1)]),
        (12, [(0, node) for node in range(1, 12)]),
        (8, [(a, b) for a in range(8) for b in range(a)]),
        (3, [(0, 1), (1, 2), (2, 0)]),
        (6, [(0, 1), (2, 3), (4, 5)]),
    ],
    ids=["two nodes", "star", "complete", "triangle", "pairs"],
)
def test_a_graph_that_is_too_small_or_too_regular_says_why(tmp_path, nodes, edges):
    report = validated(graph(tmp_path / "g", [f"text {node}" for node in range(nodes)], edges))
    assert report["valid"] and set(report["tasks"]) >= EVERY
    assert all(use["usable"] or use["reason"] for use in report["tasks"].values())
    assert not any(report["tasks"][name]["usable"] for name in ("attribute", "neighbor", "link", "path"))
    assert any(f"nodes: {nodes};" in warning for warning in report["warnings"])
    assert "has no labels" in report["benchmarks"]["node"]["reason"]


def test_of_each_task_and_benchmark_the_distinct_items_are_counted(tmp_path):
    labels = [f"class {node % 3}" for node in range(200)]
    report = validated(graph(tmp_path / "g", words(200), ring(200), label=labels))
    use = report["tasks"]["link"]
    assert use["usable"] and use["distinct"]["train"] == 12 and 6 < use["distinct"]["val"] <= 12
    graph_read = ssl4rl.load(str(tmp_path / "g"))
    for name in ("node", "link"):
        asked = ssl4rl.benchmark(name, graph_read)
        assert report["benchmarks"][name] == {"usable": True, "reason": "", "distinct": {"test": asked.num_questions}}
    assert "no relations" in report["benchmarks"]["relation"]["reason"] and report["warnings"] == []


@pytest.mark.parametrize("empty", ["", " ", "nan", "<NA>", "NaT", "\t"])
def test_a_graph_without_texts_is_warned_of_and_refused(tmp_path, empty):
    report = validated(graph(tmp_path / "g", [empty] * 60, ring(60)))
    assert report["summary"]["empty_texts"] == 60 and "no node has a text" in report["warnings"][0]
    assert not any(use["usable"] for use in [*report["tasks"].values(), *report["benchmarks"].values()])
    with pytest.raises(UserError, match="no nodes with a text"):
        ssl4rl.task("link", str(tmp_path / "g"))


def test_repeated_texts_are_named(tmp_path):
    texts = [text if node % 2 else "Untitled" for node, text in enumerate(words(60))]
    path = graph(tmp_path / "g", texts, ring(60))
    assert "30 of 60 nodes have a text that others have too" in validated(path)["warnings"][0]
    same = graph(tmp_path / "same", ["Untitled"] * 200, ring(200))
    with pytest.raises(UserError, match="repeated texts"):
        ssl4rl.task("attribute", str(same), level="easy").example(0)


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (["only"] * 60, "there is one class, 'only'"),
        ([f"Place {node}" for node in range(60)], "no class has two nodes"),
        (["a"] * 30 + ["b"] * 29 + ["c"], "1 of 3 classes have a single node"),
    ],
)
def test_classes_that_mean_nothing_are_warned_of(tmp_path, labels, warning):
    report = validated(graph(tmp_path / "g", words(60), ring(60), label=labels))
    assert any(warning in each for each in report["warnings"])
    shown = CliRunner().invoke(app, ["info", str(tmp_path / "g")]).stdout
    assert f"warning: {warning}" in shown


def test_a_folder_around_the_class_folders_is_found_out(tmp_path):
    names = [f"images/{kind}/{name}.png" for kind in ("cat", "dog") for name in "abcdefghijk"]
    (warning,) = [each for each in warned(photos(tmp_path / "mine", names)) if "label" in each]
    assert "all images have the label 'images'" in warning and "around others (cat, dog); give that folder" in warning
    inner = validated(tmp_path / "mine" / "images")
    assert inner["summary"]["labels"] == {"cat": 11, "dog": 11}
    assert all("scores on it rest on so few" in each for each in inner["warnings"])
    assert inner["benchmarks"]["imagenet"]["usable"]


def test_images_that_mean_little_are_warned_of(tmp_path):
    root = tmp_path / "same"
    root.mkdir()
    for number in range(30):
        (root / f"{number}.png").write_bytes(image(0))
    assert "all images are the same one" in warned(root)
    names = [f"{number}/a.png" for number in range(30)]
    assert any("no label has two images" in each for each in warned(photos(tmp_path / "names", names)))
    assert "images: 3;" in warned(photos(tmp_path / "few", ["a.png", "b.png", "c.png"]))[0]


def test_questions_that_mean_little_are_warned_of(question_table):
    path = question_table(*[{"C": "yes", "D": "no"}] * 20)
    warnings = validated(path)["warnings"]
    assert any("20 of 20 questions have an option twice" in each for each in warnings)
    assert any("A is right in 20 of 20 questions" in each for each in warnings)
    unanswered = validated(question_table(*[{"answer": ""}] * 20, name="none.tsv"))
    assert unanswered["warnings"] == [
        "no question has an answer: replies can be written for submission, and get no score"
    ]


# Missing values are missing, whatever reads them.


def test_gaps_of_python_numpy_and_pandas_are_gaps(tmp_path):
    import networkx as nx
    import pandas as pd
    import torch
    from torch_geometric.data import Data

    gaps = [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, "", "nan", "<NA>"]
    source = nx.cycle_graph(len(gaps) + 1)
    for node, gap in enumerate(["a text", *gaps]):
        source.nodes[node].update(text=gap, label=gap if node else "x")
    found = from_networkx(source, "g")
    assert int(found.has_text.sum()) == 1 and list(found.label_names) == ["x"]
    edges = torch.tensor([[node, node + 1] for node in range(len(gaps))]).T
    found = from_pyg(Data(edge_index=edges, raw_texts=["a text", *gaps], num_nodes=len(gaps) + 1), "g")
    assert int(found.has_text.sum()) == 1


def test_gaps_in_parquet_jsonl_and_csv(tmp_path):
    import pandas as pd

    columns = {"id": [0, 1, 2, 3], "text": ["a", None, "nan", ""], "label": [1.0, None, 2.0, float("nan")]}
    edges = pd.DataFrame({"source": [0, 1, 2], "target": [1, 2, 3]})
    for suffix in ("csv", "jsonl", "parquet"):
        folder = tmp_path / suffix
        folder.mkdir()
        for stem, frame in (("nodes", pd.DataFrame(columns)), ("edges", edges)):
            path = folder / f"{stem}.{suffix}"
            if suffix == "csv":
                frame.to_csv(path, index=False)
            elif suffix == "jsonl":
                frame.to_json(path, orient="records", lines=True)
            else:
                frame.to_parquet(path)
        facts = GRAPH.check(str(folder)).summary.facts
        assert (facts["empty_texts"], facts["unlabelled_nodes"], facts["label_names"]) == (3, 2, ["1", "2"]), suffix


def test_gaps_in_labels_of_images(tmp_path):
    table = {"image": [image(n) for n in range(4)], "label": [0.0, None, float("nan"), 1.0]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert IMAGES.check(str(tmp_path / "t.parquet")).summary.facts["labels"] == {"0": 1, "1": 1}
    photos(tmp_path / "i", ["a.png", "b.png", "c.png", "d.png"])
    (tmp_path / "i" / "index.csv").write_text("path,label\na.png,1.0\nb.png,nan\nc.png,-1\nd.png,2.0\n")
    assert IMAGES.check(str(tmp_path / "i" / "index.csv")).summary.facts["labels"] == {"1": 1, "2": 1}


def test_gaps_in_triples(tmp_path):
    (tmp_path / "train.txt").write_text("a\tr\tb\nb\tr\tnan\n")
    with pytest.raises(UserError, match=r"train\.txt, row 2: a name is missing"):
        GRAPH.load(str(tmp_path))
    (tmp_path / "train.txt").write_text("a\tr\tb\n")
    (tmp_path / "entity2text.txt").write_text("a\tfirst\nb\tnan\na\tanother\n")
    with pytest.raises(UserError, match="'a' has two texts"):
        GRAPH.load(str(tmp_path))


def test_what_is_no_text_or_number_is_not_made_into_one():
    import torch
    from torch_geometric.data import Data

    edges = torch.tensor([[0, 1], [1, 2]])
    for content, message in (
        ({"edge_index": edges, "raw_texts": ["a", b"b", "c"]}, "holds a bytes at node 1"),
        ({"edge_index": edges, "raw_texts": ["a", ["b"], "c"]}, "holds a list at node 1"),
        ({"edge_index": edges.float() + 0.5, "raw_texts": ["a", "b", "c"]}, "edge_index holds something that is not a"),
        (
            {"edge_index": edges, "raw_texts": ["a", "b", "c"], "y": torch.tensor([0, 1, 10**12])},
            "y is 1000000000000 at",
        ),
    ):
        with pytest.raises(UserError, match=message):
            from_pyg(Data(**content), "g")


# What the tool writes itself.


def test_a_new_folder_can_be_trained_on_and_a_converted_one_validates(tmp_path):
    run = CliRunner().invoke
    assert run(app, ["new", str(tmp_path / "mine")]).exit_code == 0
    report = validated(tmp_path / "mine")
    assert report["valid"] and report["tasks"]["link"]["usable"] and report["benchmarks"]["node"]["usable"]
    assert run(app, ["convert", str(tmp_path / "mine"), str(tmp_path / "fast")]).exit_code == 0
    converted = validated(tmp_path / "fast")
    assert {**converted, "dataset": ""} == {**report, "dataset": ""}


def test_a_folder_of_something_else_says_what_it_holds(tmp_path):
    for number in range(5):
        (tmp_path / f"class{number}").write_text("../store/n0")
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert "not recognised as a dataset (it holds class0, class1, class2, …)" in str(result.exception)


def test_kinds_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    for kind in (IMAGES, QUESTIONS, CLASSES, GRAPH):
        report = kind.check(str(tmp_path / "data.zip"))
        assert len(report.problems) == 1 and "\n" not in report.problems[0]


def test_questions_with_an_index_of_any_length(question_table):
    path = question_table({"index": "9" * 5000}, {"index": "007"})
    assert len(ssl4rl.load(str(path), kind="questions")) == 2


def test_splits_of_questions_are_read_in_any_case(question_table):
    rows = [{"split": split} for split in ("Train", "TRAINING", "train", "test", "dev")]
    table = question_table(*rows, name="parts.tsv")
    assert ssl4rl.benchmark("choice", str(table)).size == 2
    assert ssl4rl.benchmark("choice", str(table), split="train").size == 3


def test_parquet_cells_that_python_has_no_value_for_are_gaps_where_they_are_not_used(tmp_path):
    far = pa.array([3_000_000, 1], pa.date32())
    nodes = {"id": ["a", "b"], "text": ["first", "second"], "when": far}
    pq.write_table(pa.table(nodes), tmp_path / "nodes.parquet")
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")
    assert list(GRAPH.load(str(tmp_path)).texts) == ["first", "second"]
    pq.write_table(pa.table({**nodes, "text": far}), tmp_path / "nodes.parquet")
    with pytest.raises(UserError, match=r"nodes\.parquet, row 1, field text: cannot be read as date32"):
        GRAPH.load(str(tmp_path))


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path):
    columns = [pa.array(["a", "b"]), pa.array(["first", "second"]), pa.array(["other", "texts"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "text", "text"]), tmp_path / "nodes.parquet")
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")
    with pytest.raises(UserError, match="two columns are named 'text'"):
        GRAPH.load(str(tmp_path))


def test_endings_in_capitals_are_read(tmp_path):
    (tmp_path / "nodes.CSV").write_text("id,text\na,first\nb,second\n")
    (tmp_path / "edges.CSV").write_text("source,target\na,b\n")
    assert GRAPH.load(str(tmp_path)).num_edges == 1


def test_a_mask_without_masks_is_an_unknown_key(tmp_path):
    (tmp_path / "train.txt").write_text("a\tr\tb\nb\tr\tc\n")
    (tmp_path / "dataset.yaml").write_text("mask: 1\n")
    with pytest.raises(UserError, match="mask"):
        GRAPH.load(str(tmp_path))
