"""Every image task at every level, on photographs and noise; ``experiments.vision_audit`` takes 5,000 examples."""

import numpy as np
import pytest

from ssl4rl.audit.registered import kinds_on
from ssl4rl.audit.shortcuts import Noise, find_shortcuts, noise
from ssl4rl.errors import NotApplicable
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.tasks import is_paper_level
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.rotation import Rotation

KINDS = kinds_on("images")
LEVELS = [(kind, level) for kind in KINDS for level in kind.levels]
NAMES = [f"{kind.name}@{level}" for kind, level in LEVELS]


@pytest.fixture(scope="module")
def grain():
    return noise(60)


@pytest.mark.parametrize(("kind", "level"), LEVELS, ids=NAMES)
def test_examples_depend_on_their_index_alone_and_work_on_photographs(kind, level, real_data):
    photos = SOURCE_KINDS.get("images").load(str(real_data / "photos" / "coco"))
    one, other = (kind(photos, level=level, split="val") for _ in range(2))
    first = [one.example(i) for i in range(2)]
    second = [other.example(i) for i in (1, 0)][::-1]
    for a, b in zip(first, second, strict=True):
        assert (a.id, a.text, a.scoring, a.meta) == (b.id, b.text, b.scoring, b.meta)
        assert all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a.images, b.images, strict=True))
        assert set(a.meta["images"]) <= set(photos.members("val").tolist())
        assert all(image.mode == "RGB" and not image.info for image in a.images)


SLOW = ("pair", "match", "connections", "patch")
"""Tasks whose examples take long to build."""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if kind.name in SLOW else ())
        for kind in KINDS
        if not is_paper_level(kind.default_level)
    ],
)
def test_sizes_words_and_sharpness_tell_nothing_that_the_task_left_there(kind):
    # Enough images that few examples repeat one in the same order, which would count as one example.
    grain = noise(400)
    tasks = ([kind(grain, split=split)] for split in ("train", "test"))
    for row in find_shortcuts(*tasks, 400):
        assert row.errors_above_chance < 4, row


def test_the_check_finds_the_leak_of_the_papers_rotation(grain):
    assert is_paper_level("paper") and is_paper_level("paper-45")
    tasks = ([Rotation(grain, level="paper", split=split)] for split in ("train", "test"))
    rows = find_shortcuts(*tasks, 300)
    assert all(row.errors_above_chance > 8 for row in rows), rows


class Slivers(Noise):
    """Images 400×20 pixels large."""

    def open(self, index, side):
        return super().open(index, side).resize((400, 20))


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_too_small_are_passed_over_and_named_if_there_are_no_others(kind):
    slivers = ImageSet("slivers", Slivers(30), [f"{index:064x}" for index in range(30)])
    with pytest.raises(
        NotApplicable, match=r"no usable (example|image) on slivers/train .*noise \d+ has 400×20 pixels, and"
    ):
        kind(slivers).example(0)
    one = ImageSet("one", Noise(1), ["0" * 64])
    with pytest.raises(NotApplicable, match="one has no test images"):
        kind(one, split="test")
