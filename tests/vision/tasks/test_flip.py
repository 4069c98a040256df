"""Flip: mirroring the piece that the answer names gives the image back."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageOps

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.flip import Flip
from ssl4rl.vision.tasks.jigsaw import cut_into, mosaic
from ssl4rl.vision.transforms import trimmed

SOURCE = noise(40)


@pytest.mark.parametrize("level", Flip.levels)
def test_mirroring_the_right_piece_gives_the_image_back(level):
    task = Flip(SOURCE, level=level)
    n = task.knobs.n
    for example in map(task.example, range(8)):
        whole = task.whole(example.meta["images"][0], task.knobs.size // n * n).image
        pieces = cut_into(whole, n, task.knobs.gap)
        flipped = example.meta["options"]["ABCDEF".index(example.gold)]
        assert f"{example.gold}: row {flipped // n + 1}, column {flipped % n + 1}" in example.text
        pieces[flipped] = ImageOps.mirror(pieces[flipped])
        assert example.images[0].tobytes() == mosaic(pieces, n, trimmed(whole.width // n, task.knobs.gap)).tobytes()


def test_each_place_and_each_rank_come_equally_often():
    examples = [Flip(SOURCE).example(index) for index in range(32)]
    assert set(Counter((example.gold, example.meta["rank"]) for example in examples).values()) == {2}


class Even:
    """Images that look the same when any of their pieces is mirrored."""

    def open(self, index, side):
        rows = np.random.default_rng(index).integers(256, size=(480, 1, 3), dtype=np.uint8)
        return Image.fromarray(np.repeat(rows, 480, axis=1))

    def describe(self, index):
        return f"even {index}"


def test_pieces_that_look_the_same_when_mirrored_are_not_asked_about():
    with pytest.raises(NotApplicable, match="too few pieces look different when they are mirrored"):
        Flip(ImageSet("even", Even(), [f"{number:064}" for number in range(40)])).example(0)


def test_more_options_than_pieces_are_refused():
    with pytest.raises(UserError, match="a grid of 2×2 has fewer than num_candidates=5 pieces"):
        Flip(SOURCE, knobs={"n": 2, "num_candidates": 5})
