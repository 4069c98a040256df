"""The tasks of a run: built from a recipe, or given as objects and described in one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ssl4rl.answers import Score
from ssl4rl.benchmarks import Benchmark, versioned_name
from ssl4rl.errors import UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.mixture import Mixture, names_of_parts, parts_of
from ssl4rl.registry import TASKS
from ssl4rl.runs import UsedSource
from ssl4rl.source import origin_of
from ssl4rl.tasks import AnyTask
from ssl4rl.training.recipe import Recipe, TaskEntry


@dataclass(frozen=True)
class Tasks:
    """What a run trains on and what it is evaluated on."""

    train: AnyTask
    heldout: AnyTask
    sources: list[UsedSource]

    @classmethod
    def of(cls, task: AnyTask) -> Tasks:
        """A task, which is evaluated on its split ``val``.

        Raises:
            UserError: for a benchmark, whose labels are not to be trained on, or a task of another split than train.
        """
        for part in parts_of(task):
            if isinstance(part, Benchmark):
                raise UserError(f"{part.name} is a benchmark: it is for evaluation, and cannot be trained on")
        if task.split != "train":
            raise UserError(
                f"{task.label} is of split {task.split}, which is for evaluation; train on it with split='train'"
            )
        return cls(task, task.on_split("val"), used_sources([task]))

    def evaluated_on(self, heldout: AnyTask) -> Tasks:
        """The same training, evaluated on another task.

        Raises:
            UserError: for a mixture with benchmarks, or a task of the split that training draws from.
        """
        if heldout.split == "train" and not isinstance(heldout, Benchmark):
            raise UserError(f"heldout: {heldout.label} is of split train; hold it out with split='val'")
        used = dict.fromkeys([*self.sources, *used_sources([heldout])])
        if isinstance(heldout, Mixture) and any(isinstance(part, Benchmark) for part in parts_of(heldout)):
            raise UserError("a mixture with benchmarks, which have a last item, cannot be held out; give one of them")
        return replace(self, heldout=heldout, sources=list(used))

    def corrupted(self, corrupt: str) -> Tasks:
        """The same, but prompts of training lose what the answer should rest on; the evaluation stays.

        Raises:
            UserError: for a task that knows no such corruption.
        """
        return replace(self, train=_changed(self.train, lambda _: corrupt))

    @property
    def asked(self) -> str:
        """What is held out, in words, with a hash of what decides its examples."""
        held = self.heldout
        digest = hashlib.sha256(repr(held.key).encode()).hexdigest()[:8]
        return f"{held.label} on {held.source.name}/{held.split}, {digest}"

    @property
    def versions(self) -> dict[str, int]:
        """The version of each task, by name."""
        return {versioned_name(part): part.version for part in [*parts_of(self.train), *parts_of(self.heldout)]}


def without_support(task: AnyTask) -> AnyTask:
    """The same questions without what their answers should rest on: the edges are rewired, images are grey.

    Raises:
        UserError: for a task that knows no such corruption.
    """
    return _changed(task, lambda part: "image" if part.source_kind.shows_images else "edges")


def _changed(task: AnyTask, corrupt: Callable[[AnyTask], str]) -> AnyTask:
    """The task, or each of a mixture's, with prompts corrupted."""
    if isinstance(task, Mixture):
        parts = [part.changed({"corrupt": corrupt(part)}) for part in parts_of(task)]
        return Mixture(parts, task.knobs.weights, task.seed)
    return task.changed({"corrupt": corrupt(task)})


def scored(task: AnyTask, reply: str, example: Example) -> Score:
    """The task's score of a reply.

    Raises:
        RuntimeError: naming the example, if the scorer fails: a bug of a task or a plug-in, never a score of 0.
    """
    try:
        return task.score(reply, example)
    except Exception as error:
        raise RuntimeError(f"the scorer of {example.id.label} failed on example {example.id}") from error


def used_sources(tasks: Iterable[AnyTask]) -> list[UsedSource]:
    """The distinct sources of tasks, the parts of mixtures included."""
    return list(dict.fromkeys(UsedSource.of(part) for task in tasks for part in parts_of(task)))


def num_examples(task: AnyTask, wanted: int) -> int:
    """How many of the ``wanted`` first examples there are: all of them, unless the task is a benchmark."""
    return min(wanted, task.size) if isinstance(task, Benchmark) else wanted


class PartNames:
    """How metrics and summaries call each task of a mixture.

    That is the task's label, with the name of its source in front if two tasks have the same label. A task that is no
    mixture has no parts to name.
    """

    def __init__(self, task: AnyTask) -> None:
        self._names = names_of_parts(task.tasks if isinstance(task, Mixture) else ())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def of(self, example: ExampleId) -> str | None:
        """The name of the task that an example is of; None without a mixture."""
        return self._names.get((example.source, example.label))


def build_tasks(recipe: Recipe) -> Tasks:
    """The recipe's task (a mixture if it names several) on split ``train``, with split ``val`` held out.

    Raises:
        UserError: for an unknown task, level, knob or dataset, or a dataset that lacks what the task needs.
    """
    sources: dict[tuple[str, str | None], Any] = {}
    built = []
    for entry in recipe.tasks:
        task_type = TASKS.get(entry.name)
        kind = task_type.source_kind
        key = (kind.name, entry.dataset)
        if key not in sources:
            sources[key] = kind.load(entry.dataset)
        built.append(task_type(sources[key], level=entry.level, knobs=entry.knobs, seed=recipe.seed).tried())
    task: AnyTask = built[0]
    if len(built) > 1:
        task = Mixture(built, [entry.weight for entry in recipe.tasks], recipe.seed)
    return Tasks.of(task)


def describe(task: AnyTask) -> dict[str, Any]:
    """What a recipe says about a task that was given as an object: ``seed`` and ``tasks``.

    Raises:
        UserError: if the tasks of a mixture have different seeds, which a recipe cannot say.
    """
    parts = parts_of(task)
    seeds = {task.seed, *(part.seed for part in parts)}
    if len(seeds) > 1:
        raise UserError(f"the mixture and its tasks have several seeds ({', '.join(map(str, sorted(seeds)))}); use one")
    weights = task.knobs.weights if isinstance(task, Mixture) else (1.0,)
    entries = []
    for part, weight in zip(parts, weights, strict=True):
        dataset = origin_of(part.source) or part.source.name
        entry = TaskEntry(name=part.name, dataset=dataset, level=part.level, weight=weight, knobs=part.given)
        entries.append(entry)
    return {"seed": task.seed, "tasks": [entry.model_dump(mode="json") for entry in entries]}


def reads_images(task: AnyTask) -> bool:
    """Whether a model has to read images for one of its parts."""
    return any(part.source_kind.shows_images for part in parts_of(task))
