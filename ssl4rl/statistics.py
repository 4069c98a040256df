"""Means and paired differences of scores, clustered by what examples share, and their tests.

McNemar's for 0/1 scores, sign flips for all others. The intervals are in :mod:`ssl4rl.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ssl4rl.answers import Score
from ssl4rl.intervals import DIFFERENCE, FEWEST, Z95, bootstrap, interval, newcombe, normal, wilson

SIGN_FLIPS = 9999
"""With the observed assignment this makes 10,000, so the smallest possible p is 0.0001."""
FINEST, MOST_COUNTED = 60, 10**8
"""Differences of fractions with no greater denominator are counted rather than drawn, if it takes no more additions."""


class Clusters:
    """Which examples share a node, pair or image, and so are not independent.

    ``groups`` has the rows of each item that several examples share, and each other example by itself. Examples with
    several items can be in several groups: they are not merged, as a chain of examples that share one image each would
    make a single cluster of nearly all.
    """

    def __init__(self, items: Sequence[Iterable[Hashable]]) -> None:
        sets = [frozenset(own) for own in items]
        self.n = len(sets)
        self.distinct = len(set(sets) - {frozenset()}) + sets.count(frozenset())
        """How many of the examples are on different nodes, pairs or images."""
        rows: dict[Hashable, list[int]] = {}
        for row, own in enumerate(sets):
            for item in own:
                rows.setdefault(item, []).append(row)
        self.num_items = len(rows) + sets.count(frozenset())
        # Items that always come together are one.
        shared = sorted({tuple(group) for group in rows.values() if len(group) > 1})
        alone = set(range(self.n)) - {row for group in shared for row in group}
        self.groups: list[tuple[int, ...]] = [*shared, *((row,) for row in sorted(alone))]

    @property
    def independent(self) -> bool:
        """Whether no two examples share anything."""
        return len(self.groups) == self.n == sum(map(len, self.groups))

    @property
    def overlap(self) -> bool:
        """Whether an example is in several groups."""
        return sum(map(len, self.groups)) > self.n

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of the values of each group."""
        return [sum(values[row] for row in group) for group in self.groups]

    def _variance(self, residuals: Sequence[float]) -> float:
        """The variance of the mean: the products of all pairs of residuals that share a group, each pair once."""
        count = len(self.groups)
        if not self.overlap:
            return sum(total * total for total in self.totals(residuals)) / self.n**2 * count / (count - 1)
        groups_of: list[list[tuple[int, ...]]] = [[] for _ in range(self.n)]
        for group in self.groups:
            for row in group:
                groups_of[row].append(group)
        data = np.asarray(residuals)
        products, shared = 0.0, 0
        for row, own in enumerate(groups_of):
            sharing = np.unique(np.concatenate(own))
            products += data[row] * data[sharing].sum()
            shared += len(sharing)
        # Over all pairs the products add up to 0, so those of a part of the pairs are too small by as much. (Without
        # overlap and with groups of one size, the correction is the one above.)
        return products / self.n**2 / max(1 - shared / self.n**2, 1 / self.n)

    def error(self, values: Sequence[float]) -> float:
        """The standard error of the mean of ``values``; infinite with fewer than two groups."""
        if len(self.groups) < 2:
            return math.inf
        mean = sum(values) / self.n
        return math.sqrt(max(self._variance([value - mean for value in values]), 0.0))

    def effective(self, values: Sequence[float]) -> float:
        """The number of independent values whose mean would vary as much as that of these, given what they share.

        That is Kish's effective sample size (1965, §8.2; Korn and Graubard 1998, Survey Methodology 24:193-201), and
        no more than there are values; for examples with several items, with the variance of Aronow, Samii and Assenova
        (2015, Political Analysis 23:564-577). If all values are equal, their variance says nothing, and each group
        counts once.
        """
        count = len(self.groups)
        if count < 2 or min(values) == max(values):
            return float(min(count, self.n))
        mean = sum(values) / self.n
        residuals = [value - mean for value in values]
        spread = sum(residual * residual for residual in residuals) / self.n
        variance = self._variance(residuals)
        return min(max(spread / variance, 1.0), self.n) if variance > 0 else float(self.n)

    def interval(self, values: Sequence[float]) -> tuple[float, float]:
        """The 95 % interval of the mean of ``values`` from 0 to 1, one for each example."""
        if self.independent:
            return interval(values)
        effective = self.at_most(self.effective(values))
        if all(value in (0, 1) for value in values):
            return wilson(sum(values) / self.n * effective, effective)
        return normal(values, effective)

    def at_most(self, effective: float) -> float:
        """That effective size, or less, as the spread of few is itself uncertain.

        With few groups, no more than there are. Where groups overlap, as much less as intervals by Student's t, with
        one degree of freedom less than there are items, are wider than those by the normal distribution.
        """
        few = min(effective, len(self.groups)) if len(self.groups) < FEWEST else effective
        if not self.overlap:
            return few
        from scipy.stats import t

        return few * float(Z95 / t.ppf(0.975, self.num_items - 1)) ** 2

    def t_test(self, differences: Sequence[float], effective: float) -> float:
        """Two-sided p for a mean difference of 0, by Student's t with one degree of freedom less than there are items.

        ``effective`` is the effective size of the differences (:meth:`effective`).

        A normal distribution rejects too often where many examples are of few images: true nulls of 20 images at
        p < .05 in 9 of 100 (Cameron and Miller 2015, Journal of Human Resources 50:317, on few clusters).
        """
        from scipy.stats import t

        mean, deviation = float(np.mean(differences)), float(np.std(differences))
        if not deviation:
            mean, deviation = float(mean != 0), 1.0
        p = 2 * float(t.sf(abs(mean) / deviation * math.sqrt(effective), self.num_items - 1))
        # No smaller than the swaps of so few groups could make it.
        return max(p, 2.0 ** (1 - len(self.groups)))


