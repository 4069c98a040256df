"""Cutting, turning, scaling and changing images. Every function returns a new RGB image.

Random changes draw from the generator that they are given, and from nothing else.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ssl4rl.drafts import Redraw
from ssl4rl.rng import moved

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
PixelBox = tuple[int, int, int, int]
"""The same in pixels."""

BICUBIC = Image.Resampling.BICUBIC
QUARTERS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
"""Counter-clockwise turns that move pixels and change none."""

CHANGES: Mapping[str, str] = {
    "flip": "mirrored left to right",
    "jitter": "changed in brightness, contrast, saturation and hue",
    "grayscale": "made grey",
    "blur": "blurred",
    "solarize": "solarized",
    "equalize": "equalized in its histogram",
}
"""Random changes in the order in which they are made, with the words for them in a prompt."""

JITTERS: Sequence[tuple[str, Callable[[Image.Image], Any] | None, float]] = (
    ("brightness", ImageEnhance.Brightness, 0.8),
    ("contrast", ImageEnhance.Contrast, 0.8),
    ("saturation", ImageEnhance.Color, 0.8),
    ("hue", None, 0.2),
)
"""Steps of the jitter, with strengths as in the paper's code: factors from 0.2 to 1.8, hue by ±0.2 turns."""
BLUR = (0.1, 2.0)
"""Standard deviation of the Gaussian blur in pixels of an image of side 224 (SimCLR: Chen et al. 2020, app. A)."""
SOLARIZE_FROM = 128
GREY = (128, 128, 128)
LEAST_DIFFERENCE = 3.0
"""Mean difference of two images' pixels, of 255, below which nobody can tell them apart."""
SEEN = 32
"""Pixels a side at which images are compared: what is finer than that is noise as often as not."""
APART_DRAWS, BOX_DRAWS = 500, 1_000
ASPECTS = (3 / 4, 4 / 3)
"""Width over height of a random crop (Szegedy et al. 2015, §6; torchvision's default)."""


def differences(images: Sequence[Image.Image]) -> NDArray[np.float64]:
    """The mean difference of each two images' pixels, of 255, with all images scaled to one size; infinite with itself.

    Returns:
        [N, N], symmetric.
    """
    small = [image.convert("RGB").resize((SEEN, SEEN), Image.Resampling.BOX) for image in images]
    pixels = np.stack([np.asarray(image, dtype=np.float64).reshape(-1) for image in small])
    result = np.stack([np.abs(pixels - row).mean(axis=1) for row in pixels])
    np.fill_diagonal(result, np.inf)
    return result


def look_alike(images: Sequence[Image.Image]) -> bool:
    """Whether two of the images cannot be told apart."""
    return bool(differences(images).min() < LEAST_DIFFERENCE)


def is_plain(image: Image.Image) -> bool:
    """Whether there is nothing to be seen but one colour."""
    colour = Image.new("RGB", image.size, image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)))
    return look_alike([image, colour])


def central(image: Image.Image) -> Image.Image:
    """The centre square, as large as it is."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.crop((left, top, left + edge, top + edge))


def square(image: Image.Image, side: int) -> Image.Image:
    """The centre square, scaled to ``side`` pixels with antialiasing."""
    return central(image).resize((side, side), BICUBIC)


def within(image: Image.Image, side: int) -> Image.Image:
    """The whole image, scaled down so that its shorter side has at most ``side`` pixels."""
    scale = side / min(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), BICUBIC)


def apart(
    rng: np.random.Generator, count: int, side: int, size: tuple[int, int], distance: float = 1.0
) -> list[PixelBox]:
    """So many squares of ``side`` pixels at random places of an image of that width and height.

    Any two are at least ``distance`` times their side apart, from corner to corner, across or down: with 1 none lies
    over another.

    Raises:
        Redraw: if they are not found.
    """
    pairs = np.triu_indices(count, 1)
    for _ in range(APART_DRAWS):
        left, top = (rng.integers(edge - side + 1, size=count) for edge in size)
        far = np.maximum(np.abs(left[:, None] - left), np.abs(top[:, None] - top)) >= distance * side
        if far[pairs].all():
            return [(x, y, x + side, y + side) for x, y in zip(left.tolist(), top.tolist(), strict=True)]
    raise Redraw("there is no room for the pieces")


def trimmed(side: int, gap: float) -> int:
    """Pixels cut away along a piece's side: an even number, so that both ends lose the same."""
    return 2 * round(gap * side / 2)


def cut(image: Image.Image, box: Box, width: int, height: int) -> Image.Image:
    """The part of an image inside ``box`` (fractions of its width and height), scaled."""
    left, top, right, bottom = box
    pixels = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    return image.resize((width, height), BICUBIC, box=pixels)


def canvas_for(side: int) -> int:
    """The side of a square that holds a centred square of ``side`` turned by any angle, with a pixel to spare."""
    return math.ceil(side * math.sqrt(2)) + 2


