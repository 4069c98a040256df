"""A task is a pure function from an index to an example, and a scorer from a reply to a score.

A subclass says four things: its knobs, how one draft is built from a random generator, how a reply is scored, and
what a reply earns that never looked at the prompt. Everything else (levels, ids, seeding, redrawing) is here.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ssl4rl.answers import score_any_of
from ssl4rl.errors import UserError, unknown
from ssl4rl.example import Example, Score

MAX_DRAWS = 200
SPLITS = ("train", "val", "test")

REPLY_FORMAT = "Reason inside <think></think>, then give {what} inside <answer></answer>."


class Knobs(BaseModel):
    """Base of every task's settings: frozen, and an unknown or ill-typed one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


class Source(Protocol):
    """What examples are cut from. ``fingerprint`` is a hash of the content, so an id names the data it came from."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


class Redraw(Exception):
    """A draft turned out unusable (the answer was quoted, no distractor was left); another one is drawn."""


class NotApplicable(UserError):
    """The source lacks what the task needs (relations, labels, enough edges)."""


@dataclass(frozen=True)
class Draft:
    """What a task builds: prompt parts, target and the meta that explains them. The base class adds id and hash."""

    parts: tuple[Any, ...]
    target: Any
    meta: Mapping[str, Any]


def seeded_rng(*key: object) -> np.random.Generator:
    """A generator seeded by hashing ``key``: the same in every process, different for every key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


S = TypeVar("S", bound=Source)
K = TypeVar("K", bound=Knobs)


class Task(ABC, Generic[S, K]):
    """One self-supervised task (or benchmark) on one split of one source.

    ``example(i)`` depends on the source's content, the knobs, the split, the seed and ``i`` and on nothing else.

    Raises:
        UserError: for an unknown level, knob or split, or (``NotApplicable``) a source that lacks what is needed.
    """

    side: ClassVar[str] = "graph"
    """What sources it is for, and which of ``ssl4rl graph`` and ``ssl4rl vision`` runs it."""
    name: ClassVar[str]
    knobs_type: ClassVar[type[Knobs]]
    levels: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Named bundles of knobs, from easy to hard; the values are overrides of the knobs' defaults."""
    default_level: ClassVar[str] = "medium"

    def __init__(
        self,
        source: S,
        *,
        split: str = "train",
        level: str | None = None,
        knobs: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.source = source
        self.level = level or self.default_level
        if self.level not in self.levels:
            raise unknown(f"level of task {self.name}", self.level, self.levels)
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        self.split = split
        self.seed = seed
        self.overrides = dict(knobs or {})
        self.knobs: K = self._validated()
        self._key = (source.fingerprint, self.name, self.knobs.model_dump_json(), split, seed)
        self.prepare()

    def prepare(self) -> None:
        """Builds what all examples share; called once, when source, split and knobs are known.

        Raises:
            NotApplicable: if the source lacks what the task needs.
        """

    def _validated(self) -> K:
        for key in self.overrides:
            if key not in self.knobs_type.model_fields:
                raise unknown(f"knob of task {self.name}", key, self.knobs_type.model_fields)
        try:
            return self.knobs_type(**{**self.levels[self.level], **self.overrides})  # type: ignore[return-value]
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(place) for place in first["loc"]) or "knobs"
            raise UserError(f"task {self.name}: task.{where}={first['input']!r}: {first['msg']}") from error

    @property
    def label(self) -> str:
        """``task@level``, with the knobs that differ from the level: ``link@medium+num_hops=2``."""
        changed = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(self.overrides.items()))
        return f"{self.name}@{self.level}" + (f"+{changed}" if changed else "")

    def example(self, index: int) -> Example:
        """The ``index``-th example (any non-negative integer; drafts that turn out unusable are redrawn).

        Raises:
            IndexError: past the last item of a benchmark.
        """
        for draw in range(MAX_DRAWS):
            try:
                draft = self.draft(index, seeded_rng(*self._key, index, draw))
            except Redraw as reason:
                last = reason
                continue
            return self._finish(index, draft)
        raise NotApplicable(
            f"task {self.label} found no usable example on {self.source.name}/{self.split} "
            f"in {MAX_DRAWS} draws ({last}); try an easier level or smaller knobs"
        )

    def _finish(self, index: int, draft: Draft) -> Example:
        text = [part for part in draft.parts if isinstance(part, str)]
        content = json.dumps([self._key, text, draft.target], ensure_ascii=False, sort_keys=True)
        hash8 = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        identity = f"{self.source.name}/{self.split}/{self.label}/{self.seed}/{index}#{hash8}"
        return Example(identity, self.name, draft.parts, draft.target, draft.meta)

    @abstractmethod
    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        """Builds one example's content from ``rng``; raises ``Redraw`` when the draw cannot be used.

        A self-supervised task has no use for ``index``: a benchmark asks about that item of its data.
        """

    @abstractmethod
    def score(self, reply: str, example: Example) -> Score:
        """Scores a reply. Never raises on a malformed reply; a crash in here is a bug, not a zero."""

    @abstractmethod
    def chance(self, example: Example) -> float:
        """The expected score of the best reply that does not look at the prompt's content."""

    @abstractmethod
    def gold(self, example: Example) -> str:
        """The answer that scores 1, as it would stand inside ``<answer></answer>``."""


class Benchmark(Task[S, K]):
    """A task whose targets are the data's own labels: item ``i`` of a finite set is asked about once.

    Every reply is one of a closed set of labels. ``target`` is the list of those that are right; ``meta`` has
    ``item``, a key of the question that is the same whatever the prompt shows, and ``class``, the name of the right
    class. Where several items are one question, ``question`` names it; questions that are reported by ``category`` say
    theirs, and its ``group``.
    """

    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Baselines of the model itself: their names, and the knobs that take away what a reply should rest on."""
    loader: ClassVar[str | None] = None
    """``module:function`` that loads its source by name; None where it is cut from what the side's tasks are."""

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
    def vocabulary(self) -> Mapping[str, str] | None:
        """The choices of every item, where they are the same ones and the prompt lists none; else None."""
        return None

    @abstractmethod
    def choices(self, example: Example) -> dict[str, str]:
        """What may be answered, by label, with the name of each: ``{"A": "Theory", …}``."""

    def score(self, reply: str, example: Example) -> Score:
        return score_any_of(reply, example.target)

    def chance(self, example: Example) -> float:
        """Of a uniform draw among the choices."""
        return len(example.target) / len(self.choices(example))

    def gold(self, example: Example) -> str:
        return str(example.target[0])
