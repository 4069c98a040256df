"""Multiple-choice questions about images, as the benchmarks' tables hold them.

CircularEval (Liu et al. 2024, MMBench, §4.3) asks a question once per circular shift of its options and counts it as
right only if every reply is. The index of a row shows which question it asks: that of a shifted copy is the index of
the question's own row plus a multiple of a million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.prompts import OF_OTHERS
from ssl4rl.tally import Tally
from ssl4rl.vision.image_set import ImageStore

ROTATED_FROM = 1_000_000
"""The index of a rotated copy modulo this is the index of the row that it is a copy of."""

LONGEST_INDEX = 18
"""Digits of an index that is a number."""

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
    """The letter that is right; empty where the table gives none."""
    image: int
    """Which of the set's images it is about."""
    place: str
    """File and row, for messages."""
    hint: str = ""
    category: str = ""
    group: str = ""
    """The table's ``l2-category``."""
    part: str = ""
    """The table's ``split``."""
    more: tuple[int, ...] = ()
    """Which further images it is about, in order."""

    @property
    def images(self) -> tuple[int, ...]:
        """All images that it is about, in order."""
        return (self.image, *self.more)

    @property
    def accepted(self) -> list[str]:
        """The letters that are right: of options with the same text all are, and none where the answer is not known."""
        return [letter for letter, text in self.options.items() if text == self.options.get(self.answer)]

    @property
    def rotated(self) -> bool:
        """Whether it is a copy with its options in another order."""
        return self.index != self.base

    @property
    def has_fixed_order(self) -> bool:
        """Whether an option speaks of others by their place, so that in another order it would be wrong."""
        return any(OF_OTHERS.search(text) for text in self.options.values())

    def rotations(self) -> list[Question]:
        """The question with its options shifted by 0, 1, … places, itself first."""
        places = list(range(len(self.options)))
        shifted = (self.reordered(places[shift:] + places[:shift]) for shift in places)
        return [replace(row, index=self._rotated_index(shift)) for shift, row in enumerate(shifted)]

    def reordered(self, places: Sequence[int]) -> Question:
        """The same with its options in another order: under the first letter what was at ``places[0]``, and so on."""
        letters, texts = list(self.options), list(self.options.values())
        options = dict(zip(letters, (texts[place] for place in places), strict=True))
        answer = letters[list(places).index(letters.index(self.answer))] if self.answer else ""
        return replace(self, options=options, answer=answer)

    def _rotated_index(self, shift: int) -> str:
        if not shift:
            return self.index
        # From a million on, what is added could be the index of another row.
        added = is_number(self.index) and int(self.index) < ROTATED_FROM
        return str(int(self.index) + shift * ROTATED_FROM) if added else f"{self.index}+{shift}"


@dataclass(frozen=True, eq=False, repr=False)
class QuestionSet:
    """Questions and the images that they are about."""

    name: str
    store: ImageStore
    hashes: Sequence[str]
    """SHA-256 of each image's bytes."""
    questions: Sequence[Question]
    left_out: Sequence[str] = ()
    """Rows of the table that are no questions here, as their image is missing: file, row and reason of each."""
    skipped: Sequence[str] = ()
    """What was wrong with the image of each row that was left out because it is broken, one line each."""
    reading: Sequence[Tally] = ()
    """What the loader found and read: rows, columns."""

    def __len__(self) -> int:
        return len(self.questions)

    def __repr__(self) -> str:
        return f"QuestionSet({self.name!r}, {len(self.questions):,} questions, {len(set(self.hashes)):,} images)"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every question's text, options, answer, category, part and image."""
        digest = hashlib.sha256()
        for each in self.questions:
            row = (each.index, each.text, each.hint, dict(each.options), each.answer, each.category, each.group)
            digest.update(repr((row, each.part, self.hashes[each.image])).encode("utf-8", "surrogatepass"))
            for image in each.more:
                digest.update(self.hashes[image].encode())
        return digest.hexdigest()

    def open(self, question: Question, place: int = 0) -> Image.Image:
        """The image that a question is about, as upright RGB; of several, the one at ``place``.

        Raises:
            UserError: if it is broken or too large; the message names its row.
        """
        return self.store.open(question.images[place], None)


def link_rotated_copies(questions: Sequence[Question], hashes: Sequence[str]) -> list[Question]:
    """The questions, with ``base`` set in rotated copies.

    A row is a copy if its index is a million or more, and the rest of a division by a million is another row's index.
    ``hashes`` are those of the images.

    Raises:
        UserError: if a copy asks something else than the row that it is a copy of.
    """
    by_index = {question.index: question for question in questions}
    linked = []
    for question in questions:
        number = int(question.index) if is_number(question.index) else 0
        base = by_index.get(str(number % ROTATED_FROM)) if number >= ROTATED_FROM else None
        if base is None:
            linked.append(question)
            continue
        differs = "options or right answers" if _content(base) != _content(question) else ""
        if not differs and _asked(base, hashes) != _asked(question, hashes):
            differs = "questions or images"
        if differs:
            raise UserError(
                f"{question.place}: index {question.index} makes it a rotated copy of {base.place}, but their "
                f"{differs} differ; give your own questions indices below 1,000,000"
            )
        if base.part != question.part:
            raise UserError(
                f"{question.place}: it is a rotated copy of {base.place}, but their split cells differ "
                f"({question.part!r} and {base.part!r}); put both into one split"
            )
        linked.append(replace(question, base=base.index))
    return linked


def is_number(index: str) -> bool:
    """Whether an index counts as a number: Python reads a few thousand digits at most, and nobody writes as many."""
    return index.isdecimal() and len(index) <= LONGEST_INDEX


def _content(question: Question) -> tuple[list[str], str]:
    """What is the same in every rotation: the options, and the text of the right one."""
    return sorted(map(_plain, question.options.values())), _plain(question.options.get(question.answer, ""))


def _asked(question: Question, hashes: Sequence[str]) -> tuple[str, ...]:
    """What else is: the question and its images."""
    return _plain(question.text), _plain(question.hint), *(hashes[image] for image in question.images)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
