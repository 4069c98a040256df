"""Images, questions and classes as kinds of source: how they are recognised, checked and summarised."""

import base64
import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssl4rl import build
from ssl4rl.data.images import CLASSES, IMAGES, QUESTIONS
from ssl4rl.data.images.files import load_images
from ssl4rl.data.images.scenes import drawn_scenes
from ssl4rl.errors import UserError
from ssl4rl.registry import IMAGE_SETS, SOURCE_KINDS

pytestmark = pytest.mark.usefixtures("home")


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 90, 160)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Ten files, of which three are images that can be read, and a folder that is a link."""
    root = tmp_path / "mine"
    files = {
        "cat/1.png": png(1),
        "cat/2.png": png(2),
        "dog/3.png": png(1),
        "dog/torn.png": png(4)[:-30],
        "dog/empty.png": b"",
        "dog/text.png": b"hello",
        "notes.txt": b"x",
        "dog/4.heic": b"x",
        ".hidden.png": png(5),
        ".cache/6.png": png(6),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "linked").symlink_to(root / "cat")
    return root


PASSED_OVER = {
    "hidden files": 2,
    "linked folders": 1,
    "files that are not images": 1,
    "HEIC photos, which are not read": 1,
}


def test_what_a_folder_holds_besides_images_is_counted(folder):
    images = load_images(str(folder))
    assert images.passed_over == PASSED_OVER and len(images) == 3
    about = IMAGES.summarise(images)
    assert about.facts["skipped"] == {**PASSED_OVER, "broken or missing images": 3}
    assert about.facts["num_images"] + sum(about.facts["skipped"].values()) == 10 + 1
    (listed,) = [text for name, text in about.rows if name == "not read"]
    assert sorted(listed.split(", ")) == [
        "HEIC photos",
        "broken or missing images (3)",
        "files that are not images (1)",
        "hidden files (2)",
        "linked folders (1)",
        "which are not read (1)",
    ]


def test_a_check_names_every_bad_image_and_counts_the_rest(folder):
    report = IMAGES.check(str(folder))
    assert [message.split(" is ")[0] for message in report.problems] == [
        str(folder / "dog" / name) for name in ("empty.png", "text.png", "torn.png")
    ]
    assert report.skipped == {**PASSED_OVER, "broken or missing images": 3}
    facts = report.summary.facts
    assert (facts["num_images"], facts["labels"], facts["duplicates"]) == (3, {"cat": 2, "dog": 1}, 1)
    assert sum(facts["splits"].values()) == 3
    assert facts["num_images"] + sum(report.skipped.values()) == 10 + 1
    assert IMAGES.check(str(folder)) == report  # found out, then remembered

    for name in ("empty.png", "text.png", "torn.png"):
        (folder / "dog" / name).unlink()
    assert not IMAGES.check(str(folder)).problems


def test_a_check_of_what_cannot_be_read_at_all(folder, tmp_path):
    for path, message in ((tmp_path / "none", "there is no folder"), (folder / "cat" / "1.png", "is a single image")):
        report = IMAGES.check(str(path))
        assert len(report.problems) == 1 and message in report.problems[0] and report.summary is None
    (tmp_path / "iphone").mkdir()
    (tmp_path / "iphone" / "1.heic").write_bytes(b"x")
    (problem,) = IMAGES.check(str(tmp_path / "iphone")).problems
    assert "holds no images that can be read, only HEIC such as 1.heic (convert them to JPEG or PNG)" in problem


def test_a_check_of_an_index_names_every_bad_row(folder):
    (folder / "index.csv").write_text(
        "path,split\ncat/1.png,train\nnone.png,\ncat/2.png,trian\n,train\ndog/torn.png,test\ncat/1.png,train,x\n"
    )
    report = IMAGES.check(str(folder / "index.csv"))
    rows = [message.partition("row ")[2][:1] for message in report.problems[:4]]
    assert sorted(rows) == ["3", "4", "5", "7"]
    assert "torn.png is broken" in report.problems[4] and len(report.problems) == 5
    assert report.skipped == {"bad rows": 3, "broken or missing images": 2}
    assert report.summary.facts["num_images"] + sum(report.skipped.values()) == 6


def test_a_check_of_tables(tmp_path):
    images = [png(1), b"nothing", None, png(1)]
    pq.write_table(pa.table({"image": images, "label": ["a", "b", "b", "a"]}), tmp_path / "t.parquet")
    report = IMAGES.check(str(tmp_path / "t.parquet"))
    assert [message[: len("t.parquet, row 2")] for message in report.problems] == [
        "t.parquet, row 2",
        "t.parquet, row 3",
    ]
    assert report.summary.facts["labels"] == {"a": 2} and report.skipped == {"broken or missing images": 2}


def test_a_check_of_questions_names_every_bad_row(question_table):
    report = QUESTIONS.check(str(question_table({}, {"answer": "C"}, {"question": ""}, {})))
    assert ["row 3, field answer" in report.problems[0], "row 4, field question" in report.problems[1]] == [True] * 2
    assert len(report.problems) == 2 and report.summary is None and report.skipped == {"bad rows": 2}

    broken = base64.b64encode(b"not an image" * 9).decode()
    report = QUESTIONS.check(str(question_table({}, {"image": broken}, {"image": ""}, {"image": "1"})))
    assert ["row 3 is not an image" in report.problems[0], "row 4, field image" in report.problems[1]] == [True] * 2
    assert len(report.problems) == 2

    copies = {"index": 1_000_001, "A": "no", "B": "yes", "answer": "B", "image": "1"}
    report = QUESTIONS.check(str(question_table({}, {"C": "maybe"}, copies)))
    facts = report.summary.facts
    assert not report.problems and (facts["num_questions"], facts["num_rows"], facts["num_images"]) == (2, 3, 2)
    assert facts["options"] == {"2": 2, "3": 1} and facts["categories"] == {"ocr": 3}


def test_a_check_of_classes(folder):
    assert len(CLASSES.check(str(folder)).problems) == 3
    for name in ("empty.png", "text.png", "torn.png"):
        (folder / "dog" / name).unlink()
    (folder / "classes.csv").write_text("wnid,class_name\ncat,crane\n")
    assert "has no class 'dog'" in CLASSES.check(str(folder)).problems[0]
    (folder / "classes.csv").write_text('wnid,class_name\ncat,crane\ndog,"crane, wading bird"\nowl,owl\n')
    facts = CLASSES.check(str(folder)).summary.facts
    assert (facts["num_classes"], facts["empty_classes"], facts["unclassified_images"]) == (3, 1, 0)
    assert facts["class_names"][1] == ["crane", "wading bird"]


def test_each_path_is_of_one_kind(folder, tmp_path, question_table):
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "nodes.parquet").write_bytes(b"")
    (tmp_path / "shards" / "data").mkdir(parents=True)
    (tmp_path / "shards" / "data" / "train.parquet").write_bytes(b"")
    (tmp_path / "index.csv").write_text("path,label\na.png,x\n")
    (tmp_path / "other.csv").write_text("id,text\n1,x\n")
    (tmp_path / "images.tsv").write_text("index\timage\n1\tx\n")
    (tmp_path / "empty").mkdir()
    kinds = {
        str(folder): "images",
        str(folder / "cat" / "1.png"): "images",
        str(tmp_path / "graph"): "graph",
        str(tmp_path / "shards"): "images",
        str(tmp_path / "index.csv"): "images",
        str(tmp_path / "images.tsv"): "images",
        str(question_table({})): "questions",
        "hub:owner/name": "images",
        str(tmp_path / "other.csv"): None,
        str(tmp_path / "empty"): None,
        str(tmp_path / "none"): None,
    }
    for path, kind in kinds.items():
        recognised = [name for name in SOURCE_KINDS.names() if SOURCE_KINDS.get(name).recognises(path)]
        assert recognised == ([] if kind is None else [kind]), path


def test_a_registered_image_set_has_a_name(monkeypatch, folder):
    monkeypatch.setitem(IMAGE_SETS._loaded, "mine", lambda: load_images(str(folder)))
    assert len(IMAGES.load("mine")) == len(build.load("mine")) == 3
    assert build.task("rotation", "mine", split="train").source.name == "mine"
    with pytest.raises(UserError, match="unknown image set 'scene'; did you mean scenes"):
        IMAGES.load("scene")
    with pytest.raises(
        UserError, match="cora is a source of kind graph, and one of kind images is needed; there are: "
    ):
        IMAGES.load("cora")


def test_the_kinds_say_what_is_embedded():
    for kind in (IMAGES, QUESTIONS, CLASSES):
        about = kind.summarise(kind.load())
        assert (kind.side, kind.default, about.facts["name"]) == ("vision", "scenes", "scenes")
        assert json.loads(json.dumps(about.facts)) == about.facts and dict(about.rows)["name"] == "scenes"
        assert about.facts["fingerprint"] == kind.load().fingerprint and len(repr(kind.load())) < 80
    assert IMAGES.summarise(drawn_scenes(16)).details == [
        "labels: house (2), tree (2), boat (2), car (2), animal (2), person (2), tower (2), flower (2)"
    ]


def test_the_kinds_import_nothing_heavy():
    script = """
import sys
from ssl4rl.registry import SOURCE_KINDS
kinds = [SOURCE_KINDS.get(name) for name in ("images", "questions", "classes")]
assert not any(kind.recognises("nowhere") for kind in kinds)
print([name for name in ("torch", "pyarrow", "datasets", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
