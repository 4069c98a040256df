"""One prompt, how a reply to it is scored, and the id that rebuilds it. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ssl4rl.answers import Scoring
from ssl4rl.errors import UserError, quoted

if TYPE_CHECKING:
    from PIL.Image import Image

_FORM = "SOURCE/SPLIT/TASK@LEVEL/SEED/INDEX#HASH"


@dataclass(frozen=True, repr=False)
class ExampleId:
    """What names an example, and rebuilds it: ``source/split/task@level+knobs/seed/index#hash8``.

    The name of a source may hold slashes; an ``@`` or ``%`` in it is percent-encoded, so that the first ``@`` of an id
    ends its task. ``hash`` covers what the example shows and how it is scored.
    """

    source: str
    split: str
    task: str
    level: str
    knobs: Mapping[str, Any]
    """The knobs that differ from the level's."""
    seed: int
    index: int
    hash: str

    @property
    def label(self) -> str:
        """``task@level+knobs``: ``link@medium+num_hops=2``."""
        return task_label(self.task, self.level, self.knobs)

    def __str__(self) -> str:
        source = self.source.replace("%", "%25").replace("@", "%40")
        return f"{source}/{self.split}/{self.label}/{self.seed}/{self.index}#{self.hash}"

    def __repr__(self) -> str:
        return f"ExampleId({str(self)!r})"

    def __hash__(self) -> int:
        return hash(str(self))

    @classmethod
    def parse(cls, text: str) -> ExampleId:
        """Reads an id back.

        >>> example_id = ExampleId.parse('shop/2024/val/link@hard+fanout=2/0/7#0123abcd')
        >>> example_id.source, example_id.task, example_id.knobs, example_id.index
        ('shop/2024', 'link', {'fanout': 2}, 7)

        Raises:
            UserError: if the text is not an id.
        """
        try:
            head, tail = text.split("@", 1)
            source, split, task = head.rsplit("/", 2)
            label, seed, last = tail.rsplit("/", 2)
            index, hash8 = last.split("#")
            level, _, knobs = label.partition("+")
            if not (source and task and level and seed.isdecimal() and index.isdecimal() and len(hash8) == 8):
                raise ValueError(text)
            source = source.replace("%40", "@").replace("%25", "%")
            return cls(source, split, task, level, _parse_knobs(knobs), int(seed), int(index), hash8)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{quoted(text)} is not the id of an example, which looks like {_FORM}") from error


def task_label(task: str, level: str, knobs: Mapping[str, Any]) -> str:
    """``task@level``, with the knobs that differ from the level's: ``link@medium+num_hops=2``."""
    changed = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(knobs.items()))
    return f"{task}@{level}" + (f"+{changed}" if changed else "")


def _parse_knobs(text: str) -> dict[str, Any]:
    """The knobs as a label spells them: ``fanout=3,negatives="random"``."""
    knobs: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        equals = text.index("=", at)
        value, end = decoder.raw_decode(text, equals + 1)
        knobs[text[at:equals]] = value
        if end < len(text) and text[end] != ",":
            raise ValueError(text)
        at = end + 1
    return knobs


@dataclass(frozen=True)
class Example:
    """One prompt with its scoring.

    ``parts`` are texts and PIL images in reading order; everything after it is never shown to a model.
    """

    id: ExampleId
    parts: tuple[str | Image, ...]
    scoring: Scoring
    """The call that scores a reply (:func:`ssl4rl.answers.score`)."""
    gold: str
    """The answer that scores 1, without tags."""
    chance: float
    """The expected score of the best reply that does not look at the prompt's content."""
    source_items: tuple[str, ...] = ()
    """The nodes, pairs or images that it was drawn from: the clusters of its statistics."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What explains it: nodes, hops, angle, files, text that was cut."""

    @property
    def text(self) -> str:
        """The text parts, joined; images are left out."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @cached_property
    def images(self) -> list[Image]:
        """The image parts, in order."""
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def is_bare(self) -> bool:
        """Whether the answer alone is asked for, so that a whole reply is read as one."""
        return bool(self.scoring.arguments.get("bare"))

    def reply_with(self, answer: str) -> str:
        """The shortest reply that gives an answer: in its tags, or alone where nothing else was asked for."""
        return answer if self.is_bare else f"<answer>{answer}</answer>"

    @property
    def gold_reply(self) -> str:
        """The shortest reply that scores 1."""
        return self.reply_with(self.gold)

    def messages(self) -> list[dict[str, Any]]:
        """The chat form: one user turn; a plain string where there is no image, typed parts otherwise.

        Templates write typed parts one right after the other. So every text but the first starts a new line, and texts
        in a row are one part.
        """
        if not self.images:
            return [{"role": "user", "content": self.text}]
        content: list[dict[str, Any]] = []
        line = ""
        for part in self.parts:
            if not isinstance(part, str):
                content.append({"type": "image", "image": part})
                continue
            if content and content[-1]["type"] == "text":
                content[-1]["text"] += line + part
            else:
                content.append({"type": "text", "text": line + part})
            line = "\n"
        return [{"role": "user", "content": content}]
