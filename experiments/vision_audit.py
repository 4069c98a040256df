"""Audit the image tasks for shortcuts: what does a classifier earn that sees only what should say nothing?

    python -m experiments.vision_audit [--examples 5000] [--resume]

The classifier is that of ``ssl4rl.audit.shortcuts``: it is trained on examples of the train split and tested on as many
of the test split, at every default level and at more levels of rotation, where something is expected. (What blind
replies earn is checked by ``experiments.audit``.)

On real images, sharpness also tells of content: a sky is smooth and lies at the top, and two views of a meadow have the
same grain. That is no leak: it would be one if what was done to the image could be told. To keep the two apart, the
classifier is run on images in two more ways, where content cannot tell and an excess was left there by the task:

- on noise: images of equal statistics, without an up or a place or a kind of their own;
- on real images with their content taken out of the question (``leveled``): for jigsaw and position, the quarters of
  each image are put in random order before the task sees it; for contrastive, both images of a "no" show the same.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ssl4rl.audit.registered import kinds_on
from ssl4rl.audit.shortcuts import PLAIN, SHARP, find_shortcuts, noise
from ssl4rl.environment import environment
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.rng import seeded_rng
from ssl4rl.vision.image_set import ImageSet, IntArray
from ssl4rl.vision.task import VisionTask
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.jigsaw import Jigsaw, cut_into, mosaic
from ssl4rl.vision.tasks.position import Position
from ssl4rl.vision.tasks.rotation import Rotation
from ssl4rl.vision.transforms import square

ALSO = ("hard", "paper-45")
"""The levels of rotation that the classifier is run on besides every default level and ``paper``."""


LEVELED = (Jigsaw, Contrastive, Position)
"""The tasks whose real images are also shown with their content taken out of the question."""


@dataclass(frozen=True)
class Copies:
    """One image's centre square under many hashes, its quarters in a new random order each time if ``mixed``."""

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


def leveled(kind: type[VisionTask[Any]], source: ImageSet, split: str, images: int = 250) -> list[VisionTask[Any]]:
    """The task on each of ``images`` images of the split, in copies from whose content no answer follows."""
    members = seeded_rng("leveled", source.name, split).permutation(source.members(split))[:images]
    tasks: list[VisionTask[Any]] = []
    for member in map(int, members):
        # Of the size at which the task shows an image: the borders between quarters stay where the task cuts.
        side = kind.knobs_type.model_fields["size"].default
        copies = Copies(square(source.open(member, side), side), mixed=kind is not Contrastive)
        hashes = [f"{member:032x}{index:032x}" for index in range(2000)]
        tasks.append(kind(ImageSet(f"{source.name}, leveled", copies, hashes), split=split))
    return tasks


def classify(train: Sequence[VisionTask[Any]], test: Sequence[VisionTask[Any]], examples: int) -> list[dict[str, Any]]:
    """A row for what the classifier earns without sharpness, and one with it."""
    shortcuts = find_shortcuts(train, test, examples)
    rows = [{**asdict(row), "errors_above_chance": row.errors_above_chance} for row in shortcuts]
    return [{key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows]


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
    kind = SOURCE_KINDS.get("images")
    if "noise" in names:
        yield noise()
    if "scenes" in names:
        yield kind.load("scenes")
    if "photos" in names and data.is_dir():
        yield kind.load(str(data / "photos"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--sources", nargs="+", default=["noise", "scenes", "photos"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/vision_audit.json"))
    parser.add_argument("--resume", action="store_true", help="keep the rows that the output has already")
    options = parser.parse_args()
    report: dict[str, Any] = {"environment": environment(), "classifier": []}

    if options.resume and options.output.is_file():
        report["classifier"] = json.loads(options.output.read_text(encoding="utf-8"))["classifier"]

    def add(source: str, label: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
        if any((row["source"], row["task"]) == (source, label) for row in report["classifier"]):
            return
        report["classifier"] += rows()
        print("\n".join(map(json.dumps, report["classifier"][-2:])), flush=True)
        options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def add_level(source: ImageSet, kind: type[VisionTask[Any]], level: str) -> None:
        train, test = (kind(source, level=level, split=split) for split in ("train", "test"))
        add(source.name, train.label, lambda: classify([train], [test], options.examples))

    def add_leveled(source: ImageSet, kind: type[VisionTask[Any]]) -> None:
        label = f"{kind.name}@{kind.default_level}"
        add(
            f"{source.name}, leveled",
            label,
            lambda: classify(leveled(kind, source, "train"), leveled(kind, source, "test"), options.examples),
        )

    image_sets = list(sources(options.sources, options.data))
    for source in image_sets:
        add_level(source, Rotation, "paper")
        for kind in kinds_on("images"):
            add_level(source, kind, kind.default_level)
            if source.name != "noise" and kind in LEVELED:
                add_leveled(source, kind)
    for level in ALSO:
        for source in image_sets:
            add_level(source, Rotation, level)
    for sees in (PLAIN, SHARP):
        print(table(report["classifier"], sees))


if __name__ == "__main__":
    main()
