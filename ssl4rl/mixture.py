"""Several tasks as one: each index draws a task by its weight, and the example is that task's own."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, ClassVar

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.rng import seeded_rng
from ssl4rl.source import Source
from ssl4rl.tasks import AnyTask, Knobs, Task

BLOCK = 720
"""Examples whose tasks are drawn at once: a multiple of nearly every number of slots, so that few of a task's own
blocks are cut."""


def names_of_parts(parts: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What the tasks of a mixture are called, by source and label: the label, after the source where it occurs twice.

    >>> names_of_parts([("cora", "link@easy"), ("umls", "link@easy"), ("umls", "odd@easy")])
    {('cora', 'link@easy'): 'cora/link@easy', ('umls', 'link@easy'): 'umls/link@easy', ('umls', 'odd@easy'): 'odd@easy'}
    """
    keys = dict.fromkeys(parts)
    times = Counter(label for _, label in keys)
    return {(source, label): label if times[label] == 1 else f"{source}/{label}" for source, label in keys}


@dataclass(frozen=True, repr=False)
class MixedSource:
    """The sources of a mixture, as one."""

    sources: tuple[Source, ...]

    def __repr__(self) -> str:
        return f"MixedSource({self.name!r})"

    @property
    def name(self) -> str:
        """Their names, joined by a plus sign."""
        return "+".join(dict.fromkeys(source.name for source in self.sources))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over their fingerprints."""
        return hashlib.sha256(" ".join(source.fingerprint for source in self.sources).encode()).hexdigest()


class MixtureKnobs(Knobs):
    """Settings of a mixture."""

    weights: tuple[float, ...]
    """Each task's share of the examples, relative to the others'."""


class Mixture(Task[MixedSource, MixtureKnobs]):
    """A weighted mixture of tasks, on graphs, images or both; itself a task.

    A generator draws the task of each example, so it depends on nothing but the tasks, the weights, the seed and the
    index. In a block of the mixture's indices a task is asked for consecutive ones of its own, so that its right
    answers stay balanced. An example's id is that of its task. A mixture among the tasks is replaced by its own tasks,
    which share its weight.

    Raises:
        UserError: if a weight is not positive, two of the tasks are the same, or they are of different splits.
    """

    name: ClassVar[str] = "mixture"
    knobs_type = MixtureKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, tasks: Sequence[Task[Any, Any]], weights: Sequence[float] | None = None, seed: int = 0) -> None:
        weights = [1.0] * len(tasks) if weights is None else weights
        for task in tasks:
            if not isinstance(task, Task):
                raise UserError(f"a mixture is made of tasks, and {task!r} is none; ssl4rl.task(name) makes one")
        if not tasks or len(tasks) != len(weights) or not all(0 < weight < math.inf for weight in weights):
            raise UserError("a mixture needs at least one task, and a weight above 0 for each")
        parts = _flattened(tasks, weights)
        self.tasks = {(task.source.name, task.label): task for task, _ in parts}
        if len(self.tasks) < len(parts):
            raise UserError("a mixture names the same task, dataset and level twice; raise its weight instead")
        splits = {task.split for task, _ in parts}
        if len(splits) > 1:
            raise UserError(f"a mixture's tasks are of different splits: {', '.join(sorted(splits))}")
        self.source = MixedSource(tuple(task.source for task, _ in parts))
        self.split, self.level, self.seed, self.overrides = splits.pop(), "mixture", seed, {}
        reasoning = all(task.knobs.reasoning for task, _ in parts)
        self.knobs = MixtureKnobs(reasoning=reasoning, weights=tuple(weight for _, weight in parts))
        self._key = (tuple(task._key for task, _ in parts), self.knobs.weights, seed)
        self._undrawn = tuple(task._undrawn for task, _ in parts)
        self._parts = list(self.tasks.values())
        self.redrawn = Counter()
        for task in self._parts:
            task.redrawn = self.redrawn
        self._shares = tuple(weight / sum(self.knobs.weights) for weight in self.knobs.weights)

    @property
    def label(self) -> str:
        """The tasks' labels, joined by a plus sign."""
        return "+".join(task.label for task in self.tasks.values())

    def on_split(self, split: str) -> Mixture:
        return Mixture([task.on_split(split) for task in self.tasks.values()], self.knobs.weights, self.seed)

    def place(self, index: int) -> tuple[Task[Any, Any], int]:
        """The task that an example is of, and its index there."""
        block, offset = divmod(index, BLOCK)
        drawn = _drawn(self._key, self._shares, block)
        return self._parts[drawn[offset]], block * BLOCK + drawn[:offset].count(drawn[offset])

    def example(self, index: int) -> Example:
        task, own = self.place(index)
        return task.example(own)

    @property
    def num_slots(self) -> int:
        """The most that one of its tasks has."""
        return max(task.num_slots for task in self._parts)

    def slot(self, index: int, k: int) -> int:
        task, own = self.place(index)
        return task.slot(own, k)

    def next_like(self, index: int, start: int) -> int:
        """The first example from ``start`` on that is of the same task as example ``index`` and has its slot there."""
        task, own = self.place(index)
        wanted = task.slot(own, task.num_slots)
        for other in count(start):
            part, place = self.place(other)
            if part is task and task.slot(place, task.num_slots) == wanted:
                return other
        raise AssertionError("count never ends")


def parts_of(task: AnyTask) -> list[AnyTask]:
    """The tasks of a mixture; otherwise the task itself."""
    return list(task.tasks.values()) if isinstance(task, Mixture) else [task]


@lru_cache(maxsize=64)
def _drawn(key: tuple[Any, ...], shares: tuple[float, ...], block: int) -> list[int]:
    """Which task each example of a block is of."""
    rng = seeded_rng("mixture", key, block)
    drawn: list[int] = rng.choice(len(shares), size=BLOCK, p=shares).tolist()
    return drawn


def _flattened(tasks: Sequence[Task[Any, Any]], weights: Sequence[float]) -> list[tuple[Task[Any, Any], float]]:
    """The tasks with their weights, a mixture's own tasks in its place."""
    parts: list[tuple[Task[Any, Any], float]] = []
    for task, weight in zip(tasks, weights, strict=True):
        if isinstance(task, Mixture):
            total = sum(task.knobs.weights)
            inner = [weight * share / total for share in task.knobs.weights]
            parts += zip(task.tasks.values(), inner, strict=True)
        else:
            parts.append((task, weight))
    return parts
