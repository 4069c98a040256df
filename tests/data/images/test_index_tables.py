"""Tables beside images: what they give, which are read, and what becomes of the others."""

import re
from pathlib import Path

import pytest
from PIL import Image

from ssl4rl.data.images import CLASSES, IMAGES
from ssl4rl.data.images.files import load_images
from ssl4rl.errors import UserError

pytestmark = pytest.mark.usefixtures("home")


def folder(root: Path, *names: str, **tables: str | bytes) -> Path:
    """Images of different shades, and tables by name, in which two underscores stand for a slash; csv unless named."""
    for shade, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (shade, 90, 160)).save(root / name)
    for name, content in tables.items():
        path = root / name.replace("__", "/").replace("_jsonl", ".jsonl")
        path = path if path.suffix else path.with_name(f"{path.name}.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def said(images) -> dict[str, tuple[str | None, str]]:
    """The label and the given split of each image."""
    words = ("train", "val", "test", "")
    splits = [-1] * len(images) if images.given_splits is None else images.given_splits.tolist()
    return {images.describe(index): (images.label_of(index), words[splits[index]]) for index in range(len(images))}


def tallied(images) -> dict[str, dict[str, int]]:
    assert all(tally.read + sum(tally.skipped.values()) == tally.found for tally in images.reading)
    return {tally.what: dict(tally.skipped) for tally in images.reading}


BOTH = {"a.png": ("cat", "train"), "b.png": ("dog", "test")}
LABELS = {name: (label, "") for name, (label, _) in BOTH.items()}
SPLITS = {name: (None, split) for name, (_, split) in BOTH.items()}


@pytest.mark.parametrize(
    ("table", "content", "expected"),
    [
        ("metadata", "file_name,label,split\na.png,cat,train\nb.png,dog,test\n", BOTH),
        ("metadata", "file_name, Label ,SPLIT\na.png,cat,Training\nb.png,dog,test \n", BOTH),
        ("index", "path,label\na.png,cat\nb.png,dog\n", LABELS),
        ("metadata", "image,class\na.png,cat\nb.png,dog\n", LABELS),
        ("index", "path,split\na.png,train\nb.png,test\n", SPLITS),
        ("index", ",path,split\n0,a.png,train\n1,b.png,test\n", SPLITS),  # as pandas writes it
        ("metadata_jsonl", '{"file_name": "a.png", "label": "cat"}\n{"file_name": "b.png", "label": "dog"}\n', LABELS),
        ("index", "path,label,split\n./a.png,cat,train\nHERE/b.png,dog,test\n", BOTH),
        (
            "metadata",
            "file_name,label,split\na.png,cat,train\nb.png,dog,unlabeled\n",
            LABELS | {"a.png": BOTH["a.png"]},
        ),
    ],
)
def test_labels_and_splits_of_a_table(tmp_path, table, content, expected):
    folder(tmp_path, "a.png", "b.png", **{table: content.replace("HERE", str(tmp_path))})
    images = load_images(str(tmp_path))
    assert said(images) == expected
    assert tallied(images)["files"] == {}
    if "jsonl" not in table:
        assert said(load_images(str(tmp_path / f"{table}.csv"))) == expected


@pytest.mark.parametrize(("again", "said_of"), [("dog,train", "'dog' of train"), ("cat,test", "'cat' of test")])
def test_an_image_that_rows_disagree_about_is_named(tmp_path, again, said_of):
    folder(tmp_path, "a.png", "b.png", index=f"path,label,split\na.png,cat,train\nb.png,dog,test\n./a.png,{again}\n")
    (problem,) = IMAGES.validate(str(tmp_path)).problems
    assert re.search(rf"row 4.*a\.png is here {said_of}, and 'cat' of train in .*row 2.*; keep one", problem)


def test_names_of_classes_are_not_said_to_be_of_no_use(tmp_path):
    names = "wnid,class_name\nn01,crane\nn02,moth\n"
    root = folder(tmp_path, "n01/a.png", "n02/b.png", classes=names)
    report = CLASSES.validate(str(root))
    assert not report.problems
    assert report.skipped == {"names of classes, which are read as --kind classes (classes.csv)": 1}


TREE = ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png")


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        # What a table has no column for is said by the folders.
        (
            {"metadata": "file_name,label\n" + "".join(f"{name},x{name[-5]}\n" for name in TREE)},
            "x1train x2train x3test",
        ),
        ({"index": "path,split\n" + "".join(f"{name},val\n" for name in TREE)}, "catval dogval catval"),
        (
            {
                "train__metadata": "file_name,label\ncat/1.png,x1\ndog/2.png,x2\n",
                "test__metadata_jsonl": '{"file_name": "cat/3.png", "label": 3}\n',
            },
            "x1train x2train 3test",
        ),
        # A table of captions says neither.
        (
            {"metadata": "file_name,text\n" + "".join(f"{name},a caption\n" for name in TREE)},
            "cattrain dogtrain cattest",
        ),
    ],
)
def test_folders_say_what_no_table_does(tmp_path, tables, expected):
    images = load_images(str(folder(tmp_path, *TREE, **tables)))
    found = said(images)
    assert " ".join("".join(map(str, found[name])) for name in TREE) == expected
    unread = {"tables that are not read (metadata.csv)": 1} if "caption" in str(tables) else {}
    assert tallied(images)["files"] == images.passed_over == unread


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"metadata": "file_name,label\na.png,caf\xe9\n".encode("latin-1")},
            r"row 2, field label: byte 0xe9 is not UTF-8",
        ),
        ({"index": "path,label\na.png,caf\xe9\n".encode("latin-1")}, r"row 2, field label: byte 0xe9 is not UTF-8"),
        ({"metadata": "file_name,label\na.png,x\n".encode("utf-16")}, "looks like UTF-16; save it as UTF-8"),
        ({"metadata": "file_name;label\na.png;x\n"}, "separated by semicolons; separate them with commas"),
        ({"metadata": "id,label\na.png,x\n"}, r"no column 'path' or .* that names the image files; .* are id, label"),
        ({"index": "path,split\na.png,eval\n"}, "row 2, field split: 'eval' is not train, val or test"),
        ({"metadata_jsonl": '{"file_name": "a.png", "label": [1]}\n'}, "row 1, field label: expected text or a number"),
        (
            {"index": "path,split\na.png,train\n", "metadata": "file_name,label\na.png,x\n"},
            r"index\.csv and .*metadata\.csv both give labels or splits to the same images; keep one of them",
        ),
        ({"metadata": "file_name,label\na.png,x\n", "sub__metadata": "file_name,label\nb.png,x\n"}, "both give labels"),
        (
            {"sub__metadata": "file_name,label\nb.png,x\n"},
            r"no such table has those of .*more; add one there, or give one",
        ),
    ],
)
def test_tables_that_are_refused(tmp_path, tables, message):
    with pytest.raises(UserError, match=message):
        load_images(str(folder(tmp_path, "a.png", "sub/b.png", "more/c.png", **tables)))


