"""The hash in an id covers which image an example shows and how it was changed, and nothing else."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl4rl.drafts import Draft, Redraw, ShownImage, content_hash
from ssl4rl.registry import BENCHMARKS, TASKS
from ssl4rl.tasks import Task
from ssl4rl.vision.benchmarks.imagenet import ImageNet
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.rotation import Rotation

VISION_TASKS = [name for name in TASKS.names() if TASKS.get(name).source_kind.side == "vision"]
VISION_BENCHMARKS = [name for name in BENCHMARKS.names() if BENCHMARKS.get(name).source_kind.side == "vision"]


class Noise:
    """Images of 48×48 coloured squares each."""

    def open(self, index, side):
        squares = np.random.default_rng(index).integers(256, size=(48, 48, 3), dtype=np.uint8)
        return Image.fromarray(squares).resize((480, 480), Image.Resampling.NEAREST)

    def describe(self, index):
        return f"noise {index}"


def noise(*contents: str) -> ImageSet:
    return ImageSet("noise", Noise(), [content.ljust(64, "0") for content in contents])


class FixedAngle(Rotation):
    """Turns image 0 by 180 degrees, in every example."""

    def slot(self, index, k):
        return 2

    def draft(self, index, rng):
        rng.bit_generator.state = np.random.default_rng(1).bit_generator.state
        return super().draft(index, rng)


def test_the_same_turn_of_two_images_has_two_hashes():
    one, other = (FixedAngle(noise(content)).example(0) for content in ("aa", "bb"))
    assert (one.parts[0], one.parts[4:], one.scoring) == (other.parts[0], other.parts[4:], other.scoring)
    assert one.id.hash != other.id.hash
    assert one.source_items == ("image:aa00000000000000",) and other.source_items == ("image:bb00000000000000",)


def test_the_same_turn_of_the_same_image_has_one_hash():
    one, again, other_index = FixedAngle(noise("aa")).example(0), FixedAngle(noise("aa")).example(0), 5
    assert one.id.hash == again.id.hash == FixedAngle(noise("aa")).example(other_index).id.hash
    # Whatever else is in the set, and at whatever place.
    larger = FixedAngle(noise("aa", *(f"{number:02}" for number in range(10))))
    larger.members = np.array([0])
    assert larger.example(0).id.hash == one.id.hash


def test_a_view_is_its_image_and_its_turn():
    rotation = Rotation(noise("aa"), level="hard")
    before, after = (part for part in rotation.draft(0, np.random.default_rng(0)).parts if isinstance(part, ShownImage))
    assert before.content == {
        "image": "aa" + "0" * 62,
        "decoded": 319,
        "shape": "square",
        "size": 319,
        "view": 224,
        "turn": before.content["turn"],
        "zoom": before.content["zoom"],
        "centre": before.content["centre"],
    }
    assert after.content["zoom"] != before.content["zoom"]
    assert after.content["turn"] - before.content["turn"] in range(-360, 361, 45)
    quarter = Rotation(noise("aa")).draft(0, np.random.default_rng(0))
    assert "-0.0" not in str([part.content for part in quarter.parts if isinstance(part, ShownImage)])


def drawn(task: Task[Any, Any], index: int, seed: int) -> Draft:
    """The first draft from that seed on that can be used."""
    for number in range(400):
        with suppress(Redraw):
            return task.draft(index, np.random.default_rng([seed, number]))
    raise AssertionError(f"no draft of {task.label} can be used")


@pytest.mark.parametrize("name", VISION_TASKS)
def test_every_image_of_every_level_says_what_it_shows(name):
    kind = TASKS.get(name)
    source = noise(*(f"{number:04}" for number in range(2000)))
    for level in kind.levels:
        task = kind(source, level=level)
        for index in range(5):
            draft = drawn(task, index, index)
            shown = [part for part in draft.parts if isinstance(part, ShownImage)]
            images = dict.fromkeys(part.content["image"] for part in shown)
            assert tuple(f"image:{content[:16]}" for content in images) == draft.source_items
            # Each view has its own content, unless it is turned by 0 degrees.
            assert len({str(part.content) for part in shown}) == len(shown) or draft.gold == "0"
            again = drawn(task, index, index)
            assert content_hash(again) == content_hash(draft)
            changed = drawn(task, index, index + 1000)
            assert content_hash(changed) != content_hash(draft)


@pytest.mark.parametrize("name", VISION_BENCHMARKS)
def test_shown_blank_and_no_image_of_every_size_have_hashes_of_their_own(name):
    kind = BENCHMARKS.get(name)
    source = kind.source_kind.load()
    hashes = []
    for knobs in ({}, {"image": "blank"}, {"image": "none"}, {"size": 100}):
        example = kind(source, split="test", knobs=knobs).example(3)
        hashes.append(example.id.hash)
        assert len(example.source_items) == 1 and example.source_items[0].startswith("image:")
    assert len(set(hashes)) == 4


def test_two_images_of_one_class_have_two_hashes():
    images = [ImageSet("noise", Noise(), [content * 64], given_splits=np.array([2])) for content in ("a", "b")]
    one, other = (
        ImageNet(ClassifiedImages(image, [["cat"], ["dog"]], np.array([0])), split="test", level="completion").draft(
            0, np.random.default_rng(0)
        )
        for image in images
    )
    assert one.parts[1:] == other.parts[1:] and one.scoring == other.scoring
    assert one.parts[0].content == {"image": "a" * 64, "shown": "shown", "size": None}
    assert content_hash(one) != content_hash(other)
