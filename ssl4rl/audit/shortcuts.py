"""Does anything but the content of an image task's images give the answer away?

A classifier (a random forest, and logistic regression) sees the images' sizes, what their objects carry besides
pixels, the prompt's words, and, each in a view of its own, how sharp each image is and where the 8×8 blocks of its
JPEG lie. It is trained on one split and tested on another.

Sharpness is the variance of the Laplacian, the energy of differences at 1, 2 and 4 pixels, and their ratios: an image,
its quarter turns and its mirror images have the same. On real images it also tells of content (a sky is smooth, and at
the top), which is no shortcut. So the classifier is run on noise, where an excess can only have been left by the task.
Noise that was a JPEG has blocks as well: what was cut out of it shows by how far the cut is off their grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl import answers
from ssl4rl.example import Example
from ssl4rl.rng import seeded_rng
from ssl4rl.tasks import Task
from ssl4rl.vision.image_set import ImageSet, IntArray

PLAIN, SHARP, GRID = "traits, text", "traits, text, sharpness", "traits, text, JPEG grid"
"""What the classifier sees: what a blank image leaves, and that with the images' sharpness or their JPEG's blocks."""
BLOCK, CLEAR = 8, 1.1
"""Pixels a side of a JPEG's blocks, and by what factor steps between clear ones exceed all others."""
MOST_WORDS = 40
"""Distinct words of a prompt that it sees, in alphabetical order."""

Array = NDArray[np.float64]
ImageTask = Task[ImageSet, Any]


def is_on_images(task: Task[Any, Any]) -> bool:
    """Whether what a task asks is cut from images, so that they could carry the answer besides showing it."""
    return isinstance(task.source, ImageSet)


class Noise:
    """Images of noise with a photograph's spectrum (amplitude 1/f), 320×240 and 240×320.

    With ``quality`` each was saved as a JPEG of that quality, and opened again.
    """

    def __init__(self, count: int, quality: int | None = None) -> None:
        self.count, self.quality = count, quality

    def open(self, index: int, side: int | None) -> Image.Image:
        return _draw_noise(index, self.quality)

    def describe(self, index: int) -> str:
        return f"noise {index}"

    def take(self, indices: IntArray) -> Noise:
        raise NotImplementedError


@lru_cache(maxsize=1000)
def _draw_noise(index: int, quality: int | None) -> Image.Image:
    rng = seeded_rng("noise", index)
    width, height = (320, 240) if rng.integers(2) else (240, 320)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.standard_normal((3, height, width))) / frequency
    grey = np.fft.irfft2(waves, s=(height, width))
    values = 128 + 40 * grey / grey.std(axis=(1, 2), keepdims=True)
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    if quality is None:
        return image
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.fromarray(np.asarray(Image.open(file).convert("RGB")))


def noise(count: int = 1000, quality: int | None = None) -> ImageSet:
    """A set of noise images: without an up, a place or a kind of their own; as JPEGs if a ``quality`` is given."""
    return ImageSet("noise", Noise(count, quality), [f"{index:064x}" for index in range(count)])


@dataclass(frozen=True)
class Shortcut:
    """What the classifiers earn on held-out examples, and what guessing does."""

    source: str
    task: str
    sees: str
    examples: int
    chance: float
    forest: float
    logistic: float

    @property
    def errors_above_chance(self) -> float:
        """How far the better of the two is above chance, in standard errors of guessing."""
        error = float(np.sqrt(self.chance * (1 - self.chance) / self.examples))
        return round((max(self.forest, self.logistic) - self.chance) / error, 1)


