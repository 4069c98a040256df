"""Multiple choice: MMBench, SEED-Bench, and your own tables of questions.

A table may hold a question several times, with its options in other orders. Its rows then follow each other in the
order of items, and evaluation counts questions: one is right only if the reply to every row is (CircularEval).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ssl4rl.drafts import Draft
from ssl4rl.errors import NotApplicable, UserError, unknown
from ssl4rl.prompts import label_noun
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SourceKind
from ssl4rl.vision.benchmarks.base import ImageBenchmark, ImageKnobs
from ssl4rl.vision.image_set import image_item
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


class ChoiceKnobs(ImageKnobs):
    """Settings of multiple choice."""

    rotate: bool = False
    """Whether a question that the table holds once is asked once per shift of its options (``--rotate``)."""
    part: str | None = None
    """Only rows whose ``split`` cell is this or empty; null takes all but those marked train."""


class MultipleChoice(ImageBenchmark[QuestionSet, ChoiceKnobs]):
    """The letter of the right option; items are the rows of a table, question by question in a shuffled order."""

    name: ClassVar[str] = "choice"
    version: ClassVar[int] = 3
    knobs_type = ChoiceKnobs
    source_kind: ClassVar[SourceKind[Any]] = SOURCE_KINDS.deferred("questions")
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {"direct": {"reasoning": False}, "reasoning": {}, "paper": {}}
    default_level = "reasoning"

    def prepare(self) -> None:
        super().prepare()
        if self.split == "val":
            raise NotApplicable(f"question set {self.source.name} has no validation split, only train and test")
        questions: dict[str, list[Question]] = defaultdict(list)
        kept = self._kept()
        self._answered = any(row.answer for row in kept)
        for row in kept:
            # Where nothing has an answer, others keep them, and score what is sent to them.
            if not row.answer and (self._answered or self.split == TRAIN):
                raise UserError(
                    f"{row.place}, field answer: it is empty, so the row cannot be scored; fill it in, or choose "
                    "another part of the table with --set task.part=NAME"
                )
            questions[row.base].append(row)
        grouped = list(questions.values())
        self.rows: list[Question] = []
        self._ends: list[int] = []
        for place in self.item_rng().permutation(len(grouped)).tolist():
            rows = grouped[place]
            can_rotate = len(rows) == 1 and not rows[0].has_fixed_order
            self.rows += rows[0].rotations() if self.knobs.rotate and can_rotate else rows
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
            raise NotApplicable(f"question set {self.source.name} has no {self.split} questions")
        return rows

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def has_answers(self) -> bool:
        return self._answered

    @property
    def notes(self) -> Sequence[str]:
        left_out = self.source.left_out
        if not left_out:
            return ()
        some = "; ".join(left_out[:2]) + ("; …" if len(left_out) > 2 else "")
        found = len(left_out) + len(self.source.questions)
        return (f"{len(left_out)} of {found} rows are left out, as their images are not in the table ({some})",)

    @property
    def hashes(self) -> Sequence[str]:
        return self.source.hashes

    def open_image(self, image: int) -> Image.Image:
        return self.source.store.open(image, None)

    @property
    def num_questions(self) -> int:
        return len(self._ends)

    def items_of(self, questions: int) -> int:
        return self._ends[questions - 1] if questions else 0

    def in_shown_order(self, row: Question) -> Question:
        """A row with its options in the order in which a model sees them."""
        if row.has_fixed_order:
            return row
        return row.reordered(self.offered(list(range(len(row.options))), row.index))

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        row = self.in_shown_order(self.rows[index])
        hint = [f"Hint: {row.hint}"] if row.hint else []
        options = [f"{letter}: {text}" for letter, text in row.options.items()]
        text = "\n".join([*hint, row.text, *options])
        return self.closed(
            self.parts(row.images, text, label_noun(list(row.options))),
            accepted=row.accepted,
            choices=row.options,
            item=f"question:{row.index}",
            class_name=row.options.get(row.answer, ""),
            source_items=tuple(image_item(self.hashes[image]) for image in row.images),
            meta={
                "question": f"question:{row.base}",
                "rotated": row.rotated,
                "category": row.category,
                "group": self.group_of(row),
                "images": list(row.images),
                "files": [row.place],
            },
        )

    def group_of(self, row: Question) -> str:
        """The group of a row's category, from the table."""
        return row.group


class MMBench(MultipleChoice):
    """MMBench (Liu et al. 2024): 20 abilities in 6 groups. Other categories are reported under their own names."""

    name: ClassVar[str] = "mmbench"
    _group: ClassVar[Mapping[str, str]] = {leaf: group for group, leaves in GROUPS.items() for leaf in leaves}

    def group_of(self, row: Question) -> str:
        return self._group.get(row.category, row.group)


class SeedBench(MultipleChoice):
    """SEED-Bench's questions about single images (Li et al. 2023); its nine dimensions are their categories."""

    name: ClassVar[str] = "seedbench"
