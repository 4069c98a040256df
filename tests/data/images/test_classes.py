"""Images with classes: where their names come from."""

import pytest
from PIL import Image

from ssl4rl.data.images import CLASSES
from ssl4rl.data.images.classes import load_classified
from ssl4rl.errors import UserError


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
