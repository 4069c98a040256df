"""The reward function of a run: what GRPO is given for each completion, and the record of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ssl4rl.answers import Score, score
from ssl4rl.example import Example
from ssl4rl.records import Completion
from ssl4rl.registry import REWARDS
from ssl4rl.tasks import AnyTask
from ssl4rl.training.tasks import PartNames

Reward = Callable[[str, Example], float]
"""A function of the reply and the example; what the registry of rewards holds."""


def task_score(reply: str, example: Example) -> float:
    """The task's own score: the reward called ``task``."""
    return score(reply, example.scoring).value


class RewardFunction:
    """TRL's reward function: the registered reward ``kind`` of each completion, ``index`` naming its example.

    ``examples`` holds the examples of the current generation batch; ``records`` what its completions earned.
    """

    # TRL reports it by this name.
    __name__ = "score"

    def __init__(self, task: AnyTask, kind: str, tokenizer: Any) -> None:
        self.task = task
        self.kind = kind
        self.reward: Reward = REWARDS.get(kind)
        self.tokenizer = tokenizer
        self.names = PartNames(task)
        self.examples: dict[int, Example] = {}
        self.records: list[Completion] = []

    def load(self, indices: Sequence[int]) -> None:
        """Builds the examples of a generation batch; those of the previous one are dropped."""
        self.examples = {index: self.task.example(index) for index in dict.fromkeys(indices)}

    def __call__(
        self,
        completion_ids: Sequence[list[int]],
        index: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        # Not `completions`, from which the templates of some tokenizers have cut the reasoning.
        replies = self.tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        self.records = []
        for reply, row in zip(replies, index, strict=True):
            example = self.examples[row]
            verdict = self._score(reply, example)
            reward = self._reward(reply, example)
            fields = Completion.fields_of(example, reply, verdict)
            record = Completion(**fields, step=trainer_state.global_step + 1, reward=reward)
            self.records.append(record)
            log_metric("parsed", float(record.parsed))
            if name := self.names.of(example.id):
                log_metric(f"reward/{name}", reward)
                log_metric(f"parsed/{name}", float(record.parsed))
        return [record.reward for record in self.records]

    # An exception is a bug of a task or a plug-in: it ends the run, and never counts as a reward of 0.

    def _score(self, reply: str, example: Example) -> Score:
        try:
            return self.task.score(reply, example)
        except Exception as error:
            raise RuntimeError(f"the scorer of {example.id.label} failed on example {example.id}") from error

    def _reward(self, reply: str, example: Example) -> float:
        try:
            reward = float(self.reward(reply, example))
        except Exception as error:
            raise RuntimeError(f"reward {self.kind!r} failed on example {example.id}") from error
        if not math.isfinite(reward):
            raise RuntimeError(f"reward {self.kind!r} is {reward} on example {example.id}; it has to be a number")
        return reward
