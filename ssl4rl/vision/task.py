"""What the vision tasks share: how large an image is shown, and picking one of the split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw, ShownImage
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.example import Example
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SourceKind
from ssl4rl.tasks import Knobs, Task
from ssl4rl.vision.image_set import ImageSet, image_item
from ssl4rl.vision.transforms import greyed, square, within

LEAST_SIDE = 28
"""Images with a shorter side than this are passed over: fewer pixels than one token of Qwen2.5-VL covers."""
LEAST_PIECE = 16
"""Pixels that a piece's side should have in the file. Images whose pieces have fewer are passed over, unless ``size``
asks for as few."""


class VisionKnobs(Knobs):
    """How an image is shown."""

    unseeded = frozenset({"corrupt"})

    size: int = Field(224, ge=16, le=2048)
    """Side of a whole image as shown, in pixels; with ``shape=own`` the most that its shorter side may have."""
    shape: Literal["square", "own"] = "square"
    """``square``: the image's centre square, always scaled to ``size``; ``own``: all of it, in its own shape."""
    corrupt: Literal["image"] | None = None
    """A control, under the right answers: ``image`` shows a grey image in the place of each."""


VK = TypeVar("VK", bound=VisionKnobs)


class VisionTask(Task[ImageSet, VK]):
    """Base of the tasks on images."""

    source_kind: ClassVar[SourceKind[Any]] = SOURCE_KINDS.deferred("images")

    def prepare(self) -> None:
        self.members = self.source.members(self.split)
        if not len(self.members):
            raise NotApplicable(f"image set {self.source.name} has no {self.split} images; add more images")

    def _finish(self, index: int, draft: Draft) -> Example:
        if self.knobs.corrupt == "image":
            parts = (
                part if isinstance(part, str) else derive(part, greyed(part.image), corrupt="image")
                for part in draft.parts
            )
            draft = replace(draft, parts=tuple(parts))
        return super()._finish(index, draft)

    def pick(self, rng: np.random.Generator) -> int:
        """A random image of the split."""
        return int(self.members[rng.integers(len(self.members))])

    def open(self, index: int, side: int, least: int = LEAST_SIDE) -> ShownImage:
        """The image, decoded at a reduced size where its shorter side keeps ``side`` pixels.

        Raises:
            Redraw: if its shorter side has fewer than ``least`` pixels, or its file broke after it was checked.
        """
        decoded = max(side, least)
        try:
            image = self.source.open(index, decoded)
        except UserError as error:
            raise Redraw(str(error)) from error
        if min(image.size) < least:
            width, height = image.size
            raise Redraw(f"{self.source.describe(index)} has {width}×{height} pixels, and {least} a side are needed")
        return ShownImage(image, {"image": self.source.hashes[index], "decoded": decoded})

    def least_for(self, share: float) -> int:
        """The shorter side that an image needs for pieces of which each has ``share`` of it."""
        return min(self.knobs.size, math.ceil(LEAST_PIECE / share))

    def whole(self, index: int, side: int | None = None, least: int = LEAST_SIDE) -> ShownImage:
        """The image as the knobs show it, but of size ``side`` if given; raises what ``open`` does.

        That is a square of ``side`` pixels, or with ``shape=own`` all of the image, at most ``side`` on its shorter
        side.
        """
        side = self.knobs.size if side is None else side
        opened = self.open(index, side, least)
        scale = square if self.knobs.shape == "square" else within
        return derive(opened, scale(opened.image, side), shape=self.knobs.shape, size=side)

    def items(self, images: Sequence[int]) -> tuple[str, ...]:
        """The ``source_items`` of an example that shows parts of these images."""
        return tuple(dict.fromkeys(image_item(self.source.hashes[index]) for index in images))

    def meta(self, images: Sequence[int], **more: Any) -> dict[str, Any]:
        """What explains an example: which images it shows parts of, and what the task adds."""
        files = [self.source.describe(index) for index in images]
        return {"images": list(images), "files": files, **more}


def labelled(labels: Sequence[str], images: Sequence[ShownImage]) -> list[str | ShownImage]:
    """Images to choose from, each after its label."""
    return [part for label, image in zip(labels, images, strict=True) for part in (f"{label}:", image)]


def derive(original: ShownImage, image: Image.Image, **changes: Any) -> ShownImage:
    """``image``, which was made from ``original``; ``changes`` is how, in JSON, so that its pixels follow from it."""
    return ShownImage(image, {**original.content, **changes})
