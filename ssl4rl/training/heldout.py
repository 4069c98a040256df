"""The held-out score: a task's examples of split ``val``, answered greedily."""

from __future__ import annotations

from ssl4rl.evaluation.statistics import Estimate
from ssl4rl.example import Score
from ssl4rl.inference.engine import Engine
from ssl4rl.training.grpo import TaskLike


def evaluate(task: TaskLike, engine: Engine, examples: int) -> Estimate:
    """Scores the replies to the first ``examples`` examples; with several processes each answers its share."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    mine = [task.example(index) for index in range(state.process_index, examples, state.num_processes)]
    replies = engine.generate([example.messages() for example in mine]) if mine else []
    scores = [task.score(reply, example) for reply, example in zip(replies, mine, strict=True)]
    gathered: list[Score] = gather_object(scores)
    return Estimate.of(gathered)
