"""Match: a view of an image, and pieces at another scale; which of them is a part of the view?

After the small and large crops of one image in SwAV (Caron et al., NeurIPS 2020). The wrong pieces come from the same
image, outside the view, so that neither grain nor the camera's colours tell. All are about equally detailed: a view of
a meadow has pieces of meadow, and a classifier of sharpness alone was right on .34 of noise, where chance is .25.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from ssl4rl.drafts import Draft, Redraw, ShownImage, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.prompts import label_noun, option_labels
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive, labelled
from ssl4rl.vision.transforms import BICUBIC, PixelBox, apart, central, look_alike

COARSE = 10
"""Pixels of a piece's side when it is looked for in other views."""
LEAST_APART = 6.0
"""Mean difference of a piece's pixels from any part of another view, of 255, below which it could be from there."""
PARTS, GAPS = 60, (1, 2, 4)
"""Parts of each view of which the one is taken that is most like the others in detail, and the distances at which
details are compared, in pixels of the view."""
MOST_APART = 0.3
"""Difference of the logarithms of two parts' details from which on one is clearly finer or richer in contrast."""
MODELS = 20
"""Parts that are tried as what the others are to be like."""
MOST_COVERED = 0.42
"""Share of an image that views may cover: beyond that there is often no room for them."""


class MatchKnobs(VisionKnobs):
    """Settings of match. ``size`` is the side of the view and of each piece as shown."""

    num_candidates: int = Field(4, ge=2, le=8)
    """Pieces to choose from."""
    view: float = Field(0.32, ge=0.1, le=0.6)
    """Side of the view as a share of the image's shorter side."""
    zoom: float = Field(2.0, ge=1.25, le=5)
    """How many times larger a piece is shown than the view."""
    same_image: bool = True
    """Whether the wrong pieces come from the same image, outside the view; otherwise each is from another one."""
    matched: bool = True
    """Whether sharpness and contrast are kept from telling: all pieces are about equally detailed."""

    @model_validator(mode="after")
    def _fits(self) -> MatchKnobs:
        covered = self.num_candidates * self.view**2
        if self.same_image and covered > MOST_COVERED:
            raise ValueError(
                f"num_candidates={self.num_candidates} views of view={self.view:g} cover {covered:.0%} of an image, "
                f"over {MOST_COVERED:.0%}: lower one of them"
            )
        return self


