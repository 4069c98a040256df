"""What a run trains on changes as the model learns: a curriculum over each task's rungs, and the shares of the tasks.

Tasks are generators with knobs, so difficulty is dialled rather than picked among questions. Of every rung a schedule
keeps the pass rate p as a Beta posterior that forgets (the model changes), and it draws rungs by their expected
learnability E[(p − c)(1 − p)], as far as p exceeds chance c. Without the chance this is the variance of a reward of 0
or 1, which a model that guesses at yes or no has most of, and learns nothing from. Held-out examples stay at the level
that the recipe names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.errors import UserError
from ssl4rl.mixture import Mixture, parts_of
from ssl4rl.records import Completion
from ssl4rl.rng import seeded_rng
from ssl4rl.tasks import AnyTask, Task
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.tasks import PartNames, Tasks

FORGET = 0.9
"""What is left of the evidence on a rung after each generation batch: about the last ten of them count."""
FLOOR = 0.1
"""The share of the prompts that is spread evenly over all rungs, or tasks, so that each is seen again."""
RATES = (np.arange(1000) + 0.5) / 1000
"""Pass rates over which an expectation is taken."""
NEWEST = 0.5
"""The weight of the last held-out evaluation in a bandit's estimate of progress."""

Array = NDArray[np.float64]


class Laddered(Mixture):
    """The rungs of one task or several, as a mixture whose shares may change: an index names the rung, too.

    ``example(i)`` is example ``i // R`` of rung ``i % R``, of ``R`` in all: it is pure, whatever a schedule asks for.
    """

    def __init__(self, task: AnyTask, ladders: Sequence[Sequence[Task[Any, Any]]]) -> None:
        super().__init__([rung for ladder in ladders for rung in ladder], seed=task.seed)
        self.ladders = ladders
        self._label = task.label

    @property
    def label(self) -> str:
        """The label of the tasks at the levels that are held out."""
        return self._label

    def place(self, index: int) -> tuple[Task[Any, Any], int]:
        own, rung = divmod(index, len(self._parts))
        return self._parts[rung], own


def on_ladders(tasks: Tasks, recipe: Recipe) -> Tasks:
    """The tasks of a run, trained on at their rungs if the recipe's difficulty or shares change.

    Raises:
        UserError: for a task with fewer than two rungs, a ladder that cannot be built, or shares that follow nothing.
    """
    task = tasks.train
    parts = parts_of(task)
    if recipe.mixing != "weights" and len(parts) < 2:
        raise UserError(f"mixing={recipe.mixing}: there is only one task; give several, or leave it at weights")
    if recipe.mixing == "bandit":
        if not (recipe.heldout.every and recipe.heldout.examples):
            raise UserError("mixing=bandit follows held-out progress: set heldout.examples and heldout.every above 0")
        trained, heldout = ([(each.source.name, each.name) for each in parts_of(of)] for of in (task, tasks.heldout))
        if trained != heldout:
            raise UserError(
                "mixing=bandit follows the held-out progress of each task: hold out the same tasks, in their order"
            )
    if recipe.difficulty == "fixed" and recipe.mixing == "weights":
        return tasks
    ladders = [[part] for part in parts] if recipe.difficulty == "fixed" else _ladders(parts, recipe)
    return replace(tasks, train=Laddered(task, ladders))


def _ladders(parts: Sequence[AnyTask], recipe: Recipe) -> list[list[AnyTask]]:
    ladders = []
    for number, (each, entry) in enumerate(zip(parts, recipe.tasks, strict=True)):
        given = None if entry.ladder is None else [_rung(each, rung, number, i) for i, rung in enumerate(entry.ladder)]
        ladders.append(each.rungs() if given is None else given)
        labels = [rung.label for rung in ladders[-1]]
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise UserError(f"tasks.{number}.ladder has the rung {twice} twice")
        if len(labels) < 2:
            raise UserError(
                f"difficulty={recipe.difficulty}: {each.label} has fewer than two rungs on {each.source.name}; "
                f"name them in tasks.{number}.ladder, or set difficulty=fixed"
            )
    return ladders


def _rung(task: AnyTask, rung: Mapping[str, Any], number: int, place: int) -> AnyTask:
    where = f"tasks.{number}.ladder.{place}"
    if not rung:
        raise UserError(f"{where} names neither a level nor a knob of {task.name}")
    try:
        return task.changed(rung)
    except UserError as error:
        raise type(error)(f"{where}: {error}") from error


