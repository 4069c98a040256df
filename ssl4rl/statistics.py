"""Means and paired differences, with 95 % intervals.

Closed forms for 0/1 scores (Wilson, Newcombe, McNemar); a seeded bootstrap and sign flips for all others.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssl4rl.answers import Outcome, Score

Z95 = 1.959963984540054
BOOTSTRAP_DRAWS = 2000
SIGN_FLIPS = 9999
"""With the observed assignment this makes 10,000, so the smallest possible p is 0.0001."""


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
    # The formula gives exactly 0 and 1 at the ends, except for rounding.
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
    """The interval of the mean of 0/1 ``values`` that come in ``clusters`` of similar ones.

    Wilson's interval at the effective sample size: the number of independent values whose mean would vary as much as
    the clusters' totals show, but no more than there are (Kish 1965, §8.2; Korn and Graubard 1998, Survey Methodology
    24:193-201). If all values are equal, their variance says nothing, and each cluster counts once.

    >>> [round(bound, 3) for bound in clustered([1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2])]
    [0.055, 0.945]
    """
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    p = sum(values) / n
    residuals: dict[Hashable, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        residuals[cluster] = residuals.get(cluster, 0.0) + value - p
    effective = float(len(residuals))
    if 0 < p < 1 and len(residuals) > 1:
        correction = len(residuals) / (len(residuals) - 1)
        variance = sum(residual * residual for residual in residuals.values()) / n**2 * correction
        effective = min(max(p * (1 - p) / variance, 1.0), n) if variance else float(n)
    return wilson(p * effective, effective)


def newcombe(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """The interval of the difference of two paired proportions, (both + second) / n - (both + first) / n.

    The arguments count the pairs in which both succeed, only the first, only the second, or neither. Combines the
    Wilson intervals of the two proportions, with a continuity-corrected correlation (Newcombe 1998, Statistics in
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

    The exact conditional p minus half the probability of the observed table, as Fagerland, Lydersen and Laake
    recommend (2013, BMC Medical Research Methodology 13:91); 1 if no pair differs.

    >>> round(mcnemar(1, 7), 4)
    0.0391
    """
    n, fewer = first + second, min(first, second)
    # Integers, so that nothing overflows or loses precision with thousands of pairs.
    coefficient, tail = 1, 0
    for k in range(fewer):
        tail += coefficient
        coefficient = coefficient * (n - k) // (k + 1)
    if first == second:
        return 1 - coefficient / (2 << n) if n else 1.0
    return (2 * tail + coefficient) / (1 << n)


def sign_flip(differences: Sequence[float], seed: int = 0, draws: int = SIGN_FLIPS) -> float:
    """Two-sided p for a mean difference of 0: a seeded permutation test that swaps the two scores of random pairs.

    The observed assignment counts as one of the draws, so that p is never 0 (Phipson and Smyth 2010).
    """
    data = np.asarray([difference for difference in differences if difference], dtype=float)
    rng = np.random.default_rng(seed)
    # Sums that differ only by rounding count as equal.
    observed = abs(data.sum()) - 1e-9
    as_far = sum(abs(data @ rng.choice((-1.0, 1.0), size=len(data))) >= observed for _ in range(draws))
    return float(as_far + 1) / (draws + 1)


@dataclass(frozen=True)
class PairedDifference:
    """How much better the second of two score vectors is than the first on the same items."""

    difference: float
    """Mean of second minus first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p: float
    """Two-sided, for no difference."""
    test: str
    """The test behind p: ``mcnemar mid-p`` for 0/1 scores, else ``sign flips``."""
    won: int
    """How many items the second scores higher on."""
    lost: int
    """How many items it scores lower on."""

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
    """The mean score of a set of replies, with its interval."""

    score: float
    """Mean score; an unparsed reply counts as 0."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    n: int
    """Number of examples."""
    parsed: float
    """Share of the replies from which an answer could be read."""
    score_parsed: float | None
    """Mean score of those; None if there are none."""
    low_parsed: float | None
    """Lower end of its 95 % interval."""
    high_parsed: float | None
    """Upper end."""

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Estimate:
        """The estimate from the scores of at least one example, all independent."""
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
