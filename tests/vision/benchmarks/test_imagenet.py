"""Classification: names, options that are distinct, and subsets that are balanced."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ssl4rl.benchmarks import accepted_answers
from ssl4rl.data.images.classes import load_classified
from ssl4rl.errors import NotApplicable
from ssl4rl.vision.benchmarks.imagenet import ImageNet
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import ImageSet

NAMES = [["crane"], ["Crane", "wading bird"], ["tench", "Tinca tinca"], ["moth"], ["barn"], ["night moth", "moth"]]


class Plain:
    """Images of one colour."""

    def open(self, index, side):
        return Image.new("RGB", (48, 32), (index % 256, 80, 80))

    def describe(self, index):
        return f"plain {index}"


def classified(per_class, names=NAMES):
    classes = np.repeat(np.arange(len(per_class)), per_class)
    images = ImageSet(
        "plain", Plain(), [f"{index:064x}" for index in range(len(classes))], given_splits=np.full(len(classes), 2)
    )
    return ClassifiedImages(images, names, classes)


def test_options_come_from_classes_that_share_no_name():
    source = classified([4, 4, 4, 4, 4, 4])
    benchmark = ImageNet(source, split="test")
    for index in range(benchmark.size):
        example = benchmark.example(index)
        names = list(benchmark.choices(example).values())
        right = source.classes[example.meta["images"][0]]
        assert benchmark.choices(example)[accepted_answers(example)[0]] == NAMES[right][0]
        # Of the two cranes one is offered, and a moth is not set against a night moth.
        assert len(names) == 4 and len({name.lower() for name in names}) == 4
        assert not {"moth", "night moth"} <= set(names)
        assert benchmark.score(f"<answer>{example.gold}</answer>", example).value == 1


def test_every_name_of_a_class_is_right():
    benchmark = ImageNet(classified([0, 0, 3, 0, 0, 0]), split="test", level="completion")
    example = benchmark.example(0)
    assert example.text == (
        "What is the main thing in this image? Name it as specifically as you can.\n"
        "Reply in exactly this form: <think>your reasoning in one sentence</think><answer>its name</answer>"
    )
    for reply, value in (("tench", 1), ("TINCA  tinca", 1), ("Tinca", 0), ("a tench", 0), ("moth", 0)):
        assert benchmark.score(f"<answer>{reply}</answer>", example).value == value
    assert set(benchmark.choices(example)) == {name for names in NAMES for name in names} == set(benchmark.vocabulary)
    assert example.chance == 2 / 8 and accepted_answers(example) == ["tench", "Tinca tinca"]


def test_the_first_items_are_a_balanced_subset():
    benchmark = ImageNet(classified([5, 2, 5, 5, 3, 5]), split="test")
    classes = [example.meta["class"] for example in map(benchmark.example, range(benchmark.size))]
    assert benchmark.size == 25
    for count in (6, 12):
        assert set(Counter(benchmark.source.classes[benchmark.images[:count]].tolist()).values()) == {count // 6}
    assert len(set(benchmark.images)) == 25 and Counter(classes)["moth"] == 5


def test_the_same_items_whatever_is_shown_of_them():
    source = classified([4, 4, 4, 4, 4, 4])
    one, other = ImageNet(source, split="test"), ImageNet(source, split="test", knobs={"image": "none"})
    for index in range(one.size):
        a, b = one.example(index), other.example(index)
        assert (a.text, a.scoring, a.gold, a.meta) == (b.text, b.scoring, b.gold, b.meta) and not b.images


def test_real_images(real_data):
    source = load_classified(str(real_data / "imagenet"))
    benchmark = ImageNet(source, split="test", level="choice-200")
    assert 10 < benchmark.size < 50
    example = benchmark.example(0)
    assert list(benchmark.choices(example)) == [str(number + 1) for number in range(200)]
    assert len({name.lower() for name in benchmark.choices(example).values()}) == 200
    assert example.text.endswith("<answer>one number from 1 to 200</answer>")
    every = ImageNet(source, split="test", knobs={"images": "all"})
    assert every.size == 250
    with pytest.raises(NotApplicable, match="leaves no image for training examples"):
        ImageNet(source, split="train", knobs={"images": "all"})
    with pytest.raises(NotApplicable, match="has no labelled val images"):
        ImageNet(classified([2, 2]), split="val")