class Schedule:
    """Which example each prompt of a run shows; the same on every process, and continued by ``state``."""

    def __init__(self, task: Laddered, recipe: Recipe, plan: BatchPlan) -> None:
        self.task, self.recipe, self.size = task, recipe, plan.prompts_per_generation
        self.generations = plan.num_prompts // plan.prompts_per_generation
        self.rungs = [rung for ladder in task.ladders for rung in ladder]
        self.chances: Array = np.array([rung.example(0).chance for rung in self.rungs])
        """What a guess passes at each rung."""
        self.names = PartNames(task)
        self._number = {name: number for number, name in enumerate(self.names)}
        given = np.array([entry.weight for entry in recipe.tasks])
        self._given: Array = given / given.sum()
        self._drawn_for, self._batch = -1, list[int]()
        self.used = [0] * len(self.rungs)
        """Examples of each rung so far."""
        self.passed, self.failed = np.ones(len(self.rungs)), np.ones(len(self.rungs))
        """The Beta posterior of each rung's pass rate, in groups; at first it is uniform."""
        self.progress = np.zeros(len(task.ladders))
        """Of each task, held-out progress per generated token."""
        self.tokens = [0] * len(task.ladders)
        """Generated for each task since the last held-out evaluation."""
        self.heldout: list[float] = []
        """Each task's score there."""

    def index(self, position: int) -> int:
        """The example that the ``position``-th prompt of the run shows."""
        batch, offset = divmod(position, self.size)
        if batch != self._drawn_for:
            self._draw(batch)
        return self._batch[offset]

    def _draw(self, batch: int) -> None:
        """Shares out a generation batch: every rung gets its share of it, to within one prompt."""
        rng = seeded_rng("schedule", self.task.key, batch)
        points = (rng.random() + np.arange(self.size)) / self.size
        edges = np.cumsum(self.shares(batch))
        chosen = np.minimum(np.searchsorted(edges, points * edges[-1], side="right"), len(self.rungs) - 1)
        self._batch = []
        for rung in rng.permutation(chosen).tolist():
            self._batch.append(self.used[rung] * len(self.rungs) + rung)
            self.used[rung] += 1
        self._drawn_for = batch

    def shares(self, batch: int) -> Array:
        """Of each rung, the share of a generation batch's prompts; they add up to 1."""
        expected = self.learnability()
        rows, values = [], []
        first = 0
        for ladder in self.task.ladders:
            own = expected[first : first + len(ladder)]
            rows.append(self._rungs(own, batch))
            values.append(float(rows[-1] @ own))
            first += len(ladder)
        return np.concatenate([share * row for share, row in zip(self._tasks(values), rows, strict=True)])

    def _rungs(self, expected: Array, batch: int) -> Array:
        if self.recipe.difficulty == "adaptive":
            return _with_floor(expected)
        shares: Array = np.zeros(len(expected))
        shares[min(len(expected) - 1, batch * len(expected) // self.generations)] = 1
        return shares

    def _tasks(self, expected: Sequence[float]) -> Array:
        if self.recipe.mixing == "learnability":
            return _with_floor(np.array(expected))
        if self.recipe.mixing == "bandit":
            return _with_floor(np.maximum(self.progress, 0))
        return self._given

    def learnability(self) -> Array:
        """Of each rung, E[(p − c)(1 − p)] under its posterior, 0 where p is below chance c."""
        logs = np.outer(self.passed - 1, np.log(RATES)) + np.outer(self.failed - 1, np.log(1 - RATES))
        density = np.exp(logs - logs.max(axis=1, keepdims=True))
        gain = np.maximum(RATES - self.chances[:, None], 0) * (1 - RATES)
        return np.asarray((density * gain).sum(axis=1) / density.sum(axis=1), dtype=np.float64)

    def observe(self, first: Sequence[Completion], everything: Sequence[Completion]) -> dict[str, float]:
        """Learns from a generation batch on this process and on all others; returns what metrics say about the rungs.

        ``first`` are the completions that were sampled first: a refill picks its examples by what was flat.
        """
        from accelerate.utils import gather_object

        groups: dict[str, tuple[str, list[float]]] = {}
        for record in first:
            groups.setdefault(str(record.id), (self._name(record), []))[1].append(record.score)
        spent = [(self._name(record), record.tokens) for record in everything]
        parts = gather_object([([(name, scores) for name, scores in groups.values()], spent)])
        self.passed, self.failed = (1 + FORGET * (evidence - 1) for evidence in (self.passed, self.failed))
        counts = np.zeros(len(self.rungs))
        for name, scores in (group for theirs, _ in parts for group in theirs):
            # A group is one piece of evidence: its replies are to the same example.
            rate, rung = float(np.mean(scores)), self._number[name]
            self.passed[rung] += rate
            self.failed[rung] += 1 - rate
            counts[rung] += 1
        for name, tokens in (each for _, theirs in parts for each in theirs):
            self.tokens[self._task_of(self._number[name])] += tokens
        rates, shares = self.passed / (self.passed + self.failed), counts / counts.sum()
        return {
            **{f"share/{name}": float(shares[rung]) for name, rung in self._number.items()},
            **{f"pass_rate/{name}": float(rates[rung]) for name, rung in self._number.items()},
        }

    def _name(self, record: Completion) -> str:
        return str(self.names.of(record.id))

    def _task_of(self, rung: int) -> int:
        return int(np.searchsorted(np.cumsum([len(ladder) for ladder in self.task.ladders]), rung, side="right"))

    def evaluated(self, scores: Iterable[float]) -> None:
        """Takes note of each task's held-out score: a bandit follows where the tokens since the last one paid."""
        if self.recipe.mixing != "bandit":
            return
        new = list(scores)
        if self.heldout and new:
            gained = [(b - a) / max(1, spent) for a, b, spent in zip(self.heldout, new, self.tokens, strict=True)]
            self.progress = (1 - NEWEST) * self.progress + NEWEST * np.array(gained)
        self.heldout, self.tokens = new, [0] * len(self.tokens)

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {
            "used": list(self.used),
            "passed": self.passed.tolist(),
            "failed": self.failed.tolist(),
            "progress": self.progress.tolist(),
            "tokens": list(self.tokens),
            "heldout": list(self.heldout),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a checkpoint's state."""
        self.used, self.tokens, self.heldout = (list(state[name]) for name in ("used", "tokens", "heldout"))
        self.passed, self.failed, self.progress = (np.array(state[name]) for name in ("passed", "failed", "progress"))
        self._drawn_for = -1


def _with_floor(weights: Array) -> Array:
    """Shares in proportion to the weights, but for the floor, which is spread evenly; evenly, if all are 0."""
    even = np.full(len(weights), 1 / len(weights))
    total = weights.sum()
    return even if total <= 0 else (1 - FLOOR) * weights / total + FLOOR * even
