"""Was what is held out trained on? Copies by the hash of their content, and near copies.

Texts are near copies from a Jaccard similarity of 0.8 between their runs of five words on, which MinHash finds (Lee et
al. 2022, §4.2). Images are if their difference hashes nearly agree (64 bits: is each pixel of a thumbnail brighter than
the one to its left) and their pixels, scaled down, do so as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.answers import words
from ssl4rl.benchmarks import Benchmark
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.source import Source
from ssl4rl.tasks import AnyTask
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.questions import TRAIN, QuestionSet
from ssl4rl.vision.transforms import LEAST_DIFFERENCE, SEEN

SHINGLE, SIMILAR, PERMUTATIONS = 5, 0.8, 64
"""Words of a run, the least share of runs that near copies have in common, and the length of a MinHash."""
BITS_APART = 10
"""Bits of 64 by which the difference hashes of near copies may differ; their pixels decide."""
MOST_TEXTS, MOST_IMAGES = 50_000, 5_000
"""So many texts of the trained side, and images of either, are compared for near copies: of more, some of all parts.
(Exact copies: among all.)"""


@dataclass(frozen=True)
class Item:
    """Something that may have been trained on: a text, or an image."""

    name: str
    hash: str
    """Of its content: of a text's words, of an image's bytes."""
    text: str = ""
    open: Callable[[], Image.Image] | None = None


@dataclass(frozen=True)
class Overlap:
    """How much of what is held out occurs in what was trained on."""

    trained: str
    held_out: int
    exact: int
    near: int
    first: str
    """Which of them is a copy of what; empty if none is."""
    compared: str
    """How many were compared for near copies, where that was not all; else empty."""

    @property
    def share(self) -> float:
        """The share of the held-out items that have a copy, near or exact."""
        return (self.exact + self.near) / self.held_out


def find_overlap(task: AnyTask, count: int, trained_on: Source | None = None) -> Overlap | None:
    """What training could have seen of what a task holds out (its split val, of a benchmark the split that it asks).

    Training is that on the split train of ``trained_on``, or else of the same data; of graphs on all (other) nodes, as
    prompts may show any node's text. None where there is nothing to compare.
    """
    held_out = _held_out(task, count)
    own = {item.name for item in held_out}
    if trained_on is not None and trained_on.fingerprint != task.source.fingerprint:
        trained, name = list(_items(trained_on, "train")), f"{trained_on.name}, which was trained on"
    elif isinstance(task.source, TextAttributedGraph):
        trained = [item for item in _items(task.source, "train") if item.name not in own]
        name = f"other nodes of {task.source.name}"
    else:
        trained, name = list(_items(task.source, "train")), f"{task.source.name}/train"
    if not held_out or not trained:
        return None
    by_hash = {item.hash: item.name for item in trained}
    exact = {item.name: by_hash[item.hash] for item in held_out if item.hash in by_hash}
    rest = [item for item in held_out if item.name not in exact]
    of_texts = held_out[0].open is None
    asked = rest if of_texts else _spread(rest, MOST_IMAGES)
    known = _spread(trained, MOST_TEXTS if of_texts else MOST_IMAGES)
    near = _near_texts(asked, known) if of_texts else _near_images(asked, known)
    copies = exact | near
    first = next((f"{item} is a copy of {other}" for item, other in copies.items()), "")
    compared = "" if len(asked) + len(known) == len(rest) + len(trained) else f"{len(asked):,} with {len(known):,}"
    return Overlap(name, len(held_out), len(exact), len(near), first, compared)


def _spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """All items, or that many at equal distances: a folder may be sorted by class."""
    return items if len(items) <= most else [items[place * len(items) // most] for place in range(most)]


def _held_out(task: AnyTask, count: int) -> list[Item]:
    if not isinstance(task.source, TextAttributedGraph):
        return list(_items(task.source, task.split if isinstance(task, Benchmark) else "val"))
    try:
        asked = task if isinstance(task, Benchmark) else task.on_split("val")
        size = min(count, asked.size) if isinstance(asked, Benchmark) else count
        items = {item for index in range(size) for item in asked.example(index).source_items}
    except NotApplicable:
        return []
    named = [item.partition(":")[2] for item in items if item.startswith(("node:", "pair:"))]
    nodes = {int(node) for name in named for node in name.split("-")}
    return [item for item in _items(task.source, "train") if int(item.name.rpartition(" ")[2]) in nodes]


def _items(source: Source, split: str) -> Iterator[Item]:
    """The texts of a graph's nodes, or the images of a split; nothing of other sources."""
    if isinstance(source, TextAttributedGraph):
        for node in np.flatnonzero(source.has_text).tolist():
            content = hashlib.sha256(" ".join(words(source.texts[node])).encode("utf-8", "surrogatepass"))
            yield Item(f"{source.name} node {node}", content.hexdigest(), source.texts[node])
    elif isinstance(source, ImageSet | ClassifiedImages):
        images = source if isinstance(source, ImageSet) else source.images
        for index in images.members(split).tolist():
            yield Item(f"{source.name} {images.describe(index)}", images.hashes[index], open=_opener(images, index))
    elif isinstance(source, QuestionSet):
        rows = [row for row in source.questions if (row.part == TRAIN) == (split == "train")]
        parts = {image for row in rows for image in row.images}
        for index in sorted(parts):
            described = f"{source.name} {source.store.describe(index)}"
            yield Item(described, source.hashes[index], open=_opener(source.store, index))


