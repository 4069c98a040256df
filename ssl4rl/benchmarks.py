"""A benchmark is a task whose targets are the data's own labels: a fixed number of items, each asked about once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, ShownImage
from ssl4rl.example import Example
from ssl4rl.rng import moved, seeded_rng
from ssl4rl.tasks import K, S, Task

MOST_LISTED = 1000
"""Most choices that a scoring lists. Names among more than these are not repeated in every record: one that does not
exist is wrong there instead of invalid."""


class Benchmark(Task[S, K]):
    """A task on labelled data: ``example(i)`` asks about item ``i`` of a finite set.

    Every reply is one of a closed set of labels. An example's ``meta`` has ``item``, a key of the question that is the
    same whatever the prompt shows, and ``class``, the name of the right class. Where several items are one question,
    ``question`` names it; questions that are reported by ``category`` name theirs, and its ``group``.
    """

    noun: ClassVar[str] = "benchmark"
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What the model itself is asked again: names, and the knobs that take away what a reply may rest on."""
    usual_ablations: ClassVar[Sequence[str]] = ()
    """Those of them that are asked unless others are named."""
    ranks: ClassVar[bool] = False
    """Whether the items of a question are its candidates, to be ranked by the likelihood of "yes" against "no"; of the
    ``edge`` that an example's ``meta`` names, one end is looked for."""
    restatements: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The same question in other forms: names, and the knobs that change the form and not the meaning."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many items the split has; ``example(i)`` is defined for ``0 <= i < size``."""

    @property
    def num_questions(self) -> int:
        """How many questions they ask: several items in a row may be one, its options in other orders."""
        return self.size

    def items_of(self, questions: int) -> int:
        """How many items the first ``questions`` questions are."""
        return questions

    @property
    def has_answers(self) -> bool:
        """Whether the right answers are known here; where they are not, replies can only be sent to who knows them."""
        return True

    @property
    def notes(self) -> Sequence[str]:
        """What to know about the items, a sentence each, such as what is left out; reports end with them."""
        return ()

    @property
    def vocabulary(self) -> Mapping[str, str] | None:
        """The choices of every item, where they are the same ones and the prompt lists none; else None."""
        return None

    def item_rng(self, *key: object) -> np.random.Generator:
        """What draws items, their order and their options: the same however much of the data a prompt shows."""
        return seeded_rng("items", self.source.fingerprint, self.name, self.split, self.seed, *key)

    @property
    def restated(self) -> str | None:
        """The other form in which the question is asked; None for the usual one."""
        return None

    def offered(self, options: list[int], *key: object) -> list[int]:
        """The options of an item in the order in which they are shown; restated, each is in another place."""
        if self.restated != "options":
            return options
        return [options[place] for place in moved(len(options), self.item_rng("options restated", *key))]

    def choices(self, example: Example) -> Mapping[str, str]:
        """What may be answered, by label, with the name of each: ``{"A": "Theory", …}``."""
        if self.vocabulary is not None:
            return self.vocabulary
        choices: Mapping[str, str] = example.meta["choices"]
        return choices

    def closed(
        self,
        parts: tuple[str | ShownImage, ...],
        *,
        accepted: Sequence[str],
        choices: Mapping[str, str],
        item: str,
        class_name: str,
        source_items: tuple[str, ...],
        meta: Mapping[str, Any],
    ) -> Draft:
        """The draft of a question with a closed set of answers, any of ``accepted`` being right."""
        own = {} if self.vocabulary is not None else {"choices": dict(choices)}
        about = {**meta, **own, "item": item, "class": class_name}
        draft = Draft.any_of(parts, accepted, list(choices), source_items, about)
        if len(choices) > MOST_LISTED:
            draft = replace(draft, scoring=Scoring("score_any_of", {"accepted": list(accepted)}))
        return draft


def versioned_name(task: Task[Any, Any]) -> str:
    """The name under which a run records a task's version; a task and a benchmark may share a name."""
    return f"{'benchmark' if isinstance(task, Benchmark) else 'task'} {task.name}"


def accepted_answers(example: Example) -> list[str]:
    """The labels that are right in an example of a benchmark."""
    return list(example.scoring.arguments["accepted"])


AnyBenchmark = Benchmark[Any, Any]
