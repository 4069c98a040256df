"""The reward of a run: what GRPO is given for each completion, and the record of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ssl4rl.answers import Score, normalise, score
from ssl4rl.example import Example, ExampleId
from ssl4rl.records import Completion
from ssl4rl.registry import REWARDS
from ssl4rl.rng import seeded_rng
from ssl4rl.tasks import AnyTask
from ssl4rl.training.recipe import CONTROLS
from ssl4rl.training.recipe import Reward as RewardSettings
from ssl4rl.training.tasks import PartNames

Reward = Callable[[str, Example], float]
"""A function of the reply and the example; what the registry of rewards holds."""


def task_score(reply: str, example: Example) -> float:
    """The task's own score: the reward called ``task``."""
    return score(reply, example.scoring).value


def coin(example: ExampleId, number: int) -> float:
    """0 or 1 with equal chances, for the ``number``-th reply to an example: the control called ``random``.

    Equal chances vary the most, so this is the strongest push that a reward can give which knows nothing.
    """
    return float(seeded_rng("random reward", str(example), number).integers(2))


def commonest_answers(verdicts: Sequence[Score], indices: Sequence[int]) -> dict[int, str | None]:
    """For each example the valid answer that most of its replies give, the first of several; None without one.

    As a reward it is called ``majority`` (Zuo et al. 2025): replies agree with each other, be they right or not.
    """
    given: dict[int, Counter[str]] = {index: Counter() for index in indices}
    for verdict, index in zip(verdicts, indices, strict=True):
        if verdict.valid:
            given[index][normalise(str(verdict.answer))] += 1
    return {index: max(counts, key=counts.__getitem__, default=None) for index, counts in given.items()}


class RewardFunction:
    """Scores completions as the recipe says, each once, and hands TRL the rewards of those it trains on.

    ``examples`` holds the examples whose completions are sampled now.
    """

    # TRL reports it by this name.
    __name__ = "score"

    def __init__(self, task: AnyTask, settings: RewardSettings, decode: Callable[[Sequence[int]], str]) -> None:
        self.task = task
        self.settings = settings
        self.reward: Reward | None = None
        if settings.kind not in ("task", *CONTROLS):
            self.reward = REWARDS.get(settings.kind)
        self.decode = decode
        self.names = PartNames(task)
        self.examples: dict[int, Example] = {}
        self._selected: Sequence[Completion] = ()

    def load(self, indices: Sequence[int]) -> None:
        """Builds the examples of these indices, in place of those of the last call."""
        self.examples = {index: self.task.example(index) for index in dict.fromkeys(indices)}

    def score(self, completion_ids: Sequence[list[int]], indices: Sequence[int], step: int) -> list[Completion]:
        """The records of completions, which ``indices`` match with their examples."""
        # Not TRL's `completions`, from which the templates of some tokenizers have cut the reasoning.
        replies = [self.decode(ids) for ids in completion_ids]
        verdicts = [self._score(reply, self.examples[index]) for reply, index in zip(replies, indices, strict=True)]
        commonest = commonest_answers(verdicts, indices)
        numbers: Counter[int] = Counter()
        records = []
        for ids, reply, verdict, index in zip(completion_ids, replies, verdicts, indices, strict=True):
            example = self.examples[index]
            reward = self._reward(reply, example, verdict, numbers[index], commonest[index])
            numbers[index] += 1
            fields = Completion.fields_of(example, reply, verdict)
            records.append(Completion(**fields, tokens=len(ids), step=step, reward=reward, selected=True))
        return records

    def select(self, records: Sequence[Completion]) -> None:
        """Says which completions TRL trains on, and will ask about."""
        self._selected = records

    def __call__(self, **_: Any) -> list[float]:
        return [record.reward for record in self._selected]

    # An exception is a bug of a task or a plug-in: it ends the run, and never counts as a reward of 0.

    def _score(self, reply: str, example: Example) -> Score:
        try:
            return self.task.score(reply, example)
        except Exception as error:
            raise RuntimeError(f"the scorer of {example.id.label} failed on example {example.id}") from error

    def _reward(self, reply: str, example: Example, verdict: Score, number: int, commonest: str | None) -> float:
        """The weighted sum of what ``kind`` names and of a valid form; ``commonest`` is the group's answer."""
        kind, valid = self.settings.kind, float(verdict.valid)
        if self.reward is not None:
            main = self._registered(self.reward, reply, example)
        elif kind == "random":
            main = coin(example.id, number)
        elif kind == "incorrect":
            main = valid * (1 - verdict.value)
        elif kind == "majority":
            main = valid * (normalise(str(verdict.answer)) == commonest)
        else:
            main = valid if kind == "format" else verdict.value
        return self.settings.task * main + self.settings.format * valid

    def _registered(self, function: Reward, reply: str, example: Example) -> float:
        kind = self.settings.kind
        try:
            reward = float(function(reply, example))
        except Exception as error:
            raise RuntimeError(f"reward {kind!r} failed on example {example.id}") from error
        if not math.isfinite(reward):
            raise RuntimeError(f"reward {kind!r} is {reward} on example {example.id}; it has to be a number")
        return reward
