"""Multiple choice: MMBench, SEED-Bench, and any table of questions of one's own.

A table may hold a question several times, with its options in other orders. Its rows then stand next to each other in
the order of items, and evaluation counts questions: right only if the reply to every row is (CircularEval).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ssl4rl.errors import UserError, unknown
from ssl4rl.example import Example
from ssl4rl.tasks import Draft, NotApplicable
from ssl4rl.vision.benchmarks.base import PictureBenchmark, PictureKnobs
from ssl4rl.vision.questions import TRAIN, Question, QuestionSet

GROUPS: Mapping[str, Sequence[str]] = {
    "coarse_perception": ("image_style", "image_topic", "image_scene", "image_emotion", "image_quality"),
    "finegrained_perception (instance-level)": (
        "object_localization",
        "attribute_recognition",
        "celebrity_recognition",
        "ocr",
    ),
    "finegrained_perception (cross-instance)": (
        "spatial_relationship",
        "attribute_comparison",
        "action_recognition",
    ),
    "attribute_reasoning": ("physical_property_reasoning", "function_reasoning", "identity_reasoning"),
    "relation_reasoning": ("social_relation", "nature_relation", "physical_relation"),
    "logic_reasoning": ("structuralized_imagetext_understanding", "future_prediction"),
}
"""MMBench's groups of abilities (its ``l2-category``) and the 20 abilities in them."""


class ChoiceKnobs(PictureKnobs):
    """Settings of multiple choice."""

    rotate: bool = False
    """Whether a question that the table holds once is asked once per shift of its options (``--rotate``)."""
    part: str | None = None
    """Only rows whose ``split`` cell says this or nothing; null takes all but those marked train."""


class MultipleChoice(PictureBenchmark[QuestionSet, ChoiceKnobs]):
    """The letter of the right option; items are the rows of a table, question by question in a shuffled order."""

    name: ClassVar[str] = "choice"
    knobs_type = ChoiceKnobs
    loader: ClassVar[str] = "ssl4rl.data.images.questions:load_questions"
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {"direct": {"reasoning": False}, "reasoning": {}, "paper": {}}
    default_level = "reasoning"

    def prepare(self) -> None:
        if self.split == "val":
            raise NotApplicable(f"questions {self.source.name} have no validation split, only train and test")
        questions: dict[str, list[Question]] = defaultdict(list)
        for row in self._kept():
            if not row.answer:
                raise UserError(
                    f"{row.place}, field answer: there is none, so the row cannot be scored; fill it in, or take "
                    "another part of the table with --set task.part=NAME"
                )
            questions[row.base].append(row)
        order = self.drawn().permutation(len(questions))
        asked = list(questions.values())
        self.rows: list[Question] = []
        self._ends: list[int] = []
        for place in order:
            rows = asked[int(place)]
            self.rows += rows[0].rotations() if self.knobs.rotate and len(rows) == 1 else rows
            self._ends.append(len(self.rows))

    def _kept(self) -> list[Question]:
        rows = [row for row in self.source.questions if (row.part == TRAIN) == (self.split == "train")]
        part = self.knobs.part if self.split == "test" else None
        if part is not None:
            parts = {row.part for row in rows} - {""}
            if parts and part not in parts:
                raise unknown(f"part of {self.source.name}", part, parts)
            rows = [row for row in rows if row.part in ("", part)]
        if not rows:
            raise NotApplicable(f"questions {self.source.name} have none for {self.split}")
        return rows

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def num_questions(self) -> int:
        return len(self._ends)

    def items_of(self, questions: int) -> int:
        return self._ends[questions - 1] if questions else 0

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        row = self.rows[index]
        hint = [f"Hint: {row.hint}"] if row.hint else []
        options = [f"{letter}: {text}" for letter, text in row.options.items()]
        text = "\n".join([*hint, row.text, *options])
        meta = {
            "item": f"question:{row.index}",
            "question": f"question:{row.base}",
            "rotated": row.rotated,
            "class": row.options[row.answer],
            "category": row.category,
            "group": self.group_of(row),
            "options": dict(row.options),
            "files": [row.place],
        }
        return Draft(self.parts(lambda: self.source.open(row), text, "one letter"), [row.answer], meta)

    def group_of(self, row: Question) -> str:
        """The group of a row's category: what the table says."""
        return row.group

    def choices(self, example: Example) -> dict[str, str]:
        return dict(example.meta["options"])


class MMBench(MultipleChoice):
    """MMBench (Liu et al. 2024): 20 abilities in 6 groups. Other categories are reported as they stand."""

    name: ClassVar[str] = "mmbench"
    _group: ClassVar[Mapping[str, str]] = {leaf: group for group, leaves in GROUPS.items() for leaf in leaves}

    def group_of(self, row: Question) -> str:
        return self._group.get(row.category, row.group)


class SeedBench(MultipleChoice):
    """SEED-Bench's questions about single pictures (Li et al. 2023); its nine dimensions are their categories."""

    name: ClassVar[str] = "seedbench"