def test_tables_that_are_not_read_are_named(tmp_path):
    rows = "path,label\na.png,x\n"
    folder(tmp_path, "a.png", "b.png", index=rows, labels=rows, notes__x_jsonl="") if (
        tmp_path / "notes"
    ).mkdir() else None
    folder(tmp_path, "a.png", "b.png", index=rows, labels=rows, notes__index=rows)
    skipped = {"images that index.csv does not name": 1, "tables that are not read (labels.csv, notes/index.csv)": 2}
    assert load_images(str(tmp_path)).passed_over == skipped


def test_an_image_of_a_bad_row_is_named_by_the_table(tmp_path):
    folder(tmp_path, "a.png", "b.png", "c.png", index="path,split\na.png,train\nb.png,trian\n")
    report = IMAGES.check(str(tmp_path))
    assert len(report.problems) == 1 and "row 3, field split: 'trian'" in report.problems[0]
    assert report.skipped == {"bad rows": 1, "images that index.csv does not name": 1, "images of bad rows": 1}


def test_a_table_reached_through_a_link_names_files_by_absolute_paths(tmp_path):
    names = ("train/a.png", "test/b.png")
    root = folder(tmp_path / "real", *names)
    (root / "index.csv").write_text("path\n" + "".join(f"{root / name}\n" for name in names) + "/nowhere/c.png\n")
    (tmp_path / "link").symlink_to(root)
    images = load_images(str(tmp_path / "link" / "index.csv"))
    assert said(images) == {"train/a.png": (None, "train"), "test/b.png": (None, "test")}
    assert len(images.skipped) == 1 and "cannot read /nowhere/c.png (there is no such file)" in images.skipped[0]


@pytest.mark.parametrize("name", ["bad\0.png", "sub/" * 2000 + "a.png"])
def test_a_name_that_no_file_can_have_is_a_problem_of_its_row(tmp_path, name):
    folder(tmp_path, "a.png", index=f"path,label\na.png,x\n{name},y\n")
    assert "index.csv, row 3, field path: cannot read" in load_images(str(tmp_path)).skipped[0]
    (tmp_path / "t.tsv").write_text(f"index\timage\n1\ta.png\n2\t{name}\n")
    assert "t.tsv, row 3, field image: cannot read" in load_images(str(tmp_path / "t.tsv")).skipped[0]


def test_codes_that_a_list_of_classes_explains_stay_the_labels(tmp_path):
    folder(tmp_path, "n1/a.png", "n2/b.png", classes="wnid,class_name\nn1,crane\nn2,crane\n")
    (tmp_path / "index.csv").write_text("wnid,class_name,file\nn1,crane,n1/a.png\nn2,crane,n2/b.png\n")
    assert CLASSES.load(str(tmp_path)).classes.tolist() == [0, 1]


def test_what_the_page_of_datasets_says_of_images(tmp_path):
    """Its tree and its tables, word for word."""
    page = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    tree, table, lines, _ = re.findall(r"```\w*\n(.*?)```", page.partition("## Your own images")[2], re.DOTALL)
    written = [line.split("#") for line in tree.splitlines()]
    expected = {path.strip(): tuple(about.strip().split(", ")) for path, about in written}
    folder(tmp_path, *expected)
    assert {f"photos/{name}": about for name, about in said(load_images(str(tmp_path / "photos"))).items()} == expected
    for name, content in (("index.csv", table), ("metadata.jsonl", lines)):
        root = folder(tmp_path / name, "1.jpg", "more/2.jpg")
        (root / name).write_text(content)
        assert said(load_images(str(root))) == {"1.jpg": ("cat", "train"), "more/2.jpg": ("dog", "test")}