def mcnemar(first: int, second: int) -> float:
    """Two-sided mid-p of McNemar's test, from the numbers of pairs that only the first or only the second got right.

    The exact conditional p minus half the probability of the observed table, as Fagerland, Lydersen and Laake
    recommend (2013, BMC Medical Research Methodology 13:91); 1 if no pair differs.

    >>> round(mcnemar(1, 7), 4)
    0.0391
    """
    # Python's integers, so that nothing overflows or loses precision with thousands of pairs.
    first, second = int(first), int(second)
    n, fewer = first + second, min(first, second)
    coefficient, tail = 1, 0
    for k in range(fewer):
        tail += coefficient
        coefficient = coefficient * (n - k) // (k + 1)
    if first == second:
        return 1 - coefficient / (2 << n) if n else 1.0
    return (2 * tail + coefficient) / (1 << n)


def sign_flip(differences: Sequence[float], seed: int = 0, draws: int = SIGN_FLIPS) -> float:
    """Two-sided p for a mean difference of 0: a permutation test that swaps the two scores of pairs.

    All assignments are counted, so that p is exact, of at most 13 pairs that differ and where differences are multiples
    of a simple fraction; of others, seeded random ones, the observed assignment being one of them, so that p is never 0
    (Phipson and Smyth 2010).
    """
    data = np.asarray([difference for difference in differences if difference], dtype=float)
    steps = _steps(data.tolist())
    if steps is not None:
        return _counted(steps)
    # Sums that differ only by rounding count as equal.
    observed = abs(data.sum()) - 1e-9
    if 2 ** len(data) <= SIGN_FLIPS:
        sums = np.zeros(1)
        for difference in data:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((abs(sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    as_far = sum(abs(data @ rng.choice((-1.0, 1.0), size=len(data))) >= observed for _ in range(draws))
    return float(as_far + 1) / (draws + 1)


def _steps(differences: Sequence[float]) -> list[int] | None:
    """The differences as multiples of one fraction; None where it is too fine for all of their sums to be counted."""
    fractions = [Fraction(difference).limit_denominator(FINEST) for difference in differences]
    if any(abs(fraction - difference) > 1e-9 for fraction, difference in zip(fractions, differences, strict=True)):
        return None
    unit = math.lcm(*(fraction.denominator for fraction in fractions))
    steps = [int(fraction * unit) for fraction in fractions]
    return steps if len(steps) * sum(map(abs, steps)) <= MOST_COUNTED else None


def _counted(steps: Sequence[int]) -> float:
    """The share of the sums of ``steps``, each with either sign, that are as far from 0 as theirs is."""
    most = sum(map(abs, steps))
    chance = np.zeros(2 * most + 1)  # of each sum, from -most to most
    chance[most] = 1
    for step in steps:
        chance = (np.roll(chance, step) + np.roll(chance, -step)) / 2
    far = abs(np.arange(-most, most + 1)) >= abs(sum(steps))
    return min(1.0, max(float(chance[far].sum()), float(np.finfo(float).tiny)))


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
    """The test behind p: ``mcnemar mid-p`` for 0/1 scores, else ``sign flips``. Where items share a node, pair or
    image: ``sign flips of clusters``, or ``t`` if clusters overlap."""
    won: int
    """How many items the second scores higher on."""
    lost: int
    """How many items it scores lower on."""

    @classmethod
    def of(
        cls, first: Sequence[float], second: Sequence[float], items: Sequence[Iterable[Hashable]] | None = None
    ) -> PairedDifference:
        """The difference of two equally long score vectors.

        ``items`` are the ``source_items`` of each; without them all are independent. Where some share one, the
        interval is taken at the effective sample size.

        Raises:
            ValueError: if there is no item, or the vectors are not equally long.
        """
        pairs = [(float(old), float(new)) for old, new in zip(first, second, strict=True)]
        if not pairs:
            raise ValueError("there is no item to compare scores on")
        differences = [new - old for old, new in pairs]
        won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        mean = sum(differences) / len(pairs)
        clusters = None if items is None else Clusters(items)
        grouped = clusters is not None and not clusters.independent
        size = effective = float(len(pairs))
        if clusters is not None and grouped:
            size = clusters.effective(differences)
            effective = clusters.at_most(size)
        binary = all(value in (0, 1) for pair in pairs for value in pair)
        if binary:
            both, scale = sum(pair == (1, 1) for pair in pairs), effective / len(pairs)
            counts = (both, lost, won, len(pairs) - both - lost - won)
            low, high = newcombe(*(count * scale for count in counts))
        else:
            low, high = (
                normal(differences, effective, DIFFERENCE) if grouped else bootstrap(differences, bounds=DIFFERENCE)
            )
        if clusters is not None and clusters.overlap:
            p, test = clusters.t_test(differences, size), "t"
        elif clusters is not None and grouped:
            p, test = sign_flip(clusters.totals(differences)), "sign flips of clusters"
        elif binary:
            p, test = mcnemar(lost, won), "mcnemar mid-p"
        else:
            p, test = sign_flip(differences), "sign flips"
        return cls(mean, low, high, p, test, won, lost)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """The mean score of a set of replies, with its interval."""

    score: float
    """Mean score; an unparsed or invalid reply counts as 0."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    n: int
    """Number of examples."""
    distinct: int
    """How many of them are on different nodes, pairs or images."""
    parsed: float
    """Share of the replies from which an answer could be read."""
    valid: float
    """Share of the replies whose answer could be read and is one of those to choose from."""
    score_parsed: float | None
    """Mean score of those that could be read; None if there are none."""
    low_parsed: float | None
    """Lower end of its 95 % interval."""
    high_parsed: float | None
    """Upper end."""

    @classmethod
    def of(cls, scores: Sequence[Score], items: Sequence[Iterable[Hashable]] | None = None) -> Estimate:
        """The estimate from the scores of examples; ``items`` are the ``source_items`` of each.

        Without them all are independent.

        Raises:
            ValueError: if there is no example.
        """
        if not scores:
            raise ValueError("there is no score to take the mean of")
        sets = [[place] for place in range(len(scores))] if items is None else list(items)
        values = [float(score.value) for score in scores]
        read = [place for place, score in enumerate(scores) if score.parsed]
        parsed = [values[place] for place in read]
        clusters = Clusters(sets)
        low, high = clusters.interval(values)
        low_parsed, high_parsed = Clusters([sets[place] for place in read]).interval(parsed) if read else (None, None)
        return cls(
            score=sum(values) / len(values),
            low=low,
            high=high,
            n=len(values),
            distinct=clusters.distinct,
            parsed=len(parsed) / len(values),
            valid=sum(score.valid for score in scores) / len(values),
            score_parsed=sum(parsed) / len(parsed) if parsed else None,
            low_parsed=low_parsed,
            high_parsed=high_parsed,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
