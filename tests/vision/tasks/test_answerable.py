"""Images about which nobody could answer are passed over, and counted."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from ssl4rl.data.images.files import load_images
from ssl4rl.errors import NotApplicable
from ssl4rl.mixture import Mixture
from ssl4rl.tasks import describe_redrawn
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.connections import Connections
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.count import Count
from ssl4rl.vision.tasks.jigsaw import Jigsaw
from ssl4rl.vision.tasks.pair import Pair
from ssl4rl.vision.tasks.patch import Patch
from ssl4rl.vision.tasks.position import Position
from ssl4rl.vision.tasks.rotation import Rotation
from ssl4rl.vision.transforms import differences, is_plain

TASKS = (Rotation, Jigsaw, Position, Contrastive)


def squares(seed: int) -> Image.Image:
    """An image of 24×24 coloured squares."""
    colours = np.random.default_rng(seed).integers(256, size=(24, 24, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((480, 480), Image.Resampling.NEAREST)


def grained(image: Image.Image) -> Image.Image:
    """The image with noise of ±2 on every pixel, as a camera leaves it."""
    grain = np.random.default_rng(0).integers(-2, 3, size=(*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image).astype(int) + grain).clip(0, 255).astype(np.uint8))


class Some:
    """One image of so many can be asked about."""

    def __init__(self, useless: Image.Image, every: int = 2) -> None:
        self.useless, self.every = useless, every

    def open(self, index, side):
        return self.useless if (index + 1) % self.every else squares(index)

    def describe(self, index):
        return f"image {index}"


def image_set(useless: Image.Image, count: int = 60) -> ImageSet:
    return ImageSet("some", Some(useless), [f"{number:064}" for number in range(count)])


def plain() -> Image.Image:
    return grained(Image.new("RGB", (480, 480), (90, 140, 60)))


def rings() -> Image.Image:
    """The same after every turn, and full of things to see."""
    y, x = np.mgrid[:480, :480] - 239.5
    rings = (np.hypot(x, y) // 24 % 2 * 200).astype(np.uint8)
    return Image.fromarray(np.stack([rings] * 3, axis=-1))


def striped() -> Image.Image:
    """The same in every row, so that rows of pieces look alike."""
    row = np.random.default_rng(5).integers(256, size=(1, 16, 3), dtype=np.uint8)
    return Image.fromarray(row).resize((480, 480), Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    ("kind", "useless", "reason"),
    [
        (Rotation, plain(), "the image looks the same after a turn"),
        (Rotation, rings(), "the image looks the same after a turn"),
        (Jigsaw, plain(), "two pieces look alike"),
        (Jigsaw, striped(), "two pieces look alike"),
        (Position, plain(), "the piece looks like another part of the image"),
        (Position, striped(), "the piece looks like another part of the image"),
        (Contrastive, plain(), "a view shows one colour only"),
    ],
)
def test_what_nobody_could_answer_is_passed_over(kind, useless, reason):
    for level in kind.levels:
        task = kind(image_set(useless), level=level)
        shown = [task.example(index).meta["images"] for index in range(30)]
        assert all(image % 2 for images in shown for image in images)
        assert set(task.redrawn) == {reason}
        # Half of the images are useless; of two, three quarters of the pairs have one.
        assert 8 <= task.redrawn.total() <= (200 if kind is Contrastive else 80)
        assert f"{reason} ({task.redrawn.total()})" in describe_redrawn(task.redrawn)


def mirrored() -> Image.Image:
    """An image whose right half is the left one, mirrored."""
    half = squares(0).crop((0, 0, 240, 480))
    whole = Image.new("RGB", (480, 480))
    whole.paste(half, (0, 0))
    whole.paste(ImageOps.mirror(half), (240, 0))
    return whole


def recoloured() -> Image.Image:
    """An image whose quarters are alike but for their colours."""
    grey = squares(0).crop((0, 0, 240, 240)).convert("L")
    whole = Image.new("RGB", (480, 480))
    for number, weights in enumerate(((1, 1, 1), (1.8, 0.9, 0.6), (0.4, 1.2, 1.0), (1.2, 0.8, 1.6))):
        scale = sum(w * share for w, share in zip(weights, (0.299, 0.587, 0.114), strict=True))
        channels = [grey.point([round(0.5 * value * w / scale) for value in range(256)]) for w in weights]
        whole.paste(Image.merge("RGB", channels), (240 * (number % 2), 240 * (number // 2)))
    return whole


@pytest.mark.parametrize("useless", [mirrored(), recoloured()])
def test_a_piece_that_may_be_mirrored_or_grey_belongs_to_one_cell(useless):
    task = Position(image_set(useless), level="augmented")
    assert all(task.example(index).meta["images"][0] % 2 for index in range(30))
    assert 8 <= task.redrawn.total() <= 80
    # As it is, each piece has its place.
    plain = Position(image_set(useless))
    shown = [plain.example(index).meta["images"][0] for index in range(30)]
    assert not plain.redrawn and any(image % 2 == 0 for image in shown)


def test_the_column_in_the_middle_of_a_mirrored_image_can_be_asked_about():
    task = Position(image_set(mirrored()), level="augmented", knobs={"n": 3})
    asked = [task.example(index).meta for index in range(90)]
    assert len({tuple(meta["cell"]) for meta in asked}) == 9
    assert {meta["cell"][1] for meta in asked if meta["images"][0] % 2 == 0} == {1}


@pytest.mark.parametrize("kind", TASKS)
def test_a_set_of_nothing_else_is_refused(kind):
    with pytest.raises(NotApplicable, match=r"no usable example .*(look|colour)"):
        kind(ImageSet("plain", Some(plain(), 10_000), [f"{number:064}" for number in range(1, 60)])).example(0)


def test_right_answers_stay_balanced_where_images_are_passed_over():
    golds = [Rotation(image_set(plain())).example(index).gold for index in range(40)]
    assert all(golds.count(angle) == 10 for angle in ("0", "90", "180", "270"))


def test_a_mixture_counts_for_all_its_tasks():
    mixture = Mixture([Rotation(image_set(plain())), Jigsaw(image_set(plain()))])
    for index in range(40):
        mixture.example(index)
    assert set(mixture.redrawn) == {"the image looks the same after a turn", "two pieces look alike"}


def test_nothing_is_said_where_nothing_was_passed_over():
    task = Rotation(ImageSet("squares", Some(squares(0)), [f"{number:064}" for number in range(20)]))
    for index in range(10):
        task.example(index)
    assert describe_redrawn(task.redrawn) == ""


def test_differences_are_those_of_what_is_seen():
    one, other = squares(1), squares(2)
    between = differences([one, grained(one), other])
    assert np.isinf(np.diag(between)).all() and (between == between.T).all()
    assert between[0, 1] < 2 < 20 < between[0, 2]
    assert is_plain(plain()) and not is_plain(one)
    assert differences([one.resize((50, 50)), one.convert("L")]).shape == (2, 2)


@pytest.mark.parametrize("shape", ["square", "own"])
@pytest.mark.parametrize("task", [Count, Patch, Pair, Connections])
def test_images_whose_pieces_would_have_few_pixels_are_passed_over(task, shape, tmp_path):
    for index in range(30):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    with pytest.raises(NotApplicable, match=r"has 40×40 pixels, and \d+ a side are needed"):
        task(load_images(str(tmp_path)), knobs={"shape": shape}).example(0)
