"""Jigsaw: putting the pieces where the answer says gives the image back."""

from math import lcm

import numpy as np
import pytest
from PIL import Image

from ssl4rl.answers import score_permutation
from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.vision.tasks.jigsaw import Jigsaw, cut_into

SOURCE = noise(40)


def answer_of(example: Example) -> list[int]:
    """For each place, the number of the piece that belongs there."""
    return [int(number) for number in example.gold.split(", ")]


def shown_pieces(task: Jigsaw, images: list[Image.Image]) -> list[Image.Image]:
    """The numbered pieces, cut out of the mosaic again where there is one."""
    if task.knobs.layout == "separate":
        return images
    n, (whole,) = task.knobs.n, images
    gap = whole.width // n - (whole.width - (n - 1) * 12) // n if task.knobs.gap else 0
    gap = 12 if gap else 0
    side = (whole.width - (n - 1) * gap) // n
    return [
        whole.crop((x, y, x + side, y + side))
        for y in range(0, n * (side + gap), side + gap)
        for x in range(0, n * (side + gap), side + gap)
    ]


@pytest.mark.parametrize("level", Jigsaw.levels)
def test_the_answer_puts_the_image_together_again(level):
    task = Jigsaw(SOURCE, level=level)
    rows, columns = task.knobs.grid
    for example in map(task.example, range(6)):
        pieces = shown_pieces(task, example.images)
        assert len(pieces) == rows * columns and len({piece.size for piece in pieces}) == 1
        image = task.whole(example.meta["images"][0], task.knobs.size // lcm(rows, columns) * lcm(rows, columns)).image
        for number, place in zip(answer_of(example), cut_into(image, rows, task.knobs.gap, columns), strict=True):
            assert np.array_equal(np.asarray(pieces[number - 1]), np.asarray(place))


def test_without_a_gap_the_pieces_are_the_image_cut_to_a_multiple_of_n():
    task = Jigsaw(SOURCE, level="paper-3x3")
    example = task.example(1)
    pieces = [example.images[number - 1] for number in answer_of(example)]
    width, height = pieces[0].size
    whole = Image.new("RGB", (3 * width, 3 * height))
    for place, piece in enumerate(pieces):
        whole.paste(piece, (place % 3 * width, place // 3 * height))
    image = SOURCE.open(example.meta["images"][0])
    left, top = (image.width - whole.width) // 2, (image.height - whole.height) // 2
    assert (image.width - whole.width, image.height - whole.height) in ((2, 0), (0, 2))
    assert np.array_equal(
        np.asarray(whole), np.asarray(image.crop((left, top, left + whole.width, top + whole.height)))
    )


def test_the_gap_is_cut_off_every_piece():
    bare, gapped = (Jigsaw(SOURCE, knobs={"gap": gap}) for gap in (0.0, 0.25))
    assert bare.example(0).images[0].size == (112, 112)
    assert gapped.example(0).images[0].size == (84, 84)
    assert "strip" in gapped.example(0).text and "strip" not in bare.example(0).text


def test_a_grid_may_have_more_columns_than_rows():
    task = Jigsaw(SOURCE, knobs={"columns": 3, "size": 240, "gap": 0.0})
    example = task.example(0)
    assert [piece.size for piece in example.images] == [(80, 120)] * 6
    assert "cut into 2 rows and 3 columns of pieces" in example.text and len(answer_of(example)) == 6
    assert example.chance == 1 / 720 and Jigsaw(SOURCE, level="2x3").example(0).chance == 1 / 6
    (whole,) = Jigsaw(SOURCE, level="mosaic", knobs={"columns": 3, "size": 240, "gap": 0.0}).example(0).images
    assert whole.size == (240, 240)


def test_every_order_occurs_and_none_is_an_example():
    task = Jigsaw(SOURCE, knobs={"size": 64})
    examples = [task.example(i) for i in range(300)]
    assert len({tuple(answer_of(example)) for example in examples}) == 24
    assert len({example.text for example in examples}) == 1


@pytest.mark.parametrize(
    ("reply", "exact", "partial", "slots"),
    [
        ("3, 1, 4, 2", 1, 1, 1),
        ("[3 1 4 2]", 1, 1, 1),
        ("3, 1, 2, 4", 0, 0.5, 0.5),
        ("1, 1, 1, 1", 0, 0, 0.25),
        ("3, 1, 4, 2, 5", 0, 0, 1),
        ("3, 1", 0, 0, 0.5),
        ("3142", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_permutations_are_checked_except_by_the_papers_reward(reply, exact, partial, slots):
    gold = [3, 1, 4, 2]
    for reward, value in (("exact", exact), ("partial", partial), ("slots", slots)):
        assert score_permutation(f"<answer>{reply}</answer>", gold, reward).value == value


def test_chance_is_what_a_fixed_answer_earns():
    for reward, reply in (("exact", "2, 1, 4, 3"), ("partial", "2, 1, 4, 3"), ("slots", "1, 1, 1, 1")):
        task = Jigsaw(SOURCE, knobs={"reward": reward, "size": 64})
        values = np.array([task.score(f"<answer>{reply}</answer>", task.example(i)).value for i in range(400)])
        assert abs(values.mean() - task.example(0).chance) <= 3 * max(values.std(), 0.01) / 400**0.5


def test_pieces_that_are_too_small_are_refused():
    with pytest.raises(UserError, match=r"3×3 with gap=0.1 gives pieces of 16 px, under min_patch=28: raise task.size"):
        Jigsaw(SOURCE, knobs={"n": 3, "size": 56})
    with pytest.raises(UserError, match="and 480 a side are needed"):
        Jigsaw(SOURCE, knobs={"n": 4, "size": 600, "min_patch": 120}).example(0)


def test_the_least_piece_is_that_of_the_image_as_it_is_scaled():
    # 200 pixels are cut as 180, which five and six divide.
    with pytest.raises(UserError, match=r"5×6 with gap=0.1 gives pieces of 26 px, under min_patch=28"):
        Jigsaw(SOURCE, knobs={"n": 5, "columns": 6, "size": 200})
    with pytest.raises(UserError, match="gives pieces of 0 px"):
        Jigsaw(SOURCE, knobs={"n": 5, "columns": 6, "size": 29, "gap": 0.0, "min_patch": 4})