class Match(VisionTask[MatchKnobs]):
    """Which piece is a part of the view? Scored 0 or 1."""

    name: ClassVar[str] = "match"
    version: ClassVar[int] = 3
    knobs_type = MatchKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"same_image": False, "matched": False},
        "medium": {},
        "hard": {"num_candidates": 5, "view": 0.25, "zoom": 2.5},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "num_candidates": 2},
        {"level": "medium"},
        {"level": "medium", "zoom": 3.0},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        return self.knobs.num_candidates

    def prepare(self) -> None:
        super().prepare()
        count = len({self.source.hashes[index] for index in self.members})
        if not self.knobs.same_image and count < self.knobs.num_candidates:
            raise NotApplicable(
                f"image set {self.source.name}/{self.split} holds {count} images, and with task.same_image=false "
                f"task.num_candidates={self.knobs.num_candidates} are needed"
            )
        # Opened large enough that the view is not enlarged, where the file has the pixels.
        self._side = math.ceil(self.knobs.size / self.knobs.view)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count, place = self.knobs.num_candidates, self.slot(index, self.num_slots)
        # Each piece has a view of its own, any of which could have been shown.
        images, views = self._views(rng)
        pieces = [self._piece(view, *corner) for view, corner in zip(views, self._parts(views, rng), strict=True)]
        if look_alike([piece.image for piece in pieces]) or self._is_found_elsewhere(views, pieces):
            raise Redraw("a piece could be from another view")
        letters = option_labels(count)
        options = inserted(0, range(1, count), place)
        listed = labelled(letters, [pieces[each] for each in options])
        question = (
            f"The pieces {letters[0]} to {letters[-1]} are shown {self.knobs.zoom:g} times as large as the view, none "
            "of them turned. Which of them is a part of the view?"
        )
        shown = list(dict.fromkeys(images[each] for each in (0, *options)))
        return Draft.any_of(
            parts=("The view:", views[0], *listed, question, self.form(label_noun(letters))),
            accepted=[letters[place]],
            choices=letters,
            source_items=self.items(shown),
            meta=self.meta(shown, boxes=[view.content["box"] for view in views]),
        )

    def _views(self, rng: np.random.Generator) -> tuple[list[int], list[ShownImage]]:
        """A view for each piece, and the images that they show; of one image, none lies over another."""
        count = self.knobs.num_candidates
        if self.knobs.same_image:
            image = self.pick(rng)
            framed = self._framed(image)
            side = round(self.knobs.view * min(framed.image.size))
            return [image] * count, [self._cut(framed, box) for box in apart(rng, count, side, framed.image.size)]
        images: dict[str, int] = {}
        while len(images) < count:
            image = self.pick(rng)
            images.setdefault(self.source.hashes[image], image)
        views = []
        for framed in map(self._framed, images.values()):
            [box] = apart(rng, 1, round(self.knobs.view * min(framed.image.size)), framed.image.size)
            views.append(self._cut(framed, box))
        return list(images.values()), views

    def _framed(self, image: int) -> ShownImage:
        opened = self.open(image, self._side)
        framed = central(opened.image) if self.knobs.shape == "square" else opened.image
        return derive(opened, framed, shape=self.knobs.shape)

    def _cut(self, framed: ShownImage, box: PixelBox) -> ShownImage:
        size = self.knobs.size
        return derive(framed, framed.image.resize((size, size), BICUBIC, box), box=list(box), view=size)

    def _parts(self, views: Sequence[ShownImage], rng: np.random.Generator) -> list[tuple[float, float]]:
        """The left upper corner of a part of each view; if they are matched, parts that are about equally detailed.

        Raises:
            Redraw: if there are no such parts.
        """
        side = self.knobs.size / self.knobs.zoom
        corners = rng.uniform(0, self.knobs.size - side, size=(len(views), PARTS if self.knobs.matched else 1, 2))
        if not self.knobs.matched:
            return [tuple(own[0].tolist()) for own in corners]
        details = np.stack([_details(view, own, side) for view, own in zip(views, corners, strict=True)])
        # Some part of some view is what those of the others have to be like; all are as likely.
        for view, part in zip(rng.integers(len(views), size=MODELS), rng.permutation(PARTS)[:MODELS], strict=True):
            apart = np.abs(details - details[view, part]).max(axis=2)
            if apart.min(axis=1).max() <= MOST_APART:
                return [tuple(own[like].tolist()) for own, like in zip(corners, apart.argmin(axis=1), strict=True)]
        raise Redraw("no parts of the views are equally detailed")

    def _piece(self, view: ShownImage, left: float, top: float) -> ShownImage:
        """A part of a view, as large as the view is shown."""
        size, side = self.knobs.size, self.knobs.size / self.knobs.zoom
        part = (left, top, left + side, top + side)
        return derive(view, view.image.resize((size, size), BICUBIC, part), part=list(part))

    def _is_found_elsewhere(self, views: Sequence[ShownImage], pieces: Sequence[ShownImage]) -> bool:
        """Whether any piece looks like a part of a view that it was not cut from."""
        coarse = round(COARSE * self.knobs.zoom)
        small = [pixels(piece, COARSE).transpose(2, 0, 1) for piece in pieces]
        for number, view in enumerate(views):
            windows = np.lib.stride_tricks.sliding_window_view(  # type: ignore[call-overload]
                pixels(view, coarse), (COARSE, COARSE), axis=(0, 1)
            )
            for other, piece in enumerate(small):
                if other != number and np.abs(windows - piece).mean(axis=(2, 3, 4)).min() < LEAST_APART:
                    return True
        return False


def _details(view: ShownImage, corners: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """How detailed parts are, by their corners: logarithms of the mean squared differences at ``GAPS``, [parts, 3]."""
    grey = np.asarray(view.image.convert("L"), dtype=np.float64)
    found = []
    for gap in GAPS:
        squares = np.square(grey[:-gap, gap:] - grey[:-gap, :-gap]) + np.square(grey[gap:, :-gap] - grey[:-gap, :-gap])
        sums = np.pad(squares, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
        left, top = corners.round().astype(int).T
        right, bottom = (np.minimum(edge + round(side), len(sums) - 1) for edge in (left, top))
        total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        found.append(np.log(total / np.maximum((right - left) * (bottom - top), 1) + 0.01))
    return np.stack(found, axis=1)


def pixels(shown: ShownImage, side: int) -> NDArray[np.float32]:
    """An image at so many pixels a side, [side, side, 3]."""
    return np.asarray(shown.image.resize((side, side), Image.Resampling.BOX), dtype=np.float32)
