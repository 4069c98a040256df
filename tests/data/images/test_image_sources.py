"""Images from folders, index files, tables and the hub, and what is wrong with them."""

import base64
import hashlib
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssl4rl.data.images.files import load_images
from ssl4rl.data.images.folder import Files
from ssl4rl.data.images.tables import list_images_of
from ssl4rl.errors import UserError
from ssl4rl.source import describe_broken

pytestmark = pytest.mark.usefixtures("home")


def png(shade: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 90, 160)).save(buffer, kind)
    return buffer.getvalue()


def shades(images) -> list[int]:
    return [images.open(index).getpixel((3, 3))[0] for index in range(len(images))]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# Folders


def test_a_folder_with_class_subfolders(tmp_path):
    files = {"dog/2.PNG": png(2), "cat/deep/1.png": png(1), "3.png": png(3), "dog/4.png": png(2)}
    other = {"notes.txt": b"x", ".5.png": png(5), ".git/6.png": png(6), "dog/7.csv": b"x"}
    images = load_images(str(write(tmp_path / "pets", files | other)))
    assert [images.describe(index) for index in range(4)] == ["3.png", "cat/deep/1.png", "dog/2.PNG", "dog/4.png"]
    assert shades(images) == [3, 1, 2, 2]
    assert [images.label_of(index) for index in range(4)] == [None, "cat", "dog", "dog"]
    assert images.hashes[0] == hashlib.sha256(png(3)).hexdigest()
    assert (images.name, images.counts["duplicates"], images.given_splits) == ("pets", 1, None)


def test_a_folder_with_split_folders(tmp_path):
    files = {f"{split}/{label}/{n}.png": png(n) for n, (split, label) in enumerate([("train", "a"), ("test", "b")])}
    images = load_images(str(write(tmp_path, files)))
    assert images.members("test").tolist() == [0] and images.members("train").tolist() == [1]
    assert list(images.label_names) == ["a", "b"]


def test_hashes_are_taken_once(tmp_path, monkeypatch):
    folder = write(tmp_path / "set", {"a.png": png(1), "b.png": png(2)})
    before = load_images(str(folder)).fingerprint
    taken = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: taken.append(file.name) or real(file, kind))
    assert load_images(str(folder)).fingerprint == before and not taken
    (folder / "a.png").write_bytes(png(9))
    os.utime(folder / "a.png", ns=(0, 12345))
    assert load_images(str(folder)).fingerprint != before and taken == [str(folder / "a.png")]


def test_broken_images_are_named_and_passed_over(tmp_path):
    folder = write(tmp_path / "set", {"a.png": png(1), "b.jpg": png(2, "JPEG")[:-15], "c.png": b"", "d.png": png(4)})
    for _ in range(2):  # found out, then remembered
        kept = load_images(str(folder))
        assert shades(kept) == [1, 4]
        assert [Path(problem.split(" is ")[0]).name for problem in kept.skipped] == ["b.jpg", "c.png"]
        assert kept.counts == {"images": 2, "duplicates": 0, "skipped": 2}
    with pytest.raises(UserError, match="none of the 1 images can be read"):
        load_images(str(write(tmp_path / "bad", {"c.png": b"x"})))


def test_an_image_is_decoded_once_whatever_folder_it_is_in(tmp_path, monkeypatch):
    folder = write(tmp_path / "set", {f"{number}.png": png(100 + number) for number in range(4)})
    load_images(str(folder))
    decoded = []
    real = Files.open
    monkeypatch.setattr(
        Files, "open", lambda self, index, side: decoded.append(self.paths[index]) or real(self, index, side)
    )
    write(folder, {"4.png": png(104), "again.png": png(101)})
    folder.rename(tmp_path / "moved")
    load_images(str(tmp_path / "moved"))
    assert decoded == ["4.png"]


