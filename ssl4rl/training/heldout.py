"""The held-out score: a task's examples of split ``val``, answered greedily."""

from __future__ import annotations

import math
from collections.abc import Callable

from ssl4rl.example import Example, Score
from ssl4rl.statistics import Estimate
from ssl4rl.training.trainer import TaskLike

CHUNK = 512
"""Examples asked at once; more would hold their pictures in memory."""


def evaluate(task: TaskLike, answer: Callable[[list[Example]], list[str]], examples: int) -> Estimate:
    """Scores ``answer``'s replies to the first ``examples`` examples; with several processes each answers its share."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    mine = range(state.process_index, examples, state.num_processes)
    scores: list[Score] = []
    # As many rounds in every process: engines that span several answer together.
    for start in range(0, math.ceil(examples / state.num_processes), CHUNK):
        chunk = [task.example(index) for index in mine[start : start + CHUNK]]
        scores += [task.score(reply, example) for reply, example in zip(answer(chunk), chunk, strict=True)]
    gathered: list[Score] = gather_object(scores)
    return Estimate.of(gathered)
