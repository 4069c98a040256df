"""Cutting, turning and changing images, checked by hand or by undoing it."""

import numpy as np
import pytest
from PIL import Image

from ssl4rl.vision.transforms import (
    CHANGES,
    canvas_for,
    changed,
    describe_changes,
    overlap,
    random_box,
    square,
    turned,
    turned_inscribed,
    within,
)


def waves(width: int, height: int) -> Image.Image:
    """A smooth image without any symmetry, which resampling hardly changes."""
    y, x = np.mgrid[0:height, 0:width] / 40
    channels = [np.sin(x + 2 * y), np.cos(2 * x - y / 2), np.sin(x * y / 3)]
    return Image.fromarray(np.stack([127 + 100 * channel for channel in channels], axis=-1).astype(np.uint8))


def difference(a: Image.Image, b: Image.Image) -> float:
    """The greatest difference of any value inside the circle that both squares hold whatever their turn."""
    side = a.width
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    inside = np.hypot(x, y) < side / 2 - 3
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))[inside].max())


@pytest.mark.parametrize("degrees", [30, 45, 67.5, 90, 135, 180, 247.5, 270, 300])
def test_a_turn_is_counter_clockwise_without_zoom_and_can_be_undone(degrees):
    canvas = waves(canvas_for(100), canvas_for(100))
    view = turned(canvas, degrees, 100)
    assert view.size == (100, 100)
    centre = turned(canvas, 0, 100)
    assert difference(view, centre.rotate(degrees, Image.Resampling.BICUBIC)) < 12
    back = view.rotate(-degrees, Image.Resampling.BICUBIC)
    assert difference(back, centre) < 12
    if degrees % 90 == 0:
        assert np.array_equal(np.asarray(back), np.asarray(centre))


@pytest.mark.parametrize("degrees", [0, 30, 90, 225])
def test_an_enlarged_view_shows_a_part_of_its_own(degrees):
    canvas = waves(canvas_for(100), canvas_for(100))
    middle = canvas.width / 2
    view = turned(canvas, degrees, 100, 1.6, (10, -6))
    box = tuple(middle + at + end * 100 / 1.6 / 2 for end in (-1, 1) for at in (10, -6))
    part = canvas.resize((100, 100), Image.Resampling.BICUBIC, box)
    assert difference(view.rotate(-degrees, Image.Resampling.BICUBIC), part) < 12


def test_a_turned_view_never_reaches_past_the_canvas():
    white = Image.new("RGB", (canvas_for(64), canvas_for(64)), "white")
    assert all(np.asarray(turned(white, degrees, 64)).min() == 255 for degrees in np.arange(0, 360, 7.5))
    room = (1 - 1 / 1.6) * 64 / 2
    corners = [(x * room, y * room) for x in (-1, 1) for y in (-1, 1)]
    views = [turned(white, degrees, 64, 1.6, at) for degrees in np.arange(0, 360, 7.5) for at in corners]
    assert all(np.asarray(view).min() == 255 for view in views)


@pytest.mark.parametrize(("degrees", "size"), [(90, (479, 640)), (180, (639, 479)), (45, (339, 339)), (0, (640, 480))])
def test_the_papers_cut_betrays_the_angle_by_its_size(degrees, size):
    assert turned_inscribed(Image.new("RGB", (640, 480), "white"), degrees).size == size


def test_the_papers_cut_holds_nothing_but_the_image():
    for degrees in range(0, 360, 15):
        for shape in ((200, 120), (120, 200)):
            assert np.asarray(turned_inscribed(Image.new("RGB", shape, "white"), degrees)).mean() > 254


def test_squares_and_limits():
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste((0, 0, 0), (30, 0, 60, 30))
    assert np.asarray(square(wide, 60)).max() < 60 and square(wide, 60).size == (60, 60)
    assert within(wide, 15).size == (45, 15) and within(wide, 300).size == (90, 30)


def test_boxes_lie_inside_and_have_the_area_that_was_asked_for():
    rng = np.random.default_rng(0)
    for left, top, right, bottom in (random_box(rng, (0.08, 0.3)) for _ in range(500)):
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        assert 0.08 <= (right - left) * (bottom - top) <= 0.3
        assert 0.74 < (right - left) / (bottom - top) < 1.34
    assert overlap((0, 0, 0.5, 0.5), (0.25, 0, 0.5, 1)) == pytest.approx(0.5)
    assert overlap((0, 0, 0.5, 0.5), (0.6, 0.6, 1, 1)) == 0


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_made_or_not_and_depends_on_the_generator_alone(name):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    first, second = (changed(image, {name: 1.0}, np.random.default_rng(3)) for _ in range(2))
    assert list(first[1]) == [name] and first[0].mode == "RGB" and first[0].size == image.size
    assert np.array_equal(np.asarray(first[0]), np.asarray(second[0]))
    assert not np.array_equal(np.asarray(first[0]), np.asarray(image))
    assert np.array_equal(np.asarray(changed(image, {name: 0.0}, np.random.default_rng(3))[0]), np.asarray(image))


def test_a_prompt_mentions_every_change():
    assert describe_changes([]) == ""
    assert describe_changes(["flip"]).endswith("it may have been mirrored left to right")
    assert all(words in describe_changes(list(CHANGES)) for words in CHANGES.values())
