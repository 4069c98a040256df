"""Audit every vision task at every level: what do replies earn that do not look, or look at the wrong thing?

    python -m experiments.vision_audit [--examples 5000] [--resume]

1. Replies that never looked: nothing, constants, lists, over-long ones, torn tags. None may earn more than chance.
2. A classifier (a random forest, and logistic regression) that sees only what should say nothing: the sizes of the
   pictures, what their objects carry besides pixels, the prompt's words, and how sharp each picture is. It is trained
   on examples of the train split and tested on as many of the test split, at every default level and at more levels
   of rotation, where something is expected.

Sharpness is the variance of the Laplacian, the energy of differences at 1, 2 and 4 pixels, and their ratios: of a
picture, its quarter turns and its mirror images they are the same. On real pictures they also tell of content: a sky is
smooth and lies at the top, and two views of a meadow have the same grain. That is no leak: what was done to the picture
would have to tell. To keep the two apart, the classifier is run on pictures in two more ways, where content cannot tell
and whatever is found was left there by the task:

- on noise: pictures of equal statistics, without an up or a place or a kind of their own;
- on real pictures with their content taken out of the question (``leveled``): for jigsaw and position, the quarters of
  each picture are put in random order before the task sees it; for contrastive, both pictures of a "no" show the same.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.data.images.files import load_images
from ssl4rl.example import Example
from ssl4rl.runs import environment
from ssl4rl.tasks import seeded_rng
from ssl4rl.vision.image_set import ImageSet, IntArray
from ssl4rl.vision.task import VisionTask
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.jigsaw import Jigsaw, cut_into, mosaic
from ssl4rl.vision.tasks.position import Position
from ssl4rl.vision.tasks.rotation import Rotation
from ssl4rl.vision.transforms import square

TASKS: tuple[type[VisionTask[Any]], ...] = (Rotation, Jigsaw, Contrastive, Position)
ALSO = ("hard", "harder", "paper-45")
"""The levels of rotation that the classifier is set on besides every default level and ``paper``."""

SEES = ("traits, text", "traits, text, sharpness")
"""What the classifier sees."""
PARTS = ("classifier", "contract")

Array = NDArray[np.float64]


class Noise:
    """Pictures of noise with a photograph's spectrum (amplitude 1/f), 320×240 and 240×320."""

    def __init__(self, count: int) -> None:
        self.count = count

    def open(self, index: int, side: int | None) -> Image.Image:
        return _noise(index)

    def describe(self, index: int) -> str:
        return f"noise {index}"

    def take(self, indices: IntArray) -> Noise:
        raise NotImplementedError


@lru_cache(maxsize=1000)
def _noise(index: int) -> Image.Image:
    rng = seeded_rng("noise", index)
    width, height = (320, 240) if rng.integers(2) else (240, 320)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.standard_normal((3, height, width))) / frequency
    grey = np.fft.irfft2(waves, s=(height, width))
    values = 128 + 40 * grey / grey.std(axis=(1, 2), keepdims=True)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def noise(count: int = 1000) -> ImageSet:
    """A set of noise pictures."""
    return ImageSet("noise", Noise(count), [f"{index:064x}" for index in range(count)])


@dataclass(frozen=True)
class Copies:
    """One picture's centre square under many hashes, its quarters in a new random order each time if ``mixed``."""

    square: Image.Image
    mixed: bool

    def open(self, index: int, side: int | None) -> Image.Image:
        if not self.mixed:
            return self.square
        order = seeded_rng("quarters", index).permutation(4)
        quarters = cut_into(self.square, 2, gap=0)
        return mosaic([quarters[place] for place in order], 2, gap=0)

    def describe(self, index: int) -> str:
        return f"copy {index}"

    def take(self, indices: IntArray) -> Copies:
        raise NotImplementedError


def leveled(kind: type[VisionTask[Any]], source: ImageSet, split: str, pictures: int = 250) -> list[VisionTask[Any]]:
    """The task on each of ``pictures`` pictures of the split, in copies from whose content no answer follows."""
    members = seeded_rng("leveled", source.name, split).permutation(source.members(split))[:pictures]
    tasks: list[VisionTask[Any]] = []
    for member in map(int, members):
        # Of the size at which the task shows a picture: the borders between quarters stay where the task cuts.
        side = kind.knobs_type.model_fields["size"].default
        copies = Copies(square(source.open(member, side), side), mixed=kind is not Contrastive)
        hashes = [f"{member:032x}{index:032x}" for index in range(2000)]
        tasks.append(kind(ImageSet(f"{source.name}, leveled", copies, hashes), split=split))
    return tasks


