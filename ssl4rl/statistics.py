"""Means and paired differences with 95 % intervals.

For 0/1 scores in closed form (Wilson, Newcombe, McNemar), for the rest by a seeded bootstrap and sign flips.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssl4rl.example import Outcome, Score

Z95 = 1.959963984540054
BOOTSTRAP_DRAWS = 2000
SIGN_FLIPS = 9999
"""So many random draws, with the observed one, put the smallest p at 0.0001."""


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
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


def clustered(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """The interval of the mean of 0/1 ``values`` that come in ``clusters``, whose members are alike.

    Wilson's at the effective sample size: as many independent values as have the variance that the clusters' totals
    show (Kish 1965, §8.2; Korn and Graubard 1998, Survey Methodology 24:193-201), at most all of them. Where all values
    are equal nothing shows, and each cluster counts once.

    >>> [round(bound, 3) for bound in clustered([1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2])]
    [0.055, 0.945]
    """
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    p = sum(values) / n
    off: dict[Hashable, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        off[cluster] = off.get(cluster, 0.0) + value - p
    effective = float(len(off))
    if 0 < p < 1 and len(off) > 1:
        variance = sum(total * total for total in off.values()) / n**2 * len(off) / (len(off) - 1)
        effective = min(max(p * (1 - p) / variance, 1.0), n) if variance else float(n)
    return wilson(p * effective, effective)


def newcombe(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """The interval of the difference of two paired proportions, (both + second) / n - (both + first) / n.

    The arguments count the pairs with a success of both, of the first only, of the second only and of neither. From
    Wilson's intervals of the two, with their correlation corrected for continuity (Newcombe 1998, Statistics in
    Medicine 17:2635-2650, method 10).

    >>> [round(bound, 3) for bound in newcombe(both=14, first=0, second=5, neither=22)]
    [0.011, 0.226]
    """
    n = both + first + second + neither
    if n == 0:
        return -1.0, 1.0
    old, new = (both + first) / n, (both + second) / n
    (old_low, old_high), (new_low, new_high) = wilson(both + first, n), wilson(both + second, n)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    cross = float(both * neither - first * second)
    if cross > 0:
        cross = max(cross - n / 2, 0)
    phi = cross / math.sqrt(margins) if margins else 0.0

    def half(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    difference = new - old
    return difference - half(new - new_low, old_high - old), difference + half(new_high - new, old - old_low)


def mcnemar(first: int, second: int) -> float:
    """Two-sided mid-p of McNemar's test, from the numbers of pairs that only the first or only the second got right.

    The exact conditional p less half the probability of what was observed, as recommended by Fagerland, Lydersen and
    Laake (2013, BMC Medical Research Methodology 13:91); 1 where no pair differs.

    >>> round(mcnemar(1, 7), 4)
    0.0391
    """
    n, fewer = first + second, min(first, second)
    # Whole numbers, so that thousands of pairs lose no precision.
    coefficient, tail = 1, 0
    for k in range(fewer):
        tail += coefficient
        coefficient = coefficient * (n - k) // (k + 1)
    if first == second:
        return 1 - coefficient / (2 << n) if n else 1.0
    return (2 * tail + coefficient) / (1 << n)


def sign_flip(differences: Sequence[float], seed: int = 0, draws: int = SIGN_FLIPS) -> float:
    """Two-sided p of a mean difference of 0: a permutation test that swaps the two scores of pairs at random, seeded.

    The observed assignment counts as one of the draws, so p is never 0 (Phipson and Smyth 2010).
    """
    data = np.asarray([difference for difference in differences if difference], dtype=float)
    rng = np.random.default_rng(seed)
    # Sums that differ by rounding alone are equal.
    observed = abs(data.sum()) - 1e-9
    as_far = sum(abs(data @ rng.choice((-1.0, 1.0), size=len(data))) >= observed for _ in range(draws))
    return float(as_far + 1) / (draws + 1)


@dataclass(frozen=True)
class PairedDifference:
    """How much better the second of two score vectors is than the first, on the same items."""

    difference: float
    """Mean of second minus first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p: float
    """Two-sided, against no difference."""
    test: str
    """What gave p: ``mcnemar mid-p`` for 0/1 scores, else ``sign flips``."""
    won: int
    """Items on which the second scores higher."""
    lost: int
    """Items on which it scores lower."""

    @classmethod
    def of(cls, first: Sequence[float], second: Sequence[float]) -> PairedDifference:
        """The difference of two equally long score vectors (at least one item)."""
        pairs = list(zip(first, second, strict=True))
        differences = [new - old for old, new in pairs]
        won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        if all(value in (0, 1) for pair in pairs for value in pair):
            both = sum(pair == (1, 1) for pair in pairs)
            low, high = newcombe(both, lost, won, len(pairs) - both - lost - won)
            p, test = mcnemar(lost, won), "mcnemar mid-p"
        else:
            low, high = bootstrap(differences)
            p, test = sign_flip(differences), "sign flips"
        return cls(sum(differences) / len(pairs), low, high, p, test, won, lost)


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
