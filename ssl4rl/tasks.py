"""A task is a pure function from an index to an example, which says as plain data how a reply to it is scored.

A subclass says three things: its knobs, its levels, and how one draft is built from a random generator. Everything
else (ids, seeding, redrawing, scoring) is here.
"""

from __future__ import annotations

import json
from abc import ABC
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from pydantic import ConfigDict, ValidationError

from ssl4rl import answers
from ssl4rl.answers import Score
from ssl4rl.drafts import Draft, Redraw, ShownImage, content_hash
from ssl4rl.errors import NotApplicable, UserError, quoted, unknown
from ssl4rl.example import Example, ExampleId, task_label
from ssl4rl.prompts import reply_form
from ssl4rl.rng import seeded_rng
from ssl4rl.settings import Numeric, first_invalid
from ssl4rl.source import SPLITS, Source, SourceKind

MAX_DRAWS = 200
"""Drafts that are tried before a source is said to have no usable example."""
TRIED, RARE = 8, MAX_DRAWS // 10
"""Examples that a task builds to see whether it can use a source, and drafts that each may take in the mean: of so
many, a later one fails in e^-10 of the cases."""
MOST_REASONS = 3
"""How many reasons for drawing again are listed, the commonest first."""


class Knobs(Numeric):
    """Base of every task's settings: frozen, and an unknown or ill-typed one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    unseeded: ClassVar[frozenset[str]] = frozenset()
    """Knobs that seed no draw: most change how an example is shown, and an index is the same question whatever they
    are; others say which items there are."""

    reasoning: bool = True
    """Whether the prompt asks for reasoning before the answer, or for the answer and nothing else."""


S = TypeVar("S", bound=Source)
K = TypeVar("K", bound=Knobs)


class Task(ABC, Generic[S, K]):
    """One self-supervised task (or benchmark) on one split of one source.

    ``example(i)`` depends on the source's content, the task's version, the knobs that differ from their defaults, the
    split, the seed and ``i``, and on nothing else.

    Raises:
        UserError: for an unknown level, knob or split, or (``NotApplicable``) a source that lacks what is needed.
    """

    name: ClassVar[str]
    noun: ClassVar[str] = "task"
    """What messages call it."""
    version: ClassVar[int] = 1
    """Raised when the same knobs, seed and index give other examples than before."""
    source_kind: ClassVar[SourceKind[Any]]
    """What it is cut from, and so which of ``ssl4rl graph`` and ``ssl4rl vision`` runs it."""
    knobs_type: ClassVar[type[Knobs]]
    levels: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Named bundles of knobs, from easy to hard; the values are overrides of the knobs' defaults."""
    default_level: ClassVar[str] = "medium"
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """The rungs of a curriculum, from easy to hard: of each a ``level``, knobs, or both. Empty: the levels are the
    rungs, but for those that reproduce the paper."""

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
            raise unknown(f"level of {self.noun} {self.name}", self.level, self.levels)
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        if seed < 0:
            raise UserError(f"seed={seed}: give a whole number of at least 0")
        self.split = split
        self.seed = seed
        self.knobs: K = self._validated(knobs or {})
        set_here, in_level = (each.model_dump(mode="json") for each in (self.knobs, self._validated({})))
        self.given = {key: set_here[key] for key in knobs or ()}
        """The knobs that were named, also where they are as the level has them."""
        self.overrides = {key: set_here[key] for key in knobs or () if set_here[key] != in_level[key]}
        changed = self.knobs.model_dump(mode="json", exclude_defaults=True)
        shown = {key: changed.pop(key) for key in self.knobs.unseeded & changed.keys()}
        drawn, undrawn = (json.dumps(each, sort_keys=True, ensure_ascii=False) for each in (changed, shown))
        self._key: tuple[Any, ...] = (source.fingerprint, self.name, self.unchanged_since, drawn, split, seed)
        """What seeds its draws."""
        self._undrawn: tuple[Any, ...] = (undrawn,)
        """What else decides its examples."""
        self.redrawn: Counter[str] = Counter()
        """Why drafts were drawn again so far, and how often."""
        self.prepare()

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.source.name}/{self.split}/{self.label}')"

    @property
    def unchanged_since(self) -> int:
        """The version whose examples it still has: the task's, or an earlier one if others were changed alone."""
        return self.version

    @property
    def key(self) -> tuple[Any, ...]:
        """What decides its examples: two tasks with equal keys have the same ones."""
        return (*self._key, *self._undrawn)

    def prepare(self) -> None:
        """Builds what all examples share; called once, when source, split and knobs are known.

        Raises:
            NotApplicable: if the source lacks what the task needs.
        """

    def _validated(self, knobs: Mapping[str, Any]) -> K:
        for place, keys in (("", knobs), (f"level {self.level} of ", self.levels[self.level])):
            for key in keys:
                if key not in self.knobs_type.model_fields:
                    raise unknown(f"knob of {place}{self.noun} {self.name}", key, self.knobs_type.model_fields)
        try:
            return self.knobs_type(**{**self.levels[self.level], **knobs})  # type: ignore[return-value]
        except ValidationError as error:
            where, value, why = first_invalid(error)
            place = f"task.{where}={quoted(value)}: " if where else ""  # of several knobs that do not go together
            raise UserError(f"{self.noun} {self.name}: {place}{why}") from error

    @property
    def label(self) -> str:
        """``task@level``, with the knobs that differ from the level: ``link@medium+num_hops=2``."""
        return task_label(self.name, self.level, self.overrides)

    @classmethod
    def at_every_level(cls, source: S, **settings: Any) -> Iterator[Self]:
        """The task at each level at which the source has examples; ``settings`` are split, knobs and seed."""
        for level in cls.levels:
            with suppress(NotApplicable):
                yield cls(source, level=level, **settings).tried()

    def on_split(self, split: str) -> Task[S, K]:
        """The same task on another split of its source."""
        return type(self)(self.source, split=split, level=self.level, knobs=self.given, seed=self.seed)

    def changed(self, rung: Mapping[str, Any]) -> Self:
        """The same task at the ``level`` that is named, if one is, and with the knobs that are."""
        level = rung.get("level", self.level)
        knobs = {**self.given, **{key: value for key, value in rung.items() if key != "level"}}
        return type(self)(self.source, split=self.split, level=level, knobs=knobs, seed=self.seed)

    def rungs(self) -> list[Self]:
        """The same task at the rungs of its ladder that apply to its source, from easy to hard."""
        found = []
        for rung in self.ladder or [{"level": level} for level in self.levels if not is_paper_level(level)]:
            with suppress(NotApplicable):
                found.append(self.changed(rung).tried())
        return found

    def tried(self) -> Self:
        """The task itself, once it has built its first examples.

        Raises:
            NotApplicable: if one cannot be built, or takes so many drafts that a later one could find none usable.
        """
        shown, self.redrawn = self.redrawn, Counter()
        try:
            with suppress(IndexError):  # a benchmark with few items
                for index in range(TRIED):
                    self.example(index)
            if self.redrawn.total() > TRIED * RARE:
                raise NotApplicable(
                    f"task {self.label} finds a usable example on {self.source.name}/{self.split} so rarely that it "
                    f"would find none in {MAX_DRAWS} drafts at times: {_reasons(self.redrawn)} in the drafts for "
                    f"{TRIED}; try an easier level or smaller knobs"
                )
        finally:
            self.redrawn = shown
        return self

    def form(self, answer: str) -> str:
        """The last sentence of a prompt, which says how to reply; ``answer`` is what to give: "yes or no"."""
        return reply_form(answer, self.knobs.reasoning)

    # A small batch whose right answers are unbalanced by chance pushes a model toward one answer whatever it reads, and
    # the push feeds itself. So the right answers of a block of examples are balanced: each takes its slot.

    @property
    def num_slots(self) -> int:
        """How many places the right answer can be in, where examples take them in turn; 1 where they do not."""
        return 1

    def slot(self, index: int, k: int) -> int:
        """Which of ``k`` places the right answer of an example is in.

        Every block of ``k`` consecutive examples has each place once, in an order of its own.
        """
        block, place = divmod(index, k)
        return int(seeded_rng("slot", *self._key, block).permutation(k)[place])

    def next_like(self, index: int, start: int) -> int:
        """The first example from ``start`` on whose right answer has the slot of example ``index``."""
        k = self.num_slots
        wanted = self.slot(index, k)
        return next(other for other in count(start) if self.slot(other, k) == wanted)

    def example(self, index: int) -> Example:
        """The ``index``-th example (any non-negative integer; drafts that turn out unusable are redrawn).

        Raises:
            IndexError: past the last item of a benchmark.
            NotApplicable: if no usable draft is found.
        """
        if index < 0:
            raise IndexError(index)
        return self._finish(index, self._drafted(index)[1])

    @property
    def original(self) -> Task[S, K] | None:
        """The task that decides which drafts are drawn again; None if it is this one.

        Of a corrupted task it is the one that shows everything, so that both ask the same questions.
        """
        return None

    def _drafted(self, index: int) -> tuple[int, Draft]:
        """The first usable draft of an example, and which of its draws that is."""
        passed_over = Counter[str]()
        first = 0 if self.original is None else self.original._drafted(index)[0]
        for draw in range(first, first + MAX_DRAWS):
            try:
                draft = self.draft(index, seeded_rng(*self._key, index, draw))
            except Redraw as reason:
                passed_over[str(reason)] += 1
                continue
            self.redrawn += passed_over
            return draw, draft
        raise NotApplicable(
            f"task {self.label} found no usable example on {self.source.name}/{self.split} in {MAX_DRAWS} drafts: "
            f"{_reasons(passed_over)}; try an easier level or smaller knobs"
        )

    def _finish(self, index: int, draft: Draft) -> Example:
        if not self.knobs.reasoning:
            draft = replace(draft, scoring=draft.scoring._replace(arguments={**draft.scoring.arguments, "bare": True}))
        identity = ExampleId(
            source=self.source.name,
            split=self.split,
            task=self.name,
            level=self.level,
            knobs=self.overrides,
            seed=self.seed,
            index=index,
            hash=content_hash(draft),
        )
        return Example(
            id=identity,
            parts=tuple(part.image if isinstance(part, ShownImage) else part for part in draft.parts),
            scoring=draft.scoring,
            gold=draft.gold,
            chance=draft.chance,
            source_items=draft.source_items,
            meta=draft.meta,
        )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        """Builds one example's content from ``rng``.

        A self-supervised task has no use for ``index``: a benchmark asks about that item of its data.

        Raises:
            Redraw: when the draw cannot be used.
        """
        raise NotImplementedError(f"task {self.name} defines neither draft nor example")

    def score(self, reply: str, example: Example) -> Score:
        """Scores a reply to one of the task's examples; no reply raises."""
        return answers.score(reply, example.scoring)


def describe_redrawn(redrawn: Counter[str]) -> str:
    """What was passed over, for the user; empty if nothing was.

    >>> describe_redrawn(Counter({"two pieces look alike": 3, "the image is too small": 1}))
    '4 drafts were drawn again: two pieces look alike (3); the image is too small (1)'
    """
    drafts = "1 draft was" if redrawn.total() == 1 else f"{redrawn.total()} drafts were"
    return f"{drafts} drawn again: {_reasons(redrawn)}" if redrawn else ""


def _reasons(redrawn: Counter[str]) -> str:
    reasons = "; ".join(f"{reason} ({count})" for reason, count in redrawn.most_common(MOST_REASONS))
    return reasons + ("; and others" if len(redrawn) > MOST_REASONS else "")


def is_paper_level(level: str) -> bool:
    """Whether a level reproduces the paper's code, shortcuts included, instead of being one between easy and hard."""
    return level.startswith("paper")


AnyTask = Task[Any, Any]
