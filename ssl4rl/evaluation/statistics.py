"""Means with 95 % intervals: Wilson's for 0/1 scores, a seeded bootstrap for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssl4rl.example import Outcome, Score

Z95 = 1.959963984540054
BOOTSTRAP_DRAWS = 2000


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives 0 and 1 but for rounding.
    return (center - half if successes > 0 else 0.0), (center + half if successes < n else 1.0)


def bootstrap(values: Sequence[float], seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean (Efron 1979), seeded."""
    if not len(values):
        return 0.0, 1.0
    data = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    means = np.array([data[rng.integers(len(data), size=len(data))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of ``values``."""
    if all(value in (0, 1) for value in values):
        return wilson(sum(values), len(values))
    return bootstrap(values)


@dataclass(frozen=True)
class Estimate:
    """What an evaluation found."""

    score: float
    """Mean score, an unparsed reply counting 0."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    n: int
    """How many examples."""
    parsed: float
    """Share of replies from which an answer could be read."""
    score_parsed: float | None
    """Mean score among those; None if there are none."""
    low_parsed: float | None
    """Lower end of its 95 % interval."""
    high_parsed: float | None
    """Upper end."""

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Estimate:
        """The estimate from the scores of independent examples (at least one)."""
        values = [score.value for score in scores]
        parsed = [score.value for score in scores if score.outcome != Outcome.UNPARSED]
        low, high = interval(values)
        low_parsed, high_parsed = interval(parsed) if parsed else (None, None)
        return cls(
            score=sum(values) / len(values),
            low=low,
            high=high,
            n=len(values),
            parsed=len(parsed) / len(values),
            score_parsed=sum(parsed) / len(parsed) if parsed else None,
            low_parsed=low_parsed,
            high_parsed=high_parsed,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
