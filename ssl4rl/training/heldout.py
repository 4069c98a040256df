"""The held-out score: a task's examples of split ``val``, answered greedily."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ssl4rl.answers import Score
from ssl4rl.example import Example
from ssl4rl.statistics import Estimate
from ssl4rl.tasks import AnyTask
from ssl4rl.training.tasks import PartNames, num_examples

CHUNK = 512
"""Examples answered at once; more would hold too many images in memory."""


def evaluate(task: AnyTask, answer: Callable[[list[Example]], list[str]], examples: int) -> dict[str, Any]:
    """Scores ``answer``'s replies to the first ``examples`` examples; several processes share them.

    Returns:
        The estimate as JSON; for a mixture it has ``tasks``, the estimate of each task by its name.
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    names = PartNames(task)
    examples = num_examples(task, examples)
    mine = range(state.process_index, examples, state.num_processes)
    scores: list[tuple[str | None, Score]] = []
    # As many rounds in every process: an engine that spans several of them needs all to take part.
    for start in range(0, math.ceil(examples / state.num_processes), CHUNK):
        chunk = [task.example(index) for index in mine[start : start + CHUNK]]
        for reply, example in zip(answer(chunk), chunk, strict=True):
            scores.append((names.of(example.id), task.score(reply, example)))
    gathered: list[tuple[str | None, Score]] = gather_object(scores)
    estimate = Estimate.of([score for _, score in gathered]).as_dict()
    by_task = {}
    for name in names:
        own = [score for label, score in gathered if label == name]
        if own:
            by_task[name] = Estimate.of(own).as_dict()
    return {**estimate, "tasks": by_task} if by_task else estimate
