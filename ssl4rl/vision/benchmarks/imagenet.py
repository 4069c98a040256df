"""ImageNet-1K and other images with classes: which class, among some of them or of all, by name.

Classes have several names, any of which is right, and two classes may share one (ImageNet has two cranes): options are
drawn from classes that share no name with the right one or with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ssl4rl.answers import normalise
from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable
from ssl4rl.prompts import label_noun, labels_for, write_options
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SourceKind
from ssl4rl.vision.benchmarks.base import ImageBenchmark, ImageKnobs
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import IntArray, image_item

QUESTION = "What is the main thing in this image?"
BY_NAME = "Name it as specifically as you can."


class ImageNetKnobs(ImageKnobs):
    """Settings of classification."""

    options: int | None = Field(20, ge=2, le=1000)
    """Classes to choose from, or all if there are fewer; null asks for the name, without options."""
    images: Literal["test", "val", "all"] = "test"
    """``val`` asks about the validation images instead (ImageNet's own test images have no public classes); ``all``
    about every image, also those of the training split."""


class ImageNet(ImageBenchmark[ClassifiedImages, ImageNetKnobs]):
    """The class of an image. Items take the classes in turn, so that the first ones are a balanced subset."""

    name: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 2
    knobs_type = ImageNetKnobs
    source_kind: ClassVar[SourceKind[Any]] = SOURCE_KINDS.deferred("classes")
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "choice-20": {},
        "choice-200": {"options": 200},
        "completion": {"options": None},
        "paper": {},
    }
    default_level = "choice-20"

    def prepare(self) -> None:
        super().prepare()
        if self.knobs.images == "all" and self.split != "test":
            raise NotApplicable("task.images=all leaves no image for training examples; use the test split")
        if self.knobs.restated == "options" and self.knobs.options is None:
            raise NotApplicable("task.restated=options: without options there is no order of them")
        asked = self.knobs.images if self.split == "test" else self.split
        members = self._labelled(asked)
        if not len(members):
            remedy = "; its val images have labels: --set task.images=val" if len(self._labelled("val")) else ""
            raise NotApplicable(f"image set {self.source.name} has no labelled {asked} images{remedy}")
        if len(self.source.names) < 2:
            raise NotApplicable(f"image set {self.source.name} has one class, so there is nothing to choose from")
        self.images: list[int] = list(_in_turn(self.item_rng().permutation(members), self.source.classes))
        self._normalised = [[normalise(name) for name in names] for names in self.source.names]
        empty = [name for names in self.source.names for name in names if not normalise(name)]
        if empty:
            raise NotApplicable(
                f"a class of image set {self.source.name} is called {empty[0]!r}, which has no letter or digit to "
                "answer with; rename it"
            )

    def _labelled(self, split: str) -> IntArray:
        images = self.source.images
        members = np.arange(len(images)) if split == "all" else images.members(split)
        return members[self.source.classes[members] >= 0]

    @property
    def size(self) -> int:
        return len(self.images)

    @property
    def hashes(self) -> Sequence[str]:
        return self.source.images.hashes

    def open_image(self, image: int) -> Image.Image:
        return self.source.images.open(image)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        image = self.images[index]
        right = int(self.source.classes[image])
        names = list(self.source.names[right])
        content_hash = self.hashes[image]
        choices: Mapping[str, str]
        if self.vocabulary is not None:
            accepted, choices = names, self.vocabulary
            text, answer = f"{QUESTION} {BY_NAME}", "its name"
        else:
            options = self._options(right, image)
            shown = [self.source.names[option][0] for option in options]
            labels = labels_for(shown)
            accepted, choices = [labels[options.index(right)]], dict(zip(labels, shown, strict=True))
            text, answer = f"{QUESTION}\n{write_options(shown, labels)}", label_noun(labels)
        return self.closed(
            self.parts([image], text, answer),
            accepted=accepted,
            choices=choices,
            item=f"{image_item(content_hash)}-{image}",
            class_name=names[0],
            source_items=(image_item(content_hash),),
            meta={"images": [image], "files": [self.source.images.describe(image)]},
        )

    def _options(self, right: int, image: int) -> list[int]:
        """The right class and others, in a random order; no two share a name, and of none is a copy of the image."""
        rng = self.item_rng("options", image)
        chosen, taken = [right], set(self._normalised[right])
        as_well = self._classes_of[self.hashes[image]]
        for other in rng.permutation(len(self._normalised)).tolist():
            if len(chosen) == self.knobs.options:
                break
            if other not in as_well and not taken & set(self._normalised[other]):
                chosen.append(other)
                taken |= set(self._normalised[other])
        return self.offered([chosen[place] for place in rng.permutation(len(chosen))], image)

    @cached_property
    def _classes_of(self) -> Mapping[str, set[int]]:
        """The classes in which an image is found, by the hash of its bytes."""
        found: dict[str, set[int]] = {}
        for content, code in zip(self.hashes, self.source.classes.tolist(), strict=True):
            found.setdefault(content, set()).add(code)
        return found

    @cached_property
    def vocabulary(self) -> Mapping[str, str] | None:
        if self.knobs.options is not None:
            return None
        return {name: name for names in self.source.names for name in names}


def _in_turn(members: IntArray, classes: IntArray) -> Iterator[int]:
    """The images, one of each class, then a second one of each, and so on."""
    by_class: dict[int, list[int]] = {}
    for image in members.tolist():
        by_class.setdefault(int(classes[image]), []).append(image)
    for turn in range(max(map(len, by_class.values()))):
        yield from (images[turn] for images in by_class.values() if turn < len(images))
