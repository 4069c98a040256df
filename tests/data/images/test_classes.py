"""Images with classes: where their names come from."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ssl4rl
from ssl4rl.data.images import CLASSES, IMAGES
from ssl4rl.data.images.classes import load_classified
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.vision.benchmarks.imagenet import ImageNet


@pytest.fixture
def coded(tmp_path):
    """Two classes of images in folders called by codes."""
    root = tmp_path / "mine"
    for place, code in enumerate(("n01", "n02")):
        (root / code).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (place * 100, number * 60, 50)).save(root / code / f"{number}.png")
    return root


def test_names_of_codes(coded):
    (coded / "classes.csv").write_text('wnid,class_name\nn02,crane\nn03,moth\nn01,"tench, Tinca tinca"\n')
    named = load_classified(str(coded))
    assert named.names == [["crane"], ["moth"], ["tench", "Tinca tinca"]]
    assert named.classes.tolist() == [2] * 3 + [0] * 3
    (coded / "classes.csv").unlink()
    folders = load_classified(str(coded))
    assert folders.names == [["n01"], ["n02"]] and folders.fingerprint != named.fingerprint
    # ImageNet's own list, beside the folder that holds the class folders.
    (coded.parent / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 crane\n")
    assert load_classified(str(coded)).names == [["tench", "Tinca tinca"], ["crane"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wnid,class_name\nn01,tench\n", "has no class 'n02', which is a folder of mine"),
        ("wnid,class_name\nn01,tench\nn01,crane\n", "row 3, field wnid: 'n01' occurs twice"),
        ('wnid,class_name\nn01,tench\nn02," , "\n', "row 3, field class_name: a class has no name"),
        ("wnid,name\nn01,tench\n", "there is no column 'class_name'"),
    ],
)
def test_bad_names(coded, text, message):
    (coded / "classes.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load_classified(str(coded))


def test_images_without_classes_are_refused(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match="has no labels; put each class into its own folder"):
        load_classified(str(tmp_path))


def test_real_images_and_the_scenes(real_data):
    imagenet = load_classified(str(real_data / "imagenet"))
    assert len(imagenet.images) == 250 and len(imagenet.names) == 1000
    assert sum(names == ["crane"] for names in imagenet.names) == 2
    scenes = CLASSES.load()
    assert scenes.names == [[name] for name in scenes.images.label_names]
    assert repr(scenes) == "ClassifiedImages('scenes', 4,000 images, 8 classes)"
    assert scenes.fingerprint.startswith("784e15e8fe7a")


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(path, "JPEG")


def test_commas_in_the_names_of_folders_that_share_a_beginning(tmp_path):
    for shade, name in enumerate(("Soup, tomato", "Soup, lentil", "tench, Tinca tinca")):
        picture(tmp_path / name / "0.jpg", shade * 40)
    names = CLASSES.load(str(tmp_path)).names
    assert names == [["Soup, lentil"], ["Soup, tomato"], ["tench", "Tinca tinca"]]


def kaggle(root: Path) -> Path:
    tree = root / "ILSVRC" / "Data" / "CLS-LOC"
    for number, code in enumerate(("n1", "n2")):
        picture(tree / "train" / code / f"{code}_0.JPEG", 50 * number)
        picture(tree / "val" / f"val_{number}.JPEG", 50 * number + 10)
        picture(tree / "test" / f"test_{number}.JPEG", 50 * number + 20)
    (root / "LOC_synset_mapping.txt").write_text("n1 tench, Tinca\nn2 goldfish\n")
    (root / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nval_0,n2 1 2 3 4\nval_1,n1 1 2 3 4 n1 5 6 7 8\n"
    )
    return root


def test_imagenet_as_kaggle_hands_it_out(tmp_path):
    classified = CLASSES.load(str(kaggle(tmp_path)))
    assert [list(names) for names in classified.names] == [["tench", "Tinca"], ["goldfish"]]
    assert classified.classes.tolist() == [-1, -1, 0, 1, 1, 0]  # test, train, val
    facts = CLASSES.validate(str(tmp_path)).summary.facts
    assert facts["splits"] == {"train": 2, "val": 2, "test": 2} and facts["unclassified_images"] == 2
    with pytest.raises(UserError, match="no labelled test images; its val images have labels"):
        ssl4rl.benchmark("imagenet", classified)
    benchmark = ssl4rl.benchmark("imagenet", classified, images="val")
    assert [benchmark.example(index).meta["class"] for index in range(benchmark.size)] == ["goldfish", "tench"]
    assert benchmark.on_split("train").size == 2
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nval_0,n2 1 2 3 4\n")
    with pytest.raises(UserError, match=r"LOC_val_solution\.csv: it has no class for val_1"):
        CLASSES.load(str(tmp_path))
    (tmp_path / "LOC_val_solution.csv").unlink()
    with pytest.raises(UserError, match=r"holds no LOC_val_solution\.csv"):
        CLASSES.load(str(tmp_path))


def test_labels_in_metadata_csv(tmp_path):
    for number in range(4):
        picture(tmp_path / f"{number}.jpg", number * 30)
    (tmp_path / "metadata.csv").write_text("file_name,label\n0.jpg,a\n1.jpg,b\n2.jpg,a\n")
    report = CLASSES.validate(str(tmp_path))
    assert report.problems == [] and report.skipped == {"images that metadata.csv does not name": 1}
    assert CLASSES.load(str(tmp_path)).names == [["a"], ["b"]] and CLASSES.load(str(tmp_path)).name == tmp_path.name
    (tmp_path / "metadata.csv").write_text("file_name,text\n0.jpg,a caption\n")
    assert IMAGES.load(str(tmp_path)).labels is None and len(IMAGES.load(str(tmp_path))) == 4


def test_paths_with_backslashes_in_an_index(tmp_path):
    picture(tmp_path / "img" / "0.jpg", 10)
    picture(tmp_path / "img" / "1.jpg", 90)
    (tmp_path / "index.csv").write_text("path,label\nimg\\0.jpg,a\nimg\\1.jpg,b\n")
    for path in (tmp_path / "index.csv", tmp_path):
        images = IMAGES.load(str(path))
        assert (len(images), images.label_names) == (2, ["a", "b"])
    assert IMAGES.validate(str(tmp_path / "index.csv")).problems == []


def test_an_image_of_two_classes_is_asked_with_one_of_them(tmp_path):
    folders = {name: tmp_path / name for name in ("cat", "dog", "car")}
    for number, folder in enumerate(folders.values()):
        folder.mkdir()
        for index in range(20):
            pixels = np.random.default_rng([number, index]).integers(0, 255, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    for index in range(5):
        shutil.copy(folders["cat"] / f"{index}.png", folders["dog"] / f"copy {index}.png")
    benchmark = ImageNet(load_classified(str(tmp_path)), split="test", knobs={"images": "all"})
    seen = Counter(example.source_items for example in map(benchmark.example, range(benchmark.size)))
    assert sorted(seen.values())[-5:] == [2] * 5
    for example in map(benchmark.example, range(benchmark.size)):
        names = set(benchmark.choices(example).values())
        assert names == {"cat", "dog", "car"} if seen[example.source_items] == 1 else names != {"cat", "dog", "car"}


def test_one_class_leaves_nothing_to_choose(tmp_path):
    (tmp_path / "cat").mkdir()
    for index in range(20):
        Image.new("RGB", (40, 40), (index * 9, 0, 0)).save(tmp_path / "cat" / f"{index}.png")
    for level in ("choice-20", "completion"):
        with pytest.raises(NotApplicable, match="has one class, so there is nothing to choose from"):
            ImageNet(load_classified(str(tmp_path)), split="test", level=level, knobs={"images": "all"})
