"""How hard tasks are for a model: groups are sampled as training samples them, and nothing is learned from them.

What GRPO learns from is a group whose rewards differ. How many groups do, cannot be told from the pass rate of all
replies: at a rate of one half it is nearly every group if every prompt is even, and none if half of the prompts are
always solved. So it is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from ssl4rl.answers import Score
from ssl4rl.intervals import wilson
from ssl4rl.mixture import Mixture, parts_of
from ssl4rl.registry import TASKS
from ssl4rl.runs import Run
from ssl4rl.statistics import Estimate
from ssl4rl.tasks import AnyTask
from ssl4rl.training.recipe import Recipe, TaskEntry
from ssl4rl.training.refill import is_flat

if TYPE_CHECKING:
    from ssl4rl.training.trainer import TaskTrainer

GROUPS = 100
"""Groups of each task and level, unless it is certain before that too few of them are useful."""
FEWEST_GROUPS = 24
WORTHWHILE = 0.2
"""Below this share of useful groups a level is not worth training on, even with refilled ones."""

Verdict = Literal["learnable", "too easy", "too hard", "no valid answers"]


@dataclass(frozen=True)
class Difficulty:
    """How a model fares on a task at a level."""

    entry: TaskEntry
    label: str
    source: str
    groups: int
    score: Estimate
    """Of all replies, clustered by prompt."""
    tokens: float
    """Mean length of a reply."""
    useful: float
    """Share of groups whose rewards differ."""
    useful_low: float
    useful_high: float
    """Its 95 % interval (Wilson 1927)."""
    seconds: float | None
    """Per useful group; None if there was none."""

    @property
    def verdict(self) -> Verdict:
        """Whether GRPO has something to learn from here, or why not."""
        if self.useful >= WORTHWHILE:
            return "learnable"
        if self.score.valid < 0.5:
            return "no valid answers"
        return "too easy" if self.score.score > 0.5 else "too hard"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields = {**asdict(self), "verdict": self.verdict}
        return {**fields, "entry": self.entry.model_dump(mode="json"), "score": self.score.as_dict()}


def at_every_level(recipe: Recipe) -> Recipe:
    """The recipe with each of its tasks at every level that applies, but for those whose level is given.

    Raises:
        NotApplicable: if none of a task's levels does, saying why.
    """
    entries = []
    for entry in recipe.tasks:
        kind = TASKS.get(entry.name)
        if entry.level is not None:
            entries.append(entry)
            continue
        source = kind.source_kind.load(entry.dataset)
        usable = [task.level for task in kind.at_every_level(source, knobs=entry.knobs, seed=recipe.seed)]
        if not usable:
            kind(source, knobs=entry.knobs, seed=recipe.seed).tried()  # which says why
        entries += [entry.model_copy(update={"level": level}) for level in usable]
    return recipe.model_copy(update={"tasks": entries})


def calibrate(recipe: Recipe, groups: int = GROUPS, say: Callable[[str], None] = print) -> Iterator[Difficulty]:
    """The difficulty of each of the recipe's tasks, with its model, its sampling and its reward.

    Raises:
        UserError: for everything that training with this recipe would refuse.
    """
    from ssl4rl.training.display import Display
    from ssl4rl.training.preparation import choose_sampler, prepare
    from ssl4rl.training.run import Training

    heldout = recipe.heldout.model_copy(update={"examples": 0})
    recipe = recipe.model_copy(update={"heldout": heldout, "difficulty": "fixed", "mixing": "weights"})
    prepared = prepare(recipe)
    for line in prepared.notes:
        say(line)
    with TemporaryDirectory(prefix="ssl4rl-calibrate-") as folder:
        run = Run.create(Path(folder), recipe.model_dump(mode="json"))
        trainer = Training(prepared, choose_sampler(recipe), run, Display(0)).make_trainer()
        task = prepared.tasks.train
        for entry, part in zip(recipe.tasks, parts_of(task), strict=True):
            say(f"sampling {part.label} on {part.source.name}")
            yield _measure(trainer, task, part, entry, groups, prepared.plan.prompts_per_generation)


def _measure(
    trainer: TaskTrainer, task: AnyTask, part: AnyTask, entry: TaskEntry, groups: int, at_once: int
) -> Difficulty:
    indices = _indices(task, part)
    size, started = trainer.num_generations, time.monotonic()
    scores: list[Score] = []
    prompts: list[list[str]] = []
    lengths: list[int] = []
    useful: list[bool] = []
    while len(useful) < groups:
        sampled = trainer.sample_groups(list(islice(indices, min(at_once, groups - len(useful)))))
        scores += [record.verdict for record in sampled.records]
        prompts += [[str(record.id)] for record in sampled.records]
        lengths += [len(ids) for ids in sampled.completion_ids]
        rewards = [record.reward for record in sampled.records]
        useful += [not is_flat(rewards[start : start + size]) for start in range(0, len(rewards), size)]
        if len(useful) >= FEWEST_GROUPS and wilson(sum(useful), len(useful))[1] < WORTHWHILE:
            break
    low, high = wilson(sum(useful), len(useful))
    seconds = time.monotonic() - started
    return Difficulty(
        entry=entry,
        label=part.label,
        source=part.source.name,
        groups=len(useful),
        score=Estimate.of(scores, prompts),
        tokens=sum(lengths) / len(lengths),
        useful=sum(useful) / len(useful),
        useful_low=low,
        useful_high=high,
        seconds=seconds / sum(useful) if any(useful) else None,
    )


def _indices(task: AnyTask, part: AnyTask) -> Iterator[int]:
    """The examples of the recipe's task that are of one part of it."""
    return (index for index in count() if not isinstance(task, Mixture) or task.place(index)[0] is part)


def recommended(found: Sequence[Difficulty]) -> list[TaskEntry]:
    """For each task and dataset the learnable level whose useful groups cost least; none for a task without one."""
    best: dict[tuple[str, str], Difficulty] = {}
    for each in found:
        if each.verdict == "learnable" and each.seconds is not None:
            key = (each.entry.name, each.source)
            if key not in best or each.seconds < (best[key].seconds or 0):
                best[key] = each
    return [each.entry for each in best.values()]