def test_more_broken_images_than_are_allowed_are_refused(tmp_path):
    images = {f"{number}.png": png(number) for number in range(9)}
    source = load_images(str(write(tmp_path / "set", {**images, "torn.png": png(1)[:40]})))
    first, second = describe_broken(source, 0.1)
    assert first == "1 of 10 in set cannot be read and is passed over:" and "torn.png is not an image" in second
    with pytest.raises(UserError, match=r"1 of 10 in set cannot be read, more than max_broken=0\.09 .*\n.*torn\.png"):
        describe_broken(source, 0.09)
    assert describe_broken(load_images(str(write(tmp_path / "whole", images))), 0.0) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none", "there is no folder or file .*none .*hub:owner/name"),
        ("empty", "empty holds no images"),
        ("a.png", r"a\.png is a single image; give the folder that holds it"),
        ("a.zip", r"a\.zip is not a file of images that can be read"),
    ],
)
def test_what_is_not_a_source(tmp_path, source, message):
    write(tmp_path, {"empty/x.txt": b"", "a.png": png(1), "a.zip": b"x"})
    with pytest.raises(UserError, match=message):
        load_images(str(tmp_path / source))


# Index files


def test_an_index_csv(tmp_path):
    write(tmp_path, {"p/a.png": png(1), "p/b.png": png(2), "c.png": png(3)})
    (tmp_path / "mine.csv").write_text("path,label,split\np/b.png,cat,train\nc.png,,Valid\np/a.png,dog,\n")
    images = load_images(str(tmp_path / "mine.csv"))
    assert shades(images) == [2, 3, 1] and images.name == "mine"
    assert [images.label_of(index) for index in range(3)] == ["cat", None, "dog"]
    assert images.members("val").tolist() == [1]
    assert 2 not in images.members("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,label\na.png,x\n", r"index\.csv: there is no column 'path' or .*; its columns are picture, label"),
        ("path,split\na.png,trian\n", r"index\.csv, row 2, field split: 'trian' is not train, val or test"),
        ("path,label\n,x\n", r"index\.csv, row 2, field path: the file name is missing"),
    ],
)
def test_a_bad_index_csv(tmp_path, text, message):
    write(tmp_path, {"a.png": png(1), "index.csv": text.encode()})
    with pytest.raises(UserError, match=message):
        load_images(str(tmp_path / "index.csv"))


def test_a_missing_file_is_passed_over(tmp_path):
    write(tmp_path, {"a.png": png(1), "index.csv": b"path\nb.png\na.png\n"})
    images = load_images(str(tmp_path / "index.csv"))
    assert shades(images) == [1]
    assert "index.csv, row 2, field path: cannot read" in images.skipped[0] and "no such file" in images.skipped[0]


# TSV with base64


def tsv(path: Path, rows: list[str], header: str = "index\timage\tquestion") -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_cells_hold_images_or_refer_to_rows(tmp_path):
    one, two = (base64.b64encode(png(shade)).decode() for shade in (1, 2))
    rows = ["1000007\t7.0\tlater", f'7\t{one}\t"two\nlines"', f"8\t{two}\tx", f"9\t{one}\tsame bytes"]
    path = tsv(tmp_path / "bench.tsv", rows)
    for _ in range(2):  # unpacked, then read again
        images = load_images(path)
        assert shades(images) == [1, 1, 2, 1] and images.counts["duplicates"] == 2
        assert [images.describe(index) for index in (0, 2)] == ["bench.tsv, row 2", "bench.tsv, row 5"]
    [packed] = (tmp_path / "home").glob("images/*/images.bin")
    assert packed.stat().st_size == len(png(1)) + len(png(2))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1\tIMAGE*\tx"], r"bench\.tsv, row 2, field image: this is not base64"),
        (["1\t\tx"], r"bench\.tsv, row 2, field image: the image is missing"),
        (["2\t5\tx"], r"row 2: it refers to the image of index 5, but no row has that index"),
        (["1\t2\tx", "2\t1\tx"], r"row 2: it refers to the image of index 2, but bench\.tsv, row 3 holds no image"),
        (["1\tIMAGE\tx", "1\tIMAGE\tx"], r"row 3, field index: 1 is a duplicate of bench\.tsv, row 2"),
        (["1\tIMAGE"], r"row 2: the header has 3 cells, this row 2"),
    ],
)
def test_a_bad_tsv(tmp_path, rows, message):
    image = base64.b64encode(png(1)).decode()
    with pytest.raises(UserError, match=message):
        load_images(tsv(tmp_path / "bench.tsv", [row.replace("IMAGE", image) for row in rows]))
    with pytest.raises(UserError, match=r"there is no column 'image'; its columns are index, picture"):
        load_images(tsv(tmp_path / "other.tsv", ["1\tx"], "index\tpicture"))


