"""Rotation: turning back gives the first image, and nothing but content shows the angle."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ssl4rl.answers import score_angle
from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.tasks.rotation import Rotation

SOURCE = noise(40)


def alike(a: Image.Image, b: Image.Image) -> float:
    """Correlation inside the middle disc."""
    side = min(*a.size, *b.size)
    values = []
    for image in (a, b):
        left, top = (image.width - side) // 2, (image.height - side) // 2
        values.append(np.asarray(image.convert("L").crop((left, top, left + side, top + side)), dtype=float))
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    inside = np.hypot(x, y) < side / 2 - 4
    return float(np.corrcoef(values[0][inside], values[1][inside])[0, 1])


@pytest.mark.parametrize("level", Rotation.levels)
def test_turning_back_gives_the_first_image(level):
    task = Rotation(SOURCE, level=level)
    for example in map(task.example, range(12)):
        before, after = example.images
        fits = {
            angle: alike(before, after.rotate(-angle, Image.Resampling.BICUBIC))
            for angle in range(0, 360, task.knobs.step)
        }
        angle = example.meta["angle"]
        assert max(fits, key=fits.__getitem__) == angle and example.gold == str(angle)
        # The paper's cut moves the centre by half a pixel, and PIL turns to the nearest pixel.
        assert fits[angle] > (0.6 if level.startswith("paper") else 0.9)


@pytest.mark.parametrize("step", [90, 45, 30, 72])
def test_every_angle_is_as_likely_and_all_views_have_one_size(step):
    task = Rotation(SOURCE, knobs={"step": step, "size": 32})
    examples = [task.example(i) for i in range(600)]
    counts = Counter(example.meta["angle"] for example in examples)
    share = 600 * step / 360
    assert sorted(counts) == list(range(0, 360, step))
    assert max(abs(count - share) for count in counts.values()) < 5 * share**0.5
    assert {image.size for example in examples for image in example.images} == {(32, 32)}
    assert not any(image.info for example in examples for image in example.images)


def test_quarter_turns_change_no_pixel():
    for example in map(Rotation(SOURCE).example, range(12)):
        before, after = map(np.asarray, example.images)
        assert np.array_equal(np.rot90(before, example.meta["angle"] // 90), after)


def test_the_prompt_says_how_both_images_lean():
    task = Rotation(SOURCE, level="hard")
    texts = {example.meta["tilt"]: example.text for example in map(task.example, range(20))}
    assert set(texts) == {22.5, -22.5}
    assert "22.5 degrees to the left" in texts[22.5] and "22.5 degrees to the right" in texts[-22.5]
    assert "steps of 45" in texts[22.5]


@pytest.mark.parametrize(
    "said", ["90", " 90 degrees.", "90°", "90.0", "+90 deg", "**90**", "90 degrees counter-clockwise"]
)
def test_an_angle_may_have_a_unit(said):
    assert score_angle(f"<answer>{said}</answer>", 90).value == 1


@pytest.mark.parametrize("said", ["", "0", "-90", "450", "9 0", "90 or 180", "90 degrees clockwise", "9" * 9999, "x90"])
def test_anything_else_is_no_angle(said):
    assert score_angle(f"<answer>{said}</answer>", 90).value == 0


def test_a_step_that_does_not_divide_the_circle_is_refused():
    with pytest.raises(UserError, match=r"task\.step=50.*divisor of 360"):
        Rotation(SOURCE, knobs={"step": 50})
