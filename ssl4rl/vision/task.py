"""What the vision tasks share: how large a picture is shown, and picking one of the split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from ssl4rl.tasks import Knobs, NotApplicable, Redraw, Task
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.transforms import square, within

LEAST_SIDE = 28
"""Pictures with a shorter side than this are passed over: fewer pixels than one token of Qwen2.5-VL covers."""


class VisionKnobs(Knobs):
    """How a picture is shown."""

    size: int = Field(224, ge=16, le=2048)
    """Side of a whole picture as shown, in pixels; with ``shape=own`` the most that its shorter side may have."""
    shape: Literal["square", "own"] = "square"
    """``square``: the picture's centre square, always scaled to ``size``; ``own``: all of it, in its own shape."""


VK = TypeVar("VK", bound=VisionKnobs)


class VisionTask(Task[ImageSet, VK]):
    """Base of the tasks on pictures."""

    side: ClassVar[str] = "vision"

    def prepare(self) -> None:
        self.members = self.source.members(self.split)
        if not len(self.members):
            raise NotApplicable(f"images {self.source.name} have no {self.split} picture; use more pictures")

    def pick(self, rng: np.random.Generator) -> int:
        """A random picture of the split."""
        return int(self.members[rng.integers(len(self.members))])

    def open(self, index: int, side: int, least: int = LEAST_SIDE) -> Image.Image:
        """The picture, with no more pixels than are read fast but at least ``side`` a side where the file has them.

        Raises:
            Redraw: if its shorter side has fewer than ``least`` pixels.
            UserError: if the file is broken.
        """
        image = self.source.open(index, max(side, least))
        if min(image.size) < least:
            width, height = image.size
            raise Redraw(f"{self.source.describe(index)} has {width}×{height} pixels, and {least} a side are needed")
        return image

    def whole(self, index: int, side: int | None = None, least: int = LEAST_SIDE) -> Image.Image:
        """The picture as the knobs show it, with ``side`` in the place of ``size`` if given; raises what ``open`` does.

        So a square of ``side`` pixels; with ``shape=own`` all of the picture, at most ``side`` on its shorter side.
        """
        side = self.knobs.size if side is None else side
        image = self.open(index, side, least)
        return square(image, side) if self.knobs.shape == "square" else within(image, side)

    def meta(self, pictures: Sequence[int], **more: Any) -> dict[str, Any]:
        """What explains an example: which pictures it shows parts of, and what the task adds."""
        files = [self.source.describe(index) for index in pictures]
        return {"pictures": list(pictures), "files": files, **more}