def test_bad_cells_are_passed_over(tmp_path):
    image = base64.b64encode(png(1)).decode()
    broken = base64.b64encode(b"not an image" * 9).decode()
    path = tsv(tmp_path / "bench.tsv", ["1\t9\tx", f"2\t{image}\tx", f"3\t{broken}\tx", f"4\t{image}*\tx"])
    images = load_images(path)
    assert shades(images) == [1] and images.describe(0) == "bench.tsv, row 3"
    assert ["row 2" in images.skipped[0], "row 4" in images.skipped[1], "row 5" in images.skipped[2]] == [True] * 3


# Parquet, Arrow, hub


def table(numbers: range, as_struct: bool = True) -> pa.Table:
    """What ``datasets`` writes: structs, and the names of the classes in the schema."""
    content = [png(number) for number in numbers]
    images = pa.array([{"bytes": each, "path": "x.png"} for each in content] if as_struct else content)
    about = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    made = pa.table({"image": images, "label": [number % 2 for number in numbers], "id": list(map(str, numbers))})
    return made.replace_schema_metadata({"huggingface": json.dumps(about)})


@pytest.mark.parametrize("as_struct", [True, False])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather"])
def test_tables_of_images(tmp_path, kind, as_struct):
    path, made = tmp_path / f"t.{kind}", table(range(150), as_struct)
    if kind == "parquet":
        pq.write_table(made, path, row_group_size=40)
    else:
        new = pa.ipc.new_stream if kind == "arrow" else pa.ipc.new_file
        with new(str(path), made.schema) as writer:
            writer.write_table(made, max_chunksize=40)
    images = load_images(str(path))
    assert shades(images) == list(range(150))
    assert images.label_of(3) == "dog" and images.describe(149) == f"t.{kind}, row 150"


def test_a_folder_of_shards_as_the_hub_lays_them_out(tmp_path):
    (tmp_path / "pets" / "data").mkdir(parents=True)
    for name, numbers in {
        "train-00000-of-00002": range(4),
        "train-00001-of-00002": range(4, 9),
        "test-00000": range(9, 12),
    }.items():
        pq.write_table(table(numbers), tmp_path / "pets" / "data" / f"{name}.parquet")
    images = load_images(str(tmp_path / "pets"))
    assert images.name == "pets" and sorted(shades(images)) == list(range(12))
    assert sorted(images.open(index).getpixel((0, 0))[0] for index in images.members("test")) == [9, 10, 11]


def test_bad_tables(tmp_path):
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"id": [1], "picture": ["x"]}), path)
    with pytest.raises(UserError, match=r"t\.parquet: no column holds encoded images; .*id \(int64\), picture"):
        load_images(path)
    pq.write_table(pa.table({"a": [b"x"], "b": [b"x"]}), path)
    with pytest.raises(UserError, match=r"several columns hold bytes \(a, b\); call the right one `image`"):
        load_images(path)
    pq.write_table(pa.table({"image": [{"bytes": png(1), "path": ""}, {"bytes": None, "path": "/etc/passwd"}]}), path)
    assert "row 2, field image: there are no bytes of an image but only the path /etc" in load_images(path).skipped[0]
    Path(path).write_bytes(b"PAR1 or not")
    with pytest.raises(UserError, match="is not a parquet file that can be read"):
        load_images(path)


