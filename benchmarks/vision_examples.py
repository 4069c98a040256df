"""Examples from 12-megapixel JPEGs against a plain PIL script; and whether memory grows with the images seen.

    python -m benchmarks.vision_examples [--runs 7]

The images are made here: drawn scenes enlarged to 4000×3000 pixels under grain, saved with quality 90. The peer does
what the default level of each task does to the same image, with the same angle, order, box and changes, as one would
write it with Pillow: open, turn upright, convert, crop and turn at full resolution, then resize to the size shown. Both
run in one process on one core, in pairs, and seconds of processor time for each example are compared.

Memory is the process's resident set after 1,000 and after 10,000 distinct small JPEGs, which all four tasks open in
turn.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.common import Run, figure, paired, report
from ssl4rl.example import Example
from ssl4rl.registry import SOURCE_KINDS, TASKS
from ssl4rl.rng import seeded_rng
from ssl4rl.vision.drawing.scenes import draw_scene
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.task import VisionTask
from ssl4rl.vision.transforms import changed

WIDE, HIGH = 4000, 3000
NUM_LARGE = 10
EXAMPLES = 4
"""Examples in one timed run."""
GRAIN = 7
"""Standard deviation of the grain, of 255."""
AT_LEAST = 2.0
MOST_GROWTH = 1.05
FEW, MANY, FILES = 1000, 10_000, 14_000
"""Distinct images after which memory is read, and how many there are (85 % of them in train)."""
SMALL = (80, 60)


def load(folder: Path) -> ImageSet:
    """The images of a folder."""
    images: ImageSet = SOURCE_KINDS.get("images").load(str(folder))
    return images


def large_images(folder: Path) -> ImageSet:
    """JPEGs of 12 megapixels."""
    for number in range(NUM_LARGE):
        rng = seeded_rng("large", number)
        values = np.asarray(draw_scene(number).resize((WIDE, HIGH), Image.Resampling.BICUBIC), dtype=np.float32)
        values += np.tile(rng.normal(0, GRAIN, (500, 500, 1)).astype(np.float32), (HIGH // 500, WIDE // 500, 1))
        image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
        image.save(folder / f"{number}.jpg", quality=90)
    return load(folder)


def small_images(folder: Path) -> ImageSet:
    """Many small JPEGs, all of them different."""
    for number in range(FILES):
        values = seeded_rng("small", number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(values).resize(SMALL).save(folder / f"{number}.jpg")
    return load(folder)


def plain_open(path: Path) -> Image.Image:
    """The image, upright, at full resolution."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def plain_square(path: Path) -> Image.Image:
    image = plain_open(path)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def plain_cut(square: Image.Image, box: Sequence[float]) -> Image.Image:
    left, top, right, bottom = (round(edge * square.width) for edge in box)
    return square.crop((left, top, right, bottom))


def plain_rotation(paths: Sequence[Path], meta: dict[str, Any], size: int) -> list[Image.Image]:
    image = plain_square(paths[0])
    return [view.resize((size, size), Image.Resampling.BICUBIC) for view in (image, image.rotate(meta["angle"]))]


def plain_jigsaw(paths: Sequence[Path], meta: dict[str, Any], size: int) -> list[Image.Image]:
    image = plain_square(paths[0])
    half, strip = image.width // 2, round(image.width / 2 * 0.05)
    shown = size // 2 - 2 * round(size / 2 * 0.05)
    pieces = [
        image.crop((x + strip, y + strip, x + half - strip, y + half - strip)) for y in (0, half) for x in (0, half)
    ]
    return [pieces[place - 1].resize((shown, shown), Image.Resampling.BICUBIC) for place in meta["order"]]


def plain_contrastive(paths: Sequence[Path], meta: dict[str, Any], size: int) -> list[Image.Image]:
    images = [plain_square(path) for path in dict.fromkeys(paths)]
    rng, views = seeded_rng("changes"), []
    for image, box, changes in zip((images[0], images[-1]), meta["boxes"], meta["changes"], strict=True):
        view = plain_cut(image, box).resize((size, size), Image.Resampling.BICUBIC)
        views.append(changed(view, dict.fromkeys(changes, 1.0), rng)[0])
    return views


