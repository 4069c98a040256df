"""The held-out score: a task's examples of split ``val``, answered greedily."""

from __future__ import annotations

from collections.abc import Callable

from ssl4rl.evaluation.statistics import Estimate
from ssl4rl.example import Example, Score
from ssl4rl.training.grpo import TaskLike


def evaluate(task: TaskLike, answer: Callable[[list[Example]], list[str]], examples: int) -> Estimate:
    """Scores ``answer``'s replies to the first ``examples`` examples; with several processes each answers its share."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    mine = [task.example(index) for index in range(state.process_index, examples, state.num_processes)]
    replies = answer(mine)
    scores = [task.score(reply, example) for reply, example in zip(replies, mine, strict=True)]
    gathered: list[Score] = gather_object(scores)
    return Estimate.of(gathered)
