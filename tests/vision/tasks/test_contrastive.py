"""Contrastive: views come from where the example says, and a "no" never shows one image twice."""

import numpy as np
import pytest

from ssl4rl.audit.shortcuts import Noise, noise
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.transforms import CHANGES, cut, overlap

SOURCE = noise(40)
UNCHANGED = dict.fromkeys(CHANGES, 0.0)


@pytest.mark.parametrize("level", Contrastive.levels)
def test_unchanged_views_are_found_again_where_the_boxes_say(level):
    task = Contrastive(SOURCE, level=level, knobs=UNCHANGED)
    for example in map(task.example, range(8)):
        for view, index, box in zip(example.images, example.meta["images"], example.meta["boxes"], strict=True):
            assert view.size == (224, 224)
            size = [round((b - a) * 240) for a, b in zip(box[:2], box[2:], strict=True)]
            there = np.asarray(
                cut(SOURCE.open(index).crop(central(index)), tuple(box), *size).convert("L"), dtype=float
            )
            seen = np.asarray(view.convert("L").resize(size), dtype=float)
            assert np.corrcoef(there.ravel(), seen.ravel())[0, 1] > 0.97


def central(index: int) -> tuple[int, int, int, int]:
    width, height = SOURCE.open(index).size
    return (width - 240) // 2, (height - 240) // 2, (width + 240) // 2, (height + 240) // 2


def test_half_are_pairs_of_one_image_and_no_other_pair_shares_its_bytes():
    # Half of the images are copies of the other half.
    hashes = [f"{index % 20:064x}" for index in range(40)]
    copies = ImageSet("copies", Noise(40), hashes)
    for level in Contrastive.levels:
        task = Contrastive(copies, level=level, knobs={"size": 16})
        examples = [task.example(i) for i in range(300)]
        pairs = {answer: [e.meta["images"] for e in examples if e.gold == answer] for answer in ("yes", "no")}
        assert 110 < len(pairs["yes"]) < 190
        assert all(a == b for a, b in pairs["yes"])
        repeated = sum(hashes[a] == hashes[b] for a, b in pairs["no"])
        assert repeated == 0 if task.knobs.distinct else repeated > 0


class SomeSlivers(Noise):
    """Every second image is too small."""

    def open(self, index, side):
        image = super().open(index, side)
        return image.resize((400, 20)) if index % 2 else image


def test_images_that_are_too_small_do_not_make_yes_more_frequent():
    task = Contrastive(ImageSet("some", SomeSlivers(40), SOURCE.hashes), knobs={"size": 16})
    examples = [task.example(i) for i in range(300)]
    assert 115 < sum(example.gold == "yes" for example in examples) < 185
    assert all(index % 2 == 0 for example in examples for index in example.meta["images"])


def test_views_overlap_and_say_nothing_of_the_answer_by_their_size():
    task = Contrastive(SOURCE, level="hard", knobs={"size": 16, "min_overlap": 0.5})
    examples = [task.example(i) for i in range(600)]
    assert all(overlap(*map(tuple, example.meta["boxes"])) >= 0.5 for example in examples)
    area = {
        answer: np.array([(b[2] - b[0]) * (b[3] - b[1]) for e in examples if e.gold == answer for b in e.meta["boxes"]])
        for answer in ("yes", "no")
    }
    yes, no = area["yes"], area["no"]
    assert abs(yes.mean() - no.mean()) < 4 * np.hypot(yes.std() / len(yes) ** 0.5, no.std() / len(no) ** 0.5)


def test_the_prompt_names_the_changes_that_can_occur_and_no_others():
    some = Contrastive(SOURCE, knobs={**UNCHANGED, "solarize": 0.1}).example(0).text
    assert CHANGES["solarize"] in some
    assert not any(words in some for name, words in CHANGES.items() if name != "solarize")
    assert "may" not in Contrastive(SOURCE, knobs=UNCHANGED).example(0).text


def test_impossible_knobs_are_refused():
    with pytest.raises(NotApplicable, match="holds one image"):
        Contrastive(ImageSet("one", Noise(2), ["a" * 64] * 2))
    with pytest.raises(UserError, match=r"scale_min=0\.7 must be at most scale_max=0\.6"):
        Contrastive(SOURCE, knobs={"scale_min": 0.7})
    with pytest.raises(UserError, match="min_overlap=1 of their area"):
        Contrastive(SOURCE, knobs={"min_overlap": 1.0, "scale_min": 0.5, "scale_max": 0.5}).example(0)


class Pairs(Noise):
    """Every image is there twice, the second time with other bytes."""

    def open(self, index, side):
        image = super().open(index - index % 2, side)
        return image.point(lambda value: min(255, value + 1)) if index % 2 else image


def test_two_files_of_one_picture_are_no_pair_of_two():
    task = Contrastive(ImageSet("pairs", Pairs(8), [f"{index:064x}" for index in range(8)]), knobs={"size": 16})
    for example in map(task.example, range(100)):
        one, other = (index // 2 for index in example.meta["images"])
        assert (example.gold == "yes") == (one == other)
