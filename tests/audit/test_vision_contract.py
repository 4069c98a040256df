"""The contract of every vision task at every level, on noise and on photographs; ``vision_audit`` looks at 5,000."""

import numpy as np
import pytest

from experiments.vision_audit import TASKS, Noise, classify, contract, noise
from ssl4rl.data.images.files import load_images
from ssl4rl.tasks import NotApplicable
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.jigsaw import Jigsaw
from ssl4rl.vision.tasks.rotation import Rotation

LEVELS = [(kind, level) for kind in TASKS for level in kind.levels]
NAMES = [f"{kind.name}@{level}" for kind, level in LEVELS]


@pytest.fixture(scope="module")
def grain():
    return noise(60)


@pytest.mark.parametrize(("kind", "level"), LEVELS, ids=NAMES)
def test_gold_scores_one_and_nothing_blind_beats_chance(kind, level, grain):
    row = contract(kind(grain, level=level), 40)
    assert (row["gold_below_1"], row["blind_above_chance"]) == (0, {}), row


@pytest.mark.parametrize(("kind", "level"), LEVELS, ids=NAMES)
def test_examples_depend_on_their_index_alone_and_work_on_photographs(kind, level, real_data):
    photos = load_images(str(real_data / "photos" / "coco"))
    one, other = (kind(photos, level=level, split="val") for _ in range(2))
    first = [one.example(i) for i in range(2)]
    second = [other.example(i) for i in (1, 0)][::-1]
    for a, b in zip(first, second, strict=True):
        assert (a.id, a.text, a.target, a.meta) == (b.id, b.text, b.target, b.meta)
        assert all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a.images, b.images, strict=True))
        assert set(a.meta["pictures"]) <= set(photos.members("val").tolist())
        assert all(image.mode == "RGB" and not image.info for image in a.images)


@pytest.mark.parametrize("kind", TASKS)
def test_sizes_words_and_sharpness_tell_nothing_that_the_task_left_there(kind, grain):
    size = 64 if kind is not Jigsaw else 96
    tasks = ([kind(grain, split=split, knobs={"size": size})] for split in ("train", "test"))
    for row in classify(*tasks, 400):
        assert row["errors_above_chance"] < 4, row


def test_the_check_finds_the_leak_of_the_papers_rotation(grain):
    tasks = ([Rotation(grain, level="paper", split=split, knobs={"size": 64})] for split in ("train", "test"))
    rows = classify(*tasks, 300)
    assert all(row["errors_above_chance"] > 8 for row in rows), rows


class Slivers(Noise):
    """Pictures 400×20 pixels large."""

    def open(self, index, side):
        return super().open(index, side).resize((400, 20))


@pytest.mark.parametrize("kind", TASKS)
def test_pictures_that_are_too_small_are_passed_over_and_named_if_there_are_no_others(kind):
    slivers = ImageSet("slivers", Slivers(30), [f"{index:064x}" for index in range(30)])
    with pytest.raises(
        NotApplicable, match=r"no usable (example|picture) on slivers/train .*noise \d+ has 400×20 pixels, and"
    ):
        kind(slivers).example(0)
    one = ImageSet("one", Noise(1), ["0" * 64])
    with pytest.raises(NotApplicable, match="one have no test picture"):
        kind(one, split="test")
