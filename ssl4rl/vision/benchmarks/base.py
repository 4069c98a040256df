"""What the benchmarks on pictures share: how a picture is shown or taken away, and how the reply is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from ssl4rl.tasks import REPLY_FORMAT, Benchmark, Knobs, Source, seeded_rng
from ssl4rl.vision.transforms import within

GREY = (128, 128, 128)
"""Of a blank picture: what processors that scale to ±1 turn into zeros."""

DIRECT_FORMAT = "Give {what} inside <answer></answer> and nothing else."


class PictureKnobs(Knobs):
    """What the benchmarks on pictures have in common."""

    image: Literal["shown", "blank", "none"] = "shown"
    """``blank`` shows a grey picture of the same size instead, ``none`` shows nothing."""
    reasoning: bool = True
    """Whether the reply is asked to reason first; without, for the answer alone."""
    size: int | None = Field(None, ge=16, le=4096)
    """Most pixels of a picture's shorter side; null shows it as large as it is."""


S = TypeVar("S", bound=Source)
K = TypeVar("K", bound=PictureKnobs)


class PictureBenchmark(Benchmark[S, K]):
    """Base of the benchmarks on pictures."""

    side: ClassVar[str] = "vision"
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "no image": {"image": "none"},
        "blank image": {"image": "blank"},
    }
    """The same questions, word for word: what remains of the score then comes from language alone."""

    def parts(self, picture: Callable[[], Image.Image], text: str, what: str) -> tuple[Any, ...]:
        """A prompt's parts: the picture as the knobs show it (opened only if they do), the text, and what to reply."""
        asked = (REPLY_FORMAT if self.knobs.reasoning else DIRECT_FORMAT).format(what=what)
        text = f"{text}\n{asked}"
        if self.knobs.image == "none":
            return (text,)
        image = picture()
        if self.knobs.size is not None:
            image = within(image, self.knobs.size)
        if self.knobs.image == "blank":
            image = Image.new("RGB", image.size, GREY)
        return image, text

    def drawn(self, *key: object) -> np.random.Generator:
        """What decides items, order and options: nothing that changes how a question is shown."""
        return seeded_rng("items", self.source.fingerprint, self.name, self.split, self.seed, *key)