def turned(
    canvas: Image.Image, degrees: float, side: int, zoom: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)
) -> Image.Image:
    """A square of ``canvas``, ``side`` pixels a side, after a counter-clockwise turn, enlarged by ``zoom``.

    Its centre lies ``centre`` to the right of and below that of the canvas, in pixels. Quarter turns of the centre move
    pixels without changing any; everything else is resampled once, bicubically.
    """
    quarters, rest = divmod(degrees % 360, 90)
    if rest or zoom != 1:
        sine, cosine = (function(math.radians(rest)) / zoom for function in (math.sin, math.cos))
        # Output to input: the inverse of a counter-clockwise turn as seen, where y points down, about both centres.
        out, right, down = side / 2, canvas.width / 2 + centre[0], canvas.height / 2 + centre[1]
        matrix = (cosine, -sine, right - cosine * out + sine * out, sine, cosine, down - sine * out - cosine * out)
        view = canvas.transform((side, side), Image.Transform.AFFINE, matrix, BICUBIC)
    else:
        edge = (canvas.width - side) // 2
        view = canvas.crop((edge, edge, edge + side, edge + side))
    return view.transpose(QUARTERS[int(quarters)]) if quarters else view


def turned_inscribed(image: Image.Image, degrees: float) -> Image.Image:
    """Turned counter-clockwise and cut to the largest upright rectangle inside, as in the paper's code.

    The rectangle's size betrays the angle: 640×480 becomes 479×640 after 90 degrees, 639×479 after 180 and 339×339
    after 45. (Rounding down what floating point leaves just under a whole number takes the odd pixel.)
    """
    width, height = image.size
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    longer, shorter = max(image.size), min(image.size)
    if shorter <= 2 * sine * cosine * longer or abs(sine - cosine) < 1e-10:
        half = shorter / 2  # two corners touch the longer sides
        inside = (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    else:
        double = cosine * cosine - sine * sine
        inside = ((width * cosine - height * sine) / double, (height * cosine - width * sine) / double)
    view = image.rotate(degrees, expand=True)
    wide, high = (max(1, int(length)) for length in inside)
    left, top = (view.width - wide) // 2, (view.height - high) // 2
    return view.crop((left, top, left + wide, top + high))


def random_box(rng: np.random.Generator, scale: tuple[float, float]) -> Box:
    """A box in the unit square: its area uniform in ``scale``, its shape log-uniform in ``ASPECTS``, anywhere."""
    for _ in range(BOX_DRAWS):
        area = rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= 1 and height <= 1:
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            return left, top, left + width, top + height
    # Of all or nearly all of the square no other shape fits.
    side = math.sqrt(scale[0])
    left, top = rng.uniform(0, 1 - side), rng.uniform(0, 1 - side)
    return left, top, left + side, top + side


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes share, as a fraction of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0.0, width) * max(0.0, height) / smaller


def changed(
    image: Image.Image, chances: Mapping[str, float], rng: np.random.Generator
) -> tuple[Image.Image, dict[str, Any]]:
    """The image after each of ``CHANGES`` with its probability, and those that were made, with what was drawn for them.

    A change's value is JSON; with the name, it determines what was done.
    """
    made: dict[str, Any] = dict.fromkeys(name for name in CHANGES if rng.random() < chances.get(name, 0.0))
    for name in made:
        if name == "flip":
            image = ImageOps.mirror(image)
        elif name == "jitter":
            image, made[name] = jittered(image, rng)
        elif name == "grayscale":
            image = image.convert("L").convert("RGB")
        elif name == "blur":
            made[name] = rng.uniform(*BLUR) * max(image.size) / 224
            image = image.filter(ImageFilter.GaussianBlur(made[name]))
        elif name == "solarize":
            image = ImageOps.solarize(image, SOLARIZE_FROM)
        else:
            image = ImageOps.equalize(image)
    return image, made


def describe_changes(names: Sequence[str]) -> str:
    """How a prompt says which changes may have been made, to end a sentence with; empty without any."""
    if not names:
        return ""
    *some, last = (CHANGES[name] for name in names)
    return f"; then it may have been {', '.join(some)}{' or ' if some else ''}{last}"


def jittered(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, list[list[Any]]]:
    """Brightness, contrast, saturation and hue changed at random, in random order, as torchvision's ColorJitter.

    With the image come the name and the strength of each step, in the order in which they were made.
    """
    steps: list[list[Any]] = []
    for place in rng.permutation(len(JITTERS)).tolist():
        name, enhance, strength = JITTERS[place]
        if enhance is None:
            shift = round(rng.uniform(-strength, strength) * 256)
            image = _hue_shifted(image, shift)
            steps.append([name, shift])
        else:
            factor = rng.uniform(1 - strength, 1 + strength)
            image = enhance(image).enhance(factor)
            steps.append([name, factor])
    return image, steps


def _hue_shifted(image: Image.Image, shift: int) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda x: (x + shift) % 256), saturation, value)).convert("RGB")


def shuffled(image: Image.Image, grid: int, rng: np.random.Generator) -> Image.Image:
    """The image with each of its grid × grid pieces in another place; what the grid leaves over stays where it is."""
    width, height = image.width // grid, image.height // grid
    corners = [(column * width, row * height) for row in range(grid) for column in range(grid)]
    result = image.copy()
    for (left, top), place in zip(corners, moved(len(corners), rng), strict=True):
        result.paste(image.crop((left, top, left + width, top + height)), corners[place])
    return result


def encoded_again(image: Image.Image, quality: int) -> Image.Image:
    """The image as it is after being saved as a JPEG, colours at full resolution."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0)
    return Image.open(file).convert("RGB")


def greyed(image: Image.Image) -> Image.Image:
    """A grey image of the same size, which shows nothing."""
    return Image.new("RGB", image.size, GREY)
