"""Several tasks as one: each index draws a task by its weight, and the example is that task's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.rng import seeded_rng
from ssl4rl.source import Source
from ssl4rl.tasks import Knobs, Task


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

    Example ``i`` is example ``i`` of the task that a generator draws, seeded by the tasks, the weights, the seed and
    ``i``; its id is that task's own. A mixture among the tasks is replaced by its own tasks, which share its weight.

    Raises:
        UserError: if a weight is not positive, two of the tasks are the same, or they are of different splits.
    """

    name: ClassVar[str] = "mixture"
    knobs_type = MixtureKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, tasks: Sequence[Task[Any, Any]], weights: Sequence[float] | None = None, seed: int = 0) -> None:
        weights = [1.0] * len(tasks) if weights is None else weights
        if not tasks or len(tasks) != len(weights) or min(weights) <= 0:
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
        self.knobs = MixtureKnobs(weights=tuple(weight for _, weight in parts))
        self._key = (tuple(task.key for task, _ in parts), self.knobs.weights, seed)
        self._shares = [weight / sum(self.knobs.weights) for weight in self.knobs.weights]

    @property
    def label(self) -> str:
        """The tasks' labels, joined by a plus sign."""
        return "+".join(task.label for task in self.tasks.values())

    def on_split(self, split: str) -> Mixture:
        return Mixture([task.on_split(split) for task in self.tasks.values()], self.knobs.weights, self.seed)

    def example(self, index: int) -> Example:
        place = seeded_rng("mixture", self.key, index).choice(len(self.tasks), p=self._shares)
        return list(self.tasks.values())[place].example(index)


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
