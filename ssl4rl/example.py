"""What a model is asked, and what its reply is worth. Standard library only.

An :class:`Example` is one prompt with the target that the data itself provides; a :class:`Score` is the verdict on
one reply to it. Training rewards, evaluation accuracy and pass rates are all read from these two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class Outcome(StrEnum):
    """Why a reply got its value. ``UNPARSED`` (no answer could be read) is not the same as ``WRONG``."""

    CORRECT = "correct"
    PARTIAL = "partial"
    WRONG = "wrong"
    UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict on one reply.

    ``value`` lies in [0, 1]; ``answer`` is what was parsed out of the reply (None when nothing could be).
    """

    value: float
    answer: str | None
    outcome: Outcome

    @classmethod
    def of(cls, value: float, answer: str) -> Score:
        """The score of an answer that was read: correct at 1, wrong at 0, partial between."""
        outcome = Outcome.CORRECT if value >= 1 else Outcome.PARTIAL if value > 0 else Outcome.WRONG
        return cls(value, answer, outcome)

    @classmethod
    def unparsed(cls) -> Score:
        """The score of a reply from which no answer could be read."""
        return cls(0.0, None, Outcome.UNPARSED)


@dataclass(frozen=True)
class Example:
    """One prompt with its target.

    ``id`` is ``source/split/task@level/seed/index#hash8``; ``parts`` are texts and PIL images in reading order;
    ``target`` is a JSON value that the task's scorer understands; ``meta`` explains the example (node ids, what was
    hidden, what was cut) and is never shown to a model.
    """

    id: str
    task: str
    parts: tuple[str | Image, ...]
    target: Any
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text parts, joined; images are left out."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> list[Image]:
        """The image parts, in order."""
        return [part for part in self.parts if not isinstance(part, str)]

    def messages(self) -> list[dict[str, Any]]:
        """The chat form: one user turn; a plain string where there is no image, typed parts otherwise."""
        if not self.images:
            return [{"role": "user", "content": self.text}]
        content: list[dict[str, Any]] = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in self.parts
        ]
        return [{"role": "user", "content": content}]
