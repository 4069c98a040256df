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


@pytest.mark.parametrize("level", [level for level, knobs in Rotation.levels.items() if "zoom" not in knobs])
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


def test_no_two_enlarged_views_agree_in_every_pixel():
    task = Rotation(SOURCE, level="hard")
    for example in map(task.example, range(24)):
        before, after = example.images
        if example.meta["angle"] % 90 == 0:
            turned = np.rot90(np.asarray(before), example.meta["angle"] // 90)
            assert np.abs(turned.astype(int) - np.asarray(after)).mean() > 1
        assert example.gold == str(example.meta["angle"])


@pytest.mark.parametrize(("step", "zoom"), [(90, 1.0), (90, 1.6), (45, 1.6), (180, 1.0)])
def test_every_angle_is_as_likely_and_all_views_have_one_size(step, zoom):
    task = Rotation(SOURCE, knobs={"step": step, "zoom": zoom, "size": 32})
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


def test_steps_that_would_leak_are_refused():
    for knobs, reason in (
        ({"step": 30}, r"task\.step=30.*45, 90 or 180"),
        ({"step": 45}, r"step=45 needs a zoom of at least 1\.5"),
        ({"step": 45, "zoom": 1.2}, "needs a zoom"),
        ({"shape": "own", "zoom": 1.6}, "needs shape=square"),
    ):
        with pytest.raises(UserError, match=reason):
            Rotation(SOURCE, knobs=knobs)
    assert Rotation(SOURCE, level="paper-45").num_slots == 8