def _opener(store: Any, index: int) -> Callable[[], Image.Image]:
    return lambda: store.open(index, 2 * SEEN)


def _near_texts(held_out: Sequence[Item], trained: Sequence[Item]) -> dict[str, str]:
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=SIMILAR, num_perm=PERMUTATIONS)
    runs = {}
    for item in trained:
        runs[item.name] = _runs(item.text)
        if runs[item.name]:
            index.insert(item.name, _min_hash(runs[item.name]), check_duplication=False)
    near = {}
    for item in held_out:
        own = _runs(item.text)
        for name in sorted(index.query(_min_hash(own))) if own else ():
            if len(own & runs[name]) >= SIMILAR * len(own | runs[name]):
                near[item.name] = name
                break
    return near


def _runs(text: str) -> set[bytes]:
    used = words(text)
    return {
        " ".join(used[start : start + SHINGLE]).encode("utf-8", "surrogatepass")
        for start in range(len(used) - SHINGLE + 1)
    }


def _min_hash(runs: set[bytes]) -> Any:
    from datasketch import MinHash

    made = MinHash(num_perm=PERMUTATIONS)
    made.update_batch(sorted(runs))
    return made


def _near_images(held_out: Sequence[Item], trained: Sequence[Item]) -> dict[str, str]:
    if not held_out:
        return {}
    (bits, pixels), (known_bits, known_pixels) = _thumbnails(held_out), _thumbnails(trained)
    near = {}
    for item, own_bits, own_pixels in zip(held_out, bits, pixels, strict=True):
        alike = np.flatnonzero((known_bits != own_bits).sum(axis=1) <= BITS_APART)
        apart = np.abs(known_pixels[alike].astype(np.int16) - own_pixels).mean(axis=1)
        if len(apart) and apart.min() < LEAST_DIFFERENCE:
            near[item.name] = trained[int(alike[apart.argmin()])].name
    return near


def _thumbnails(items: Sequence[Item]) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """The difference hash of each image, [N, 64], and its pixels, scaled down, [N, P]."""
    bits, pixels = [], []
    for item in items:
        if item.open is not None:
            image = item.open()
            grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
            bits.append((grey[:, 1:] > grey[:, :-1]).reshape(-1))
            pixels.append(np.asarray(image.resize((SEEN, SEEN), Image.Resampling.BOX)).reshape(-1))
    return np.stack(bits), np.stack(pixels)