def blind_answers(task: VisionTask[Any]) -> list[str]:
    """Replies that a model could give without looking."""
    answers = ["", "yes", "no", "yes, no", "0", "90", "0, 90, 180, 270", "45", "top left", "bottom right", "top"]
    for places in (4, 9, 16, 25):
        answers += [", ".join(["1"] * places), ", ".join(map(str, range(1, places + 1)))]
    answers += ["1, 1", "2, 2", "3, 1", "1, 2, 3, 4, 1, 2, 3, 4", "9" * 5000, "1, " * 200]
    replies = [f"<answer>{answer}</answer>" for answer in answers]
    torn = ["", "90", "<answer>90", "<answer>yes</answer><answer>no</answer>", "<answer><answer>0</answer></answer>"]
    return [*replies, *torn, "</think><answer>0</answer></think>"]


def excess(task: VisionTask[Any], examples: Sequence[Example]) -> dict[str, float]:
    """Blind replies that earn more than chance by over three standard errors, with the excess in standard errors."""
    chance = np.array([task.chance(example) for example in examples])
    found = {}
    for reply in blind_answers(task):
        gain = np.array([task.score(reply, example).value for example in examples]) - chance
        # An answer that is right once in (n²)! may not have been right at all here: its error is known beforehand.
        error = max(float(gain.std(ddof=1)), float(np.sqrt(chance * (1 - chance)).mean())) / len(examples) ** 0.5
        if gain.mean() > 3 * error:
            found[reply[:60]] = round(float(gain.mean()) / error, 2)
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
    """The size and whatever a picture's object carries besides its pixels."""
    known = [image.mode == "RGB", getattr(image, "format", None) is None, not image.info, not dict(image.getexif())]
    return [*image.size, *map(float, known)]