def test_a_hub_dataset(tmp_path, monkeypatch):
    """A local folder stands in for the hub: ``datasets`` loads both the same way."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "pets").mkdir()
    for split, numbers in {"train": range(8), "validation": range(8, 10)}.items():
        pq.write_table(table(numbers), tmp_path / "pets" / f"{split}-00000-of-00001.parquet")
    images = load_images(f"hub:{tmp_path / 'pets'}")
    assert images.name == "pets" and sorted(shades(images)) == list(range(10))
    assert sorted(images.open(index).getpixel((0, 0))[0] for index in images.members("val")) == [8, 9]
    assert images.label_of(1) == "dog"
    with pytest.raises(UserError, match="there is no folder no-one/nothing, and"):
        load_images("hub:no-one/nothing")


# Real data


def test_real_images_open_quickly(real_data):
    photos = load_images(str(real_data / "photos" / "clothing"))
    assert photos.counts == {"images": 372, "duplicates": 0, "skipped": 0} and len(photos.label_names) == 10
    assert min(photos.open(index, 224).mode == "RGB" for index in range(20))
    imagenet = load_images(str(real_data / "imagenet" / "index.csv"))
    assert imagenet.name == "imagenet" and len(imagenet.label_names) == 250
    questions = load_images(str(real_data / "mmbench" / "MMBench_EN_samples.tsv"))
    assert len(questions) == 20 and np.min([questions.open(index).size for index in range(20)]) > 50
    begin = time.perf_counter()
    assert load_images(str(real_data / "photos" / "clothing")).hashes == photos.hashes
    assert time.perf_counter() - begin < 2


def test_a_stray_image_does_not_undo_the_split_folders(tmp_path):
    files = {"train/a/1.png": png(1), "test/b/2.png": png(2), "logo.png": png(3)}
    images = load_images(str(write(tmp_path / "set", files)))
    assert [images.describe(index) for index in images.members("test")] == ["test/b/2.png"]
    assert list(images.label_names) == ["a", "b"]
    # A class may be called like a split; a folder beside two of them may not.
    assert load_images(str(write(tmp_path / "rail", {"train/1.png": png(1), "car/2.png": png(2)}))).given_splits is None
    with pytest.raises(UserError, match="test and train are called like splits, and more is not; move more into one"):
        load_images(str(write(tmp_path / "mixed", {**files, "more/4.png": png(4)})))


def test_an_empty_image_is_a_problem_of_its_row(tmp_path):
    write(tmp_path, {"a.png": png(1), "b.png": b""})
    path = tsv(tmp_path / "t.tsv", ["1\ta.png\tx", "2\tb.png\tx", "3\tdata:image/png;base64,\tx", ""])
    problems = list_images_of(Path(path)).problems.values()
    assert [problem.split(": ", 1)[1].rpartition("/")[2] for problem in problems] == [
        "b.png is empty",
        "the image is empty",
    ]


def test_a_file_that_a_table_names_is_read_again_when_it_has_changed(tmp_path):
    write(tmp_path, {"a.png": png(1)})
    path = tsv(tmp_path / "t.tsv", ["1\ta.png\tx"])
    assert shades(load_images(path)) == [1]
    write(tmp_path, {"a.png": png(200)})
    assert shades(load_images(path)) == [200]


def test_an_index_may_begin_a_path_with_a_backslash(tmp_path):
    write(tmp_path, {"train/1.png": png(1), "index.csv": b"file_name\n\\train\\1.png\n"})
    assert shades(load_images(str(tmp_path))) == [1]


def test_an_empty_shard_beside_full_ones(tmp_path):
    for name, rows in (("a", [{"bytes": png(1), "path": None}]), ("b", [])):
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        pq.write_table(pa.table({"image": pa.array(rows, kind)}), tmp_path / f"{name}.parquet")
    assert shades(load_images(str(tmp_path))) == [1]


def table_with_splits(path: Path, splits: list[str], column: str) -> str:
    """A parquet file or a TSV of one image a row."""
    if path.suffix == ".parquet":
        content = pa.array([png(20 * index) for index in range(len(splits))], type=pa.binary())
        pq.write_table(pa.table({"image": content, column: splits}), path)
        return str(path)
    cells = [base64.b64encode(png(20 * index)).decode() for index in range(len(splits))]
    rows = [f"{index}\t{cells[index]}\t{split}" for index, split in enumerate(splits)]
    return tsv(path, rows, f"index\timage\t{column}")


@pytest.mark.parametrize("kind", ["parquet", "tsv"])
@pytest.mark.parametrize("column", ["split", "Split"])
def test_the_splits_of_a_table_are_honoured_or_refused(tmp_path, kind, column):
    words = ["train", "train ", "Dev", "testing", "", "unlabeled"]
    images = load_images(table_with_splits(tmp_path / f"t.{kind}", words, column))
    assert images.given_splits.tolist() == [0, 0, 1, 2, -1, -1]
    assert not any("unused" in reason for tally in images.reading for reason in tally.skipped)
    for word in ("eval", "train_set"):
        row = 6 if kind == "parquet" else 7  # of text, the header is the first row
        with pytest.raises(
            UserError, match=rf"row {row}, field split: '{word}' is not train, val or test \(or empty\)"
        ):
            load_images(table_with_splits(tmp_path / f"{word}.{kind}", ["train"] * 5 + [word] * 4, column))


def test_further_images_of_a_row_are_in_its_split(tmp_path):
    write(tmp_path, {"a.png": png(1), "b.png": png(2), "c.png": png(3)})
    path = tsv(tmp_path / "t.tsv", ['1\t["a.png", "b.png"]\ttest', "2\tc.png\ttrain"], "index\timage\tsplit")
    assert sorted(shades(load_images(path))) == [1, 2, 3] and load_images(path).given_splits.tolist() == [2, 0, 2]


@pytest.mark.parametrize("twice", ["image", "label", "split", "x"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, twice):
    columns = {
        "image": pa.array([png(1)], type=pa.binary()),
        **dict.fromkeys(("label", "split", "x"), pa.array(["val"])),
    }
    made = pa.table([*columns.values(), columns[twice]], names=[*columns, twice])
    pq.write_table(made, tmp_path / "t.parquet")
    with pytest.raises(UserError, match=rf"t\.parquet: two columns are named '{twice}'; rename or remove one"):
        load_images(str(tmp_path / "t.parquet"))


def test_what_is_no_file_or_cannot_be_opened_is_counted_and_not_waited_for(tmp_path, monkeypatch):
    folder = write(tmp_path / "pets", {f"cat/{number}.png": png(number) for number in range(200)})
    os.mkfifo(folder / "cat" / "pipe.png")
    write(folder, {"closed/1.png": png(201)})
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("closed"):  # as for anyone who is not root
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    images = load_images(str(folder))
    assert len(images) == 200 and len(images.skipped) == 1 and "not a regular file" in images.skipped[0]
    # A closed folder stands for however many files it holds.
    assert images.passed_over == {"folders that cannot be read": 1}
    assert all(tally.found == tally.read + sum(tally.skipped.values()) for tally in images.reading)


def test_names_of_folders_that_are_no_utf8_are_latin(tmp_path):
    names = (b"caf\xe9", b"caf\xe8", "thé".encode(), b"two\nlines")
    write(tmp_path / "drinks", {f"{os.fsdecode(name)}/1.png": png(shade) for shade, name in enumerate(names)})
    images = load_images(str(tmp_path / "drinks"))
    assert "two lines/1.png" in map(images.describe, range(4))
    assert sorted(images.label_of(index) for index in range(4)) == ["cafè", "café", "thé", "two lines"]
