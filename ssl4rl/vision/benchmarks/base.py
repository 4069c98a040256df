"""What the benchmarks on images share: how an image is shown or hidden, and the form of the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from PIL import Image
from pydantic import Field

from ssl4rl.benchmarks import Benchmark
from ssl4rl.source import Source
from ssl4rl.tasks import Knobs, ShownImage
from ssl4rl.vision.transforms import greyed, within

"""The colour of a blank image: processors that scale to ±1 turn it into zeros."""


class ImageKnobs(Knobs):
    """What the benchmarks on images have in common."""

    image: Literal["shown", "blank", "none"] = "shown"
    """``blank`` shows a grey image of the same size instead, ``none`` shows nothing."""
    size: int | None = Field(None, ge=16, le=4096)
    """Most pixels of an image's shorter side; null shows it as large as it is."""


S = TypeVar("S", bound=Source)
K = TypeVar("K", bound=ImageKnobs)


class ImageBenchmark(Benchmark[S, K]):
    """Base of the benchmarks on images."""

    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "no image": {"image": "none"},
        "blank image": {"image": "blank"},
    }
    """The same questions, word for word: the score that remains comes from language alone."""

    def parts(
        self, content_hash: str, open_image: Callable[[], Image.Image], text: str, answer: str
    ) -> tuple[str | ShownImage, ...]:
        """A prompt's parts: the image as the knobs show it (opened only if they do), the text, and what to reply."""
        text = f"{text}\n{self.form(answer)}"
        if self.knobs.image == "none":
            return (text,)
        return self.shown(content_hash, open_image()), text

    def shown(self, content_hash: str, image: Image.Image) -> ShownImage:
        """An image as the knobs show it."""
        if self.knobs.size is not None:
            image = within(image, self.knobs.size)
        if self.knobs.image == "blank":
            image = greyed(image)
        content = {"image": content_hash, "shown": self.knobs.image, "size": self.knobs.size}
        return ShownImage(image, content)
