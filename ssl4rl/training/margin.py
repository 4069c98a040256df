"""Margin: an example counts more where what its answer should rest on helps the model to find it.

TRN-R1-Zero (Liu, Qiu and Huang 2026) weights rewards by how much a node's neighbours tell of its label. Here nothing is
labelled: the same question is asked again with the edges rewired, each node keeping its degree, or of a grey image, and
what counts is how much oftener it is answered right as it is. An answer that is found all the same, by what the options
say or by guessing, teaches less of what the task is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ssl4rl.tasks import AnyTask
from ssl4rl.training.recipe import Reward
from ssl4rl.training.refill import Sampled
from ssl4rl.training.rewards import RewardFunction
from ssl4rl.training.tasks import without_support


class Margin:
    """The weights of a generation batch."""

    def __init__(self, task: AnyTask, strength: float, decode: Callable[[Sequence[int]], str]) -> None:
        self.strength = strength
        self.reward = RewardFunction(without_support(task), Reward(), decode)
        """Scores the replies to the questions without support."""

    def of(self, batch: Sampled, without: Sampled) -> torch.Tensor:
        """How much oftener each question is answered right than without support, in [-1, 1], a row each."""
        return torch.tensor(_rates(batch)) - torch.tensor(_rates(without))

    def weights(self, margins: torch.Tensor) -> torch.Tensor:
        """What the advantages of rows with these margins are multiplied by: 1 + strength × margin, and 0 at least."""
        return (1 + self.strength * margins).clamp(min=0)


def _rates(batch: Sampled) -> list[float]:
    """The mean score of each row's question."""
    scores: dict[int, list[float]] = {}
    for index, record in zip(batch.indices, batch.records, strict=True):
        scores.setdefault(index, []).append(record.score)
    means = {index: sum(values) / len(values) for index, values in scores.items()}
    return [means[index] for index in batch.indices]
