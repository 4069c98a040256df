"""Several tasks as one: each index draws a task by its weight, and the example says which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example, Score
from ssl4rl.tasks import Task, seeded_rng


class Mixture:
    """A weighted mixture of tasks, with the interface of a task.

    Example ``i`` is example ``i`` of the task that a generator seeded by ``(seed, i)`` draws, so it depends on
    nothing but the tasks, the weights, the seed and ``i``.

    Raises:
        UserError: if a weight is not positive, or two of the tasks are the same.
    """

    name = "mixture"

    def __init__(self, tasks: Sequence[Task[Any, Any]], weights: Sequence[float], seed: int = 0) -> None:
        if not tasks or len(tasks) != len(weights) or min(weights) <= 0:
            raise UserError("a mixture needs at least one task, and a weight above 0 for each")
        self.tasks = {f"{task.source.name}/{task.label}": task for task in tasks}
        if len(self.tasks) < len(tasks):
            raise UserError("a mixture names the same task, dataset and level twice; raise its weight instead")
        self._names = list(self.tasks)
        self._shares = [weight / sum(weights) for weight in weights]
        self._seed = seed

    @property
    def label(self) -> str:
        """The tasks' labels, joined by a plus sign."""
        return "+".join(task.label for task in self.tasks.values())

    def example(self, index: int) -> Example:
        drawn = seeded_rng("mixture", self._seed, index).choice(len(self._names), p=self._shares)
        return self.tasks[self._names[drawn]].example(index)

    def task_of(self, example: Example) -> Task[Any, Any]:
        """The task that an example came from, by its id."""
        source, _, label, *_ = example.id.split("/")
        return self.tasks[f"{source}/{label}"]

    def score(self, reply: str, example: Example) -> Score:
        return self.task_of(example).score(reply, example)

    def chance(self, example: Example) -> float:
        return self.task_of(example).chance(example)

    def gold(self, example: Example) -> str:
        return self.task_of(example).gold(example)
