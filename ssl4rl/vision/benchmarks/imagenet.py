"""ImageNet-1K and other pictures with classes: which class, among some of them or of all, by name.

Classes have several names, any of which is right, and two classes may share one (ImageNet has two cranes): options are
drawn from classes that share no name with the right one or with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.answers import normalise, option_labels
from ssl4rl.example import Example
from ssl4rl.tasks import Draft, NotApplicable
from ssl4rl.vision.benchmarks.base import PictureBenchmark, PictureKnobs
from ssl4rl.vision.image_set import ImageSet, IntArray

QUESTION = "What is the main thing in this picture?"
BY_NAME = "Name it as specifically as you can."


@dataclass(frozen=True, eq=False)
class ClassifiedImages:
    """Pictures and the names of their classes, of which some may have no picture here."""

    images: ImageSet
    names: Sequence[Sequence[str]]
    """Of each class; the first one is shown, all are right."""
    classes: IntArray
    """[N], each picture's class, −1 where unknown."""

    @property
    def name(self) -> str:
        return self.images.name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the pictures and the classes' names."""
        content = repr((self.images.fingerprint, [list(names) for names in self.names], self.classes.tolist()))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


class ImageNetKnobs(PictureKnobs):
    """Settings of classification."""

    options: int | None = Field(20, ge=2, le=1000)
    """Classes to choose from, as many as there are at most; null asks for the name, with no options."""
    pictures: Literal["test", "all"] = "test"
    """``all`` asks about every picture, also those of the training and validation splits."""


class ImageNet(PictureBenchmark[ClassifiedImages, ImageNetKnobs]):
    """The class of a picture. Items take the classes in turn, so that the first ones are a balanced subset."""

    name: ClassVar[str] = "imagenet"
    knobs_type = ImageNetKnobs
    loader: ClassVar[str] = "ssl4rl.data.images.classes:load_classified"
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "choice-20": {},
        "choice-200": {"options": 200},
        "completion": {"options": None},
        "paper": {},
    }
    default_level = "choice-20"

    def prepare(self) -> None:
        images = self.source.images
        every = self.knobs.pictures == "all"
        if every and self.split != "test":
            raise NotApplicable("task.pictures=all leaves no picture for training examples; take test")
        members = np.arange(len(images)) if every else images.members(self.split)
        members = members[self.source.classes[members] >= 0]
        if not len(members):
            raise NotApplicable(f"pictures {self.source.name} have no labelled {self.split} picture")
        self.pictures: list[int] = list(_in_turn(self.drawn().permutation(members), self.source.classes))
        self.named = [[normalise(name) for name in names] for names in self.source.names]

    @property
    def size(self) -> int:
        return len(self.pictures)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        picture = self.pictures[index]
        right = int(self.source.classes[picture])
        names = list(self.source.names[right])
        meta: dict[str, Any] = {
            "item": f"picture:{self.source.images.hashes[picture][:16]}-{picture}",
            "class": names[0],
            "pictures": [picture],
            "files": [self.source.images.describe(picture)],
        }
        if self.knobs.options is None:
            target, text, what = names, f"{QUESTION} {BY_NAME}", "its name"
        else:
            options = self._options(right, self.knobs.options, self.drawn("options", picture))
            shown = {
                label: self.source.names[option][0]
                for label, option in zip(option_labels(len(options)), options, strict=True)
            }
            target = [next(label for label, option in zip(shown, options, strict=True) if option == right)]
            text = "\n".join([QUESTION, *(f"{label}: {name}" for label, name in shown.items())])
            what = "one letter" if "A" in shown else "one number"
            meta["options"] = shown
        return Draft(self.parts(lambda: self.source.images.open(picture), text, what), target, meta)

    def _options(self, right: int, count: int, rng: np.random.Generator) -> list[int]:
        """The right class and others, in a random order; no two of them share a name."""
        chosen, taken = [right], set(self.named[right])
        for other in rng.permutation(len(self.named)).tolist():
            if len(chosen) == count:
                break
            if not taken & set(self.named[other]):
                chosen.append(other)
                taken |= set(self.named[other])
        return [chosen[place] for place in rng.permutation(len(chosen))]

    @cached_property
    def vocabulary(self) -> Mapping[str, str] | None:
        if self.knobs.options is not None:
            return None
        return {name: name for names in self.source.names for name in names}

    def choices(self, example: Example) -> dict[str, str]:
        return dict(self.vocabulary or example.meta["options"])


def _in_turn(members: IntArray, classes: IntArray) -> Iterator[int]:
    """The pictures, one of each class, then a second one of each, and so on."""
    by_class: dict[int, list[int]] = {}
    for picture in members.tolist():
        by_class.setdefault(int(classes[picture]), []).append(picture)
    for turn in range(max(map(len, by_class.values()))):
        yield from (pictures[turn] for pictures in by_class.values() if turn < len(pictures))
