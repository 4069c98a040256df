"""Multiple-choice questions about pictures, as the benchmarks' tables hold them.

CircularEval (Liu et al. 2024, MMBench, §4.3) asks a question once per circular shift of its options and counts it as
right only if every reply is. Rows that ask one question are told by their index: that of a shifted copy is the index
of the question's own row plus a multiple of a million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.vision.image_set import Pictures

ROTATED_FROM = 1_000_000
"""The index of a rotated copy modulo this is the index of the row that it is a copy of."""

TRAIN = "train"


@dataclass(frozen=True)
class Question:
    """One row: a question with its options in one order."""

    index: str
    """What the table calls the row."""
    base: str
    """The index of the row that holds the question as it was written; its own for that row itself."""
    text: str
    options: Mapping[str, str]
    """By letter, in the order of the letters."""
    answer: str
    """The letter that is right; empty where the table tells none."""
    picture: int
    """Which of the set's pictures it is about."""
    place: str
    """File and row, for messages."""
    hint: str = ""
    category: str = ""
    group: str = ""
    """What the table says in ``l2-category``."""
    part: str = ""
    """What it says in ``split``."""

    @property
    def rotated(self) -> bool:
        """Whether it is a copy with its options in another order."""
        return self.index != self.base

    def rotations(self) -> list[Question]:
        """The question with its options moved on by 0, 1, … places, itself first."""
        letters, texts = list(self.options), list(self.options.values())
        turned = []
        for shift in range(len(letters)):
            options = dict(zip(letters, texts[shift:] + texts[:shift], strict=True))
            answer = letters[(letters.index(self.answer) - shift) % len(letters)] if self.answer else ""
            turned.append(replace(self, index=self._rotated_index(shift), options=options, answer=answer))
        return turned

    def _rotated_index(self, shift: int) -> str:
        if not self.index.isdecimal():
            return f"{self.index}+{shift}" if shift else self.index
        return str(int(self.index) + shift * ROTATED_FROM)


@dataclass(frozen=True, eq=False)
class QuestionSet:
    """Questions and the pictures that they are about."""

    name: str
    pictures: Pictures
    hashes: Sequence[str]
    """SHA-256 of each picture's bytes."""
    questions: Sequence[Question]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every question's text, options, answer, category, part and picture."""
        digest = hashlib.sha256()
        for each in self.questions:
            row = (each.index, each.text, each.hint, dict(each.options), each.answer, each.category, each.group)
            digest.update(repr((row, each.part, self.hashes[each.picture])).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def open(self, question: Question) -> Image.Image:
        """The picture that a question is about, as upright RGB.

        Raises:
            UserError: if it is broken or too large; the message names its row.
        """
        return self.pictures.open(question.picture, None)


def with_bases(questions: Sequence[Question]) -> list[Question]:
    """The questions, rotated copies told by their index (a million or more, and the row of the rest is there).

    Raises:
        UserError: if a copy has other options or another right answer than the row that it is a copy of.
    """
    known = {question.index: question for question in questions}
    found = []
    for question in questions:
        number = int(question.index) if question.index.isdecimal() else 0
        base = known.get(str(number % ROTATED_FROM)) if number >= ROTATED_FROM else None
        if base is not None and _content(base) != _content(question):
            raise UserError(
                f"{question.place}: index {question.index} makes it a rotated copy of {base.place}, but their options "
                "or right answers differ; give questions of your own indices below 1,000,000"
            )
        if base is not None and base.part != question.part:
            raise UserError(
                f"{question.place}: it is a rotated copy of {base.place}, but their split cells differ "
                f"({question.part!r} and {base.part!r}); put both on one side"
            )
        found.append(question if base is None else replace(question, base=base.index))
    return found


def _content(question: Question) -> tuple[list[str], str]:
    """What no rotation changes: the options, and the text of the right one."""
    return sorted(map(_plain, question.options.values())), _plain(question.options.get(question.answer, ""))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
