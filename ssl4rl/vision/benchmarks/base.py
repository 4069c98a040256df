"""What the benchmarks on images share: how an image is shown or hidden, and the form of the reply."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

from PIL import Image
from pydantic import Field

from ssl4rl.benchmarks import Benchmark
from ssl4rl.drafts import ShownImage
from ssl4rl.errors import NotApplicable
from ssl4rl.source import Source
from ssl4rl.tasks import Knobs
from ssl4rl.vision.transforms import encoded_again, greyed, shuffled, within

PATCHES = 4
"""Pieces a side that an image is cut into when they are shuffled: objects break, colours and textures stay."""
JPEG_QUALITY = 90
"""Of an image that is encoded again: what many tools save with, and hardly anyone sees."""


class ImageKnobs(Knobs):
    """What the benchmarks on images have in common."""

    unseeded = frozenset({"image", "restated"})

    image: Literal["shown", "blank", "none", "patches", "other"] = "shown"
    """``blank`` shows a grey image of the same size instead, ``none`` shows nothing, ``patches`` the image with its
    4 × 4 pieces shuffled, ``other`` the image of another item."""
    restated: Literal["options", "encoding"] | None = None
    """The same question in another form: its ``options`` in another order, or the image as it is after another JPEG
    ``encoding``."""
    size: int | None = Field(None, ge=16, le=4096)
    """Most pixels of an image's shorter side; null shows it as large as it is."""


S = TypeVar("S", bound=Source)
K = TypeVar("K", bound=ImageKnobs)


class ImageBenchmark(Benchmark[S, K]):
    """Base of the benchmarks on images."""

    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "no image": {"image": "none"},
        "blank image": {"image": "blank"},
        "patches shuffled": {"image": "patches"},
        "another image": {"image": "other"},
    }
    """The same questions, word for word: the score that remains without an image comes from language alone."""
    usual_ablations: ClassVar[Sequence[str]] = ("no image", "blank image")
    restatements: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "options reordered": {"restated": "options"},
        "image encoded again": {"restated": "encoding"},
    }

    def prepare(self) -> None:
        super().prepare()
        if self.knobs.image == "other" and len(self._distinct) < 2:
            raise NotApplicable(f"task.image=other: {self.source.name} has only one image")

    @property
    def restated(self) -> str | None:
        return self.knobs.restated

    @property
    @abstractmethod
    def hashes(self) -> Sequence[str]:
        """SHA-256 of the content of each of the source's images."""

    @abstractmethod
    def open_image(self, image: int) -> Image.Image:
        """One of the source's images, as upright RGB."""

    def parts(self, images: Sequence[int], text: str, answer: str) -> tuple[str | ShownImage, ...]:
        """A prompt's parts: the images as the knobs show them (opened only if they do), the text, and what to reply."""
        shown = () if self.knobs.image == "none" else tuple(map(self.shown, images))
        return *shown, f"{text}\n{self.form(answer)}"

    def shown(self, image: int) -> ShownImage:
        """An image as the knobs show it."""
        if self.knobs.image == "other":
            image = self._another(image)
        pixels, content_hash = self.open_image(image), self.hashes[image]
        content = {"image": content_hash, "shown": self.knobs.image, "size": self.knobs.size}
        if self.knobs.size is not None:
            pixels = within(pixels, self.knobs.size)
        if self.knobs.image == "blank":
            pixels = greyed(pixels)
        if self.knobs.image == "patches":
            pixels = shuffled(pixels, PATCHES, self.item_rng("patches", content_hash))
        if self.knobs.restated == "encoding":
            content["restated"] = self.knobs.restated
            pixels = encoded_again(pixels, JPEG_QUALITY)
        return ShownImage(pixels, content)

    def _another(self, image: int) -> int:
        """An image of other content than this one."""
        others = [other for content, other in self._distinct.items() if content != self.hashes[image]]
        return others[int(self.item_rng("another image", self.hashes[image]).integers(len(others)))]

    @cached_property
    def _distinct(self) -> Mapping[str, int]:
        """An image of each content."""
        return {content: image for image, content in enumerate(self.hashes)}