def find_shortcuts(
    tasks: Sequence[ImageTask], held_out: Sequence[ImageTask], count: int, views: Sequence[str] = (PLAIN, SHARP)
) -> list[Shortcut]:
    """Trains the classifiers on ``count`` examples of ``tasks`` and tests them on as many of ``held_out``.

    Examples are taken in turn from tasks that differ in their images alone. Each of ``views`` is a row.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (train, fitted_on), (test, asked) = features(tasks, count, views), features(held_out, count, views)
    golds = np.array([example.gold for example in fitted_on])
    if len(set(golds.tolist())) < 2:
        return []  # nothing to tell apart
    task = tasks[0]
    rows = []
    for sees in views:
        forest = RandomForestClassifier(100, min_samples_leaf=10, random_state=0)
        logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        fitted = [model.fit(train[sees], golds) for model in (forest, logistic)]
        earned = [_mean_score(model.predict(test[sees]).tolist(), asked) for model in fitted]
        rows.append(Shortcut(task.source.name, task.label, sees, count, task.example(0).chance, *earned))
    return rows


def _mean_score(replies: Sequence[str], examples: Sequence[Example]) -> float:
    pairs = zip(replies, examples, strict=True)
    return float(np.mean([answers.score(each.reply_with(reply), each.scoring).value for reply, each in pairs]))


def features(tasks: Sequence[ImageTask], count: int, views: Sequence[str]) -> tuple[dict[str, Array], list[Example]]:
    """What the classifier sees of ``count`` examples in each of ``views``, [N, F], and the examples without images.

    Of every image, and of its difference from the example's first.
    """
    rows: dict[str, list[list[float]]] = {view: [] for view in views}
    plain, examples = [], []
    for index in range(count):
        example = tasks[index % len(tasks)].example(index // len(tasks))
        words = example.text.lower().split()
        hashed = [_number(word) for word in sorted(set(words))[:MOST_WORDS]]
        plain.append([len(example.text), len(words), *hashed, *_compared([traits(image) for image in example.images])])
        if SHARP in rows:
            sharp = [sharpness(image) for image in example.images]
            ranks = np.argsort(np.argsort([each[0] for each in sharp]))
            rows[SHARP].append([*_compared(sharp), *map(float, ranks)])
        if GRID in rows:
            rows[GRID].append(_compared([grid_offset(image) for image in example.images]))
        examples.append(replace(example, parts=(example.text,)))
    width = max(map(len, plain))
    without = np.array([row + [0.0] * (width - len(row)) for row in plain], dtype=np.float64)
    seen = {
        view: np.hstack([without, np.array(own, dtype=np.float64)]) if own else without for view, own in rows.items()
    }
    return seen, examples


def grid_offset(image: Image.Image) -> list[float]:
    """Which of the first eight pixels across, and down, the blocks of a JPEG begin after; −1 where none are seen.

    Where blocks meet there is a step, so every eighth difference is greater than the others (Fan and de Queiroz 2003).
    What is in the image shows in these differences, too, so that nothing but a clear grid counts.
    """
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    found = []
    for steps in (np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)):
        means = [float(steps[offset::BLOCK].mean()) for offset in range(BLOCK)] if len(steps) >= BLOCK else [0.0, 0.0]
        second, first = sorted(means)[-2:]
        found.append(float(np.argmax(means)) if first > CLEAR * second else -1.0)
    return found


def sharpness(image: Image.Image) -> list[float]:
    """Logarithms of the Laplacian's variance, of the energies of differences at 1, 2 and 4 pixels, and their ratios."""
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    energy = [float(laplacian.var())]
    for gap in (1, 2, 4):
        across, down = grey[:, gap:] - grey[:, :-gap], grey[gap:] - grey[:-gap]
        energy.append(float(np.square(across).mean() + np.square(down).mean()) if across.size and down.size else 0.0)
    logs = [round(float(np.log(value + 0.01)), 4) for value in energy]
    return [*logs, logs[0] - logs[1], logs[1] - logs[2], logs[2] - logs[3]]


def traits(image: Image.Image) -> list[float]:
    """The size and whatever an image's object carries besides its pixels."""
    known = [image.mode == "RGB", getattr(image, "format", None) is None, not image.info, not dict(image.getexif())]
    return [*image.size, *map(float, known)]


@lru_cache
def _number(word: str) -> float:
    return float(seeded_rng(word).random())


def _compared(views: Sequence[Sequence[float]]) -> list[float]:
    each = [value for view in views for value in view]
    return each + [b - a for view in views[1:] for a, b in zip(views[0], view, strict=True)]
