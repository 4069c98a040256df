"""Mirror: an image is shown twice, the second time mirrored, turned upside down, or as it was. Which?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.prompts import OPTION_LETTERS, label_noun, write_options
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive
from ssl4rl.vision.transforms import differences

CHANGES = {
    "It is the same as the first.": None,
    "It is the first with left and right swapped.": Image.Transpose.FLIP_LEFT_RIGHT,
    "It is the first with top and bottom swapped.": Image.Transpose.FLIP_TOP_BOTTOM,
    "It is the first turned by 180 degrees.": Image.Transpose.ROTATE_180,
}
LEAST_DIFFERENCE = 4.0
"""Mean difference of two images, out of 255, below which nobody could tell one from the other."""


class MirrorKnobs(VisionKnobs):
    """Settings of mirror. Those of all vision tasks come with the base class."""

    num_changes: int = Field(3, ge=2, le=len(CHANGES))
    """How many changes there are to choose from."""


class Mirror(VisionTask[MirrorKnobs]):
    """How was the second image made from the first? All changes are equally likely."""

    name: ClassVar[str] = "mirror"
    knobs_type = MirrorKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_changes": 2},
        "medium": {},
        "hard": {"num_changes": 4},
    }

    @property
    def num_slots(self) -> int:
        """Each change comes once in so many examples, so that a batch of them does not favour one by chance."""
        return self.knobs.num_changes

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        image = self.pick(rng)
        first = self.whole(image)
        changes = list(CHANGES)[: self.knobs.num_changes]
        results = [change_image(first.image, CHANGES[change]) for change in changes]
        # Whatever the answer is: were symmetric images passed over for some answers only, they would give it away.
        if differences(results).min() < LEAST_DIFFERENCE:
            raise Redraw("the image is too symmetric")
        place = self.slot(index, self.num_slots)
        # What an image's pixels follow from is recorded with it: the example's hash covers that.
        second = derive(first, results[place], change=changes[place])
        question = f"Which of these is true of the second image?\n{write_options(changes)}"
        letters = OPTION_LETTERS[: len(changes)]
        return Draft.any_of(
            parts=("The first image:", first, "The second image:", second, question, self.form(label_noun(letters))),
            accepted=[letters[place]],
            choices=list(letters),
            source_items=self.items([image]),
            meta=self.meta([image], change=changes[place]),
        )


def change_image(image: Image.Image, change: Image.Transpose | None) -> Image.Image:
    """The image after a change; the image itself for None."""
    return image if change is None else image.transpose(change)
