"""95 % intervals of means and of paired differences.

Closed forms for 0/1 scores (Wilson, Newcombe), a seeded bootstrap for all others. Of fewer than 20 values a bootstrap
is too narrow, and of equal ones it has no width; bounds of what the values can be take its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054
BOOTSTRAP_DRAWS = 2000
FEWEST = 20
"""Values from which on a bootstrap or a normal interval is used."""
UNIT, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
"""The ranges of scores and of their differences."""


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


def bootstrap(
    values: Sequence[float], seed: int = 0, draws: int = BOOTSTRAP_DRAWS, bounds: tuple[float, float] = UNIT
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean (Efron 1979), seeded; of few or equal values, :func:`bounded`."""
    data = np.asarray(values, dtype=float)
    if len(data) < FEWEST or data.min() == data.max():
        return bounded(data.tolist(), len(data), bounds)
    rng = np.random.default_rng(seed)
    means = np.array([data[rng.integers(len(data), size=len(data))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def bounded(values: Sequence[float], n: float, bounds: tuple[float, float] = UNIT) -> tuple[float, float]:
    """An interval of the mean of values that lie in ``bounds``, whatever their distribution, as of ``n`` of them.

    Of all distributions with one mean the widest is over the two bounds, so Wilson's interval of the mean's place
    between them is wide enough. Of equal values: as few others as Wilson's interval of 0 in ``n`` allows, each at a
    bound.

    >>> [round(bound, 2) for bound in bounded([0.5], 1)]
    [0.1, 0.9]
    """
    low, high = bounds
    if not len(values):
        return bounds
    mean = float(np.mean(values))
    if min(values) == max(values):
        others = wilson(0, n)[1]
        return mean - others * (mean - low), mean + others * (high - mean)
    ends = wilson((mean - low) / (high - low) * n, n)
    return low + ends[0] * (high - low), low + ends[1] * (high - low)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of ``values`` from 0 to 1."""
    if all(value in (0, 1) for value in values):
        return wilson(sum(values), len(values))
    return bootstrap(values)


def normal(values: Sequence[float], effective: float, bounds: tuple[float, float] = UNIT) -> tuple[float, float]:
    """The mean of ``values`` in ``bounds``, plus and minus 1.96 standard errors at that effective sample size.

    Of few or equal values: :func:`bounded`.
    """
    # Not by the deviation, which rounding keeps from 0 where all are 1/3.
    if effective < FEWEST or min(values) == max(values):
        return bounded(values, effective, bounds)
    mean, deviation = float(np.mean(values)), float(np.std(values))
    half = Z95 * deviation / math.sqrt(effective)
    return max(mean - half, bounds[0]), min(mean + half, bounds[1])


def newcombe(both: float, first: float, second: float, neither: float) -> tuple[float, float]:
    """The interval of the difference of two paired proportions, (both + second) / n - (both + first) / n.

    The arguments count the pairs in which both succeed, only the first, only the second, or neither (fractions, at an
    effective sample size). Combines the
    Wilson intervals of the two proportions, with a continuity-corrected correlation (Newcombe 1998, Statistics in
    Medicine 17:2635-2650, method 10).

    >>> [round(bound, 3) for bound in newcombe(both=14, first=0, second=5, neither=22)]
    [0.011, 0.226]
    """
    # Counts that numpy made would overflow in the product of the margins.
    both, first, second, neither = float(both), float(first), float(second), float(neither)
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
