"""What a task builds for an example: its texts and images, how a reply is scored, and a hash over all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ssl4rl.answers import Scoring

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Redraw(Exception):
    """A draft turned out unusable (the answer was quoted, no distractor was left); another one is drawn."""


@dataclass(frozen=True)
class ShownImage:
    """An image as a prompt shows it.

    ``content`` is the JSON value that its pixels follow from, such as the file's content hash and the angle. An
    example's hash covers it instead of the pixels, which differ between versions of the libraries that resample them.
    """

    image: Image
    content: Any


@dataclass(frozen=True)
class Draft:
    """What a task builds; the base class makes an example of it by adding the id."""

    parts: tuple[str | ShownImage, ...]
    """Texts and images in reading order."""
    scoring: Scoring
    gold: str
    """The answer that scores 1, without tags."""
    chance: float
    """The expected score of the best reply that does not look at the prompt's content."""
    source_items: tuple[str, ...]
    """The nodes, pairs or images that it was drawn from; examples that share one are not independent."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What explains the example; never shown to a model."""

    @classmethod
    def any_of(
        cls,
        parts: tuple[str | ShownImage, ...],
        accepted: Sequence[str],
        choices: Sequence[str],
        source_items: tuple[str, ...],
        meta: Mapping[str, Any],
    ) -> Draft:
        """The draft of a question with a closed set of answers, any of ``accepted`` (none if unknown) being right."""
        return cls(
            parts=parts,
            scoring=Scoring("score_any_of", {"accepted": list(accepted), "choices": list(choices)}),
            gold=str(accepted[0]) if accepted else "",
            chance=len(accepted) / len(choices),
            source_items=source_items,
            meta=meta,
        )


def inserted(right: T, others: Sequence[T], slot: int) -> list[T]:
    """The options with the right one at ``slot``."""
    return [*others[:slot], right, *others[slot:]]


def content_hash(draft: Draft) -> str:
    """Eight hexadecimal digits over everything that a draft shows, and how it is scored."""
    shown = [part if isinstance(part, str) else ["image", _rounded(part.content)] for part in draft.parts]
    content = json.dumps([shown, draft.scoring], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _rounded(value: Any) -> Any:
    """Floats to six digits: the last bits of a logarithm or a sine differ between machines."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
