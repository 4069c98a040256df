"""Pictures with classes: where their names come from."""

import pytest
from PIL import Image

from ssl4rl.data.images.classes import load_classified
from ssl4rl.errors import UserError


@pytest.fixture
def coded(tmp_path):
    """Two classes of pictures in folders called by codes."""
    root = tmp_path / "pictures"
    for place, code in enumerate(("n01", "n02")):
        (root / code).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (place * 100, number * 60, 50)).save(root / code / f"{number}.png")
    return root


def test_names_of_codes(coded):
    (coded / "classes.csv").write_text('wnid,class_name\nn02,crane\nn03,moth\nn01,"tench, Tinca tinca"\n')
    found = load_classified(str(coded))
    assert (
        found.names == [["crane"], ["moth"], ["tench", "Tinca tinca"]] and found.classes.tolist() == [2] * 3 + [0] * 3
    )
    (coded / "classes.csv").unlink()
    folders = load_classified(str(coded))
    assert folders.names == [["n01"], ["n02"]] and folders.fingerprint != found.fingerprint
    # ImageNet's own list, beside the folder that holds the class folders.
    (coded.parent / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 crane\n")
    assert load_classified(str(coded)).names == [["tench", "Tinca tinca"], ["crane"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wnid,class_name\nn01,tench\n", "has no class 'n02', which is a folder of pictures"),
        ("wnid,class_name\nn01,tench\nn01,crane\n", "row 3, field wnid: 'n01' occurs twice"),
        ('wnid,class_name\nn01,tench\nn02," , "\n', "row 3, field class_name: a class has no name"),
        ("wnid,name\nn01,tench\n", "there is no column 'class_name'"),
    ],
)
def test_bad_names(coded, text, message):
    (coded / "classes.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load_classified(str(coded))


def test_pictures_without_classes_are_refused(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match="have no labels; put each class into a folder"):
        load_classified(str(tmp_path))


def test_real_pictures_and_the_scenes(real_data):
    found = load_classified(str(real_data / "imagenet"))
    assert len(found.images) == 250 and len(found.names) == 1000
    assert sum(names == ["crane"] for names in found.names) == 2
    assert load_classified().names == [[name] for name in load_classified().images.label_names]