def look(tasks: Sequence[VisionTask[Any]], count: int) -> tuple[Array, Array, NDArray[np.str_]]:
    """What the classifier sees of ``count`` examples, and their answers: [N, F] without and [N, G] with sharpness.

    Of every picture, and of its difference from the example's first. No picture is kept.
    """
    plain, sharp, answers = [], [], []
    for index in range(count):
        example = tasks[index % len(tasks)].example(index // len(tasks))
        words = example.text.lower().split()
        hashed = [_number(word) for word in sorted(set(words))[:40]]
        plain.append([len(example.text), len(words), *hashed, *_compared([traits(image) for image in example.images])])
        views = [sharpness(image) for image in example.images]
        ranks = np.argsort(np.argsort([view[0] for view in views]))
        sharp.append([*_compared(views), *ranks])
        answers.append(str(example.target))
    width = max(map(len, plain))
    without = np.array([row + [0.0] * (width - len(row)) for row in plain], dtype=np.float64)
    return without, np.hstack([without, np.array(sharp, dtype=np.float64)]), np.array(answers)


@lru_cache
def _number(word: str) -> float:
    return float(seeded_rng(word).random())


def _compared(views: Sequence[Sequence[float]]) -> list[float]:
    each = [value for view in views for value in view]
    return each + [b - a for view in views[1:] for a, b in zip(views[0], view, strict=True)]


def classify(tasks: Sequence[VisionTask[Any]], held_out: Sequence[VisionTask[Any]], count: int) -> list[dict[str, Any]]:
    """Held-out accuracy of two classifiers without and with sharpness, beside what guessing earns.

    Examples are taken in turn from tasks that differ in their pictures alone.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (*train, answers), (*test, right) = look(tasks, count), look(held_out, count)
    task = tasks[0]
    models = {
        "forest": RandomForestClassifier(100, min_samples_leaf=10, random_state=0),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    }
    chance = 1 / factorial(task.knobs.n**2) if isinstance(task, Jigsaw) else task.chance(task.example(0))
    error = (chance * (1 - chance) / count) ** 0.5
    rows = []
    for sees, seen, unseen in zip(SEES, train, test, strict=True):
        accuracy = {
            name: round(float((model.fit(seen, answers).predict(unseen) == right).mean()), 4)
            for name, model in models.items()
        }
        rows.append(
            {
                "source": task.source.name,
                "task": task.label,
                "sees": sees,
                "examples": count,
                "chance": round(chance, 4),
                **accuracy,
                "errors_above_chance": round((max(accuracy.values()) - chance) / error, 1),
            }
        )
    return rows


def scored(task: VisionTask[Any], indices: Iterable[int]) -> list[Example]:
    """Examples without their pictures, of which no scorer has a use."""
    return [replace(example, parts=(example.text,)) for example in map(task.example, indices)]


def contract(task: VisionTask[Any], count: int) -> dict[str, Any]:
    """What blind replies earn above chance in ``count`` examples, and how many gold answers score less than 1."""
    examples = scored(task, range(count))
    gold = [task.score(f"<think>?</think><answer>{task.gold(e)}</answer>", e).value for e in examples]
    suspects = excess(task, examples)
    if suspects:
        # About one in 700 honest constants exceeds three standard errors: an excess has to show on fresh examples too.
        again = excess(task, scored(task, range(count, 2 * count)))
        suspects = {reply: again[reply] for reply in suspects if reply in again}
    return {
        "source": task.source.name,
        "task": task.label,
        "examples": count,
        "gold_below_1": sum(value < 1 for value in gold),
        "blind_above_chance": suspects,
    }


def table(rows: Sequence[dict[str, Any]], sees: str) -> str:
    """Held-out accuracies of the better classifier as a table: levels down, sources across, distance in brackets."""
    across = list(dict.fromkeys(row["source"] for row in rows))
    lines = [f"| {sees} | chance | {' | '.join(across)} |", "|---" * (len(across) + 2) + "|"]
    for label in dict.fromkeys(row["task"] for row in rows):
        here = {row["source"]: row for row in rows if (row["task"], row["sees"]) == (label, sees)}
        cells = [
            f"{max(here[name]['forest'], here[name]['logistic']):.3f} ({here[name]['errors_above_chance']})"
            if name in here
            else "–"
            for name in across
        ]
        lines.append(f"| `{label}` | {next(iter(here.values()))['chance']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sources(names: Sequence[str], data: Path) -> Iterator[ImageSet]:
    """Noise, the drawn scenes, and real photographs where they are."""
    if "noise" in names:
        yield noise()
    if "scenes" in names:
        yield load_images(None)
    if "photos" in names and data.is_dir():
        yield load_images(str(data / "photos"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--contract-examples", type=int, default=2000)
    parser.add_argument("--sources", nargs="+", default=["noise", "scenes", "photos"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/vision_audit.json"))
    parser.add_argument("--resume", action="store_true", help="keep the rows that the output has already")
    options = parser.parse_args()
    report: dict[str, Any] = {"environment": environment(), "classifier": [], "contract": []}

    if options.resume and options.output.is_file():
        report |= {part: rows for part, rows in json.loads(options.output.read_text()).items() if part in PARTS}

    def add(part: str, source: str, label: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
        if any((row["source"], row["task"]) == (source, label) for row in report[part]):
            return
        report[part] += rows()
        print("\n".join(map(json.dumps, report[part][-2:])), flush=True)
        options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def add_row(source: ImageSet, kind: type[VisionTask[Any]], level: str) -> None:
        asked = [kind(source, level=level, split=split) for split in ("train", "test")]
        add("classifier", source.name, f"{kind.name}@{level}", lambda: classify(asked[:1], asked[1:], options.examples))

    def add_leveled(source: ImageSet, kind: type[VisionTask[Any]]) -> None:
        add(
            "classifier",
            f"{source.name}, leveled",
            f"{kind.name}@{kind.default_level}",
            lambda: classify(leveled(kind, source, "train"), leveled(kind, source, "test"), options.examples),
        )

    def add_contract(source: ImageSet, kind: type[VisionTask[Any]], level: str) -> None:
        task = kind(source, level=level)
        add("contract", source.name, task.label, lambda: [contract(task, options.contract_examples)])

    pictures = list(sources(options.sources, options.data))
    real = [source for source in pictures if source.name != "noise"]
    for source in pictures:
        add_row(source, Rotation, "paper")
        for kind in TASKS:
            add_row(source, kind, kind.default_level)
            if source in real and kind is not Rotation:
                add_leveled(source, kind)
    for level in ALSO:
        for source in pictures:
            add_row(source, Rotation, level)
    for source in real:
        for kind in TASKS:
            for level in kind.levels:
                add_contract(source, kind, level)
    for sees in SEES:
        print(table(report["classifier"], sees))


if __name__ == "__main__":
    main()