def plain_position(paths: Sequence[Path], meta: dict[str, Any], size: int) -> list[Image.Image]:
    image = plain_square(paths[0])
    piece = plain_cut(image, meta["box"]).resize((size // 2, size // 2), Image.Resampling.BICUBIC)
    return [image.resize((size, size), Image.Resampling.BICUBIC), piece]


PEERS: dict[str, Callable[[Sequence[Path], dict[str, Any], int], list[Image.Image]]] = {
    "rotation": plain_rotation,
    "jigsaw": plain_jigsaw,
    "contrastive": plain_contrastive,
    "position": plain_position,
}


def processor_seconds(run: Run) -> float:
    """Seconds of processor time for each example of a run."""
    start = time.process_time()
    run()
    return (time.process_time() - start) / EXAMPLES


def check_alike(task: VisionTask[Any], example: Example, plain: list[Image.Image]) -> None:
    """Stops if the peer does not show what the task shows (views whose colours are changed at random are left out)."""
    if [image.size for image in plain] != [image.size for image in example.images]:
        raise SystemExit(f"{task.label}: the peer's images have other sizes")
    for mine, theirs in zip(example.images, plain, strict=True):
        apart = np.abs(np.asarray(mine, dtype=float) - np.asarray(theirs, dtype=float)).mean()
        if task.name != "contrastive" and apart > 6:
            raise SystemExit(f"{task.label}: the peer's images differ by {apart:.1f} of 255")


def speed(source: ImageSet, folder: Path, runs: int) -> list[dict[str, Any]]:
    """Our and the peer's time for an example of each task."""
    figures = []
    for name, peer in PEERS.items():
        task = TASKS.get(name)(source)
        examples = [task.example(index) for index in range(EXAMPLES)]
        asked = [([folder / name for name in example.meta["files"]], dict(example.meta)) for example in examples]
        for example, (paths, meta) in zip(examples, asked, strict=True):
            check_alike(task, example, peer(paths, meta, task.knobs.size))

        def ours(task: VisionTask[Any] = task) -> None:
            for index in range(EXAMPLES):
                task.example(index)

        def plain(peer: Callable[..., Any] = peer, asked: Any = asked, size: int = task.knobs.size) -> None:
            for paths, meta in asked:
                peer(paths, meta, size)

        figures.append(
            figure(
                f"{task.label} from 12-megapixel JPEGs",
                *paired(ours, plain, runs, measure=processor_seconds),
                at_least=AT_LEAST,
            )
        )
    return figures


def resident() -> float:
    """The process's resident set in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(source: ImageSet) -> dict[str, Any]:
    """The resident set after many distinct images, relative to that after few."""
    tasks = [TASKS.get(name)(source) for name in PEERS]
    seen: set[int] = set()
    sizes, index = {}, 0
    for target in (FEW, MANY):
        while len(seen) < target:
            seen.update(tasks[index % len(tasks)].example(index).meta["images"])
            index += 1
        sizes[f"{target} images"] = round(resident(), 1)
    growth = sizes[f"{MANY} images"] / sizes[f"{FEW} images"]
    name = f"resident set after {MANY:,} distinct images, over that after {FEW:,}"
    return figure(name, [growth], unit="times", at_most=MOST_GROWTH, megabytes=sizes, examples=index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SSL4RL_HOME"] = f"{folder}/home"
        large, small = Path(folder, "large"), Path(folder, "small")
        large.mkdir()
        small.mkdir()
        figures = [memory(small_images(small))]
        source = large_images(large)
        megabytes = sum(file.stat().st_size for file in large.iterdir()) / NUM_LARGE / 1e6
        figures += speed(source, large, options.runs)
    report("vision_examples", figures, ["pillow"], megabytes_per_large_file=round(megabytes, 2))


if __name__ == "__main__":
    main()
