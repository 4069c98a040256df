"""Intervals against published values, scipy, and how often they hold the true mean."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ssl4rl.intervals import FEWEST, bootstrap, bounded, interval, newcombe, normal, wilson


def test_wilson_on_textbook_values() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).uniform(size=400)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == bootstrap(values)
    assert low == pytest.approx(values.mean() - half, abs=0.005)
    assert high == pytest.approx(values.mean() + half, abs=0.005)


def test_wilson_for_zeros_and_ones_only() -> None:
    assert interval([0.0, 1.0, 1.0]) == wilson(2, 3)
    values = [0.0, 0.5, 1.0] * 20
    assert interval(values) == bootstrap(values) != bounded(values, 60)


def test_newcombe_on_published_pairs() -> None:
    # Altman et al. 2000, Statistics with Confidence, table 6.2: the correlation counts.
    assert newcombe(both=14, first=0, second=5, neither=22) == pytest.approx((0.011, 0.226), abs=6e-4)
    # Airway hyper-responsiveness (Bentur et al. 2009) in Fagerland et al. 2014: it is corrected away.
    assert newcombe(both=1, first=1, second=7, neither=12) == pytest.approx((0.026, 0.507), abs=6e-4)
    assert newcombe(both=1, first=7, second=1, neither=12) == pytest.approx((-0.507, -0.026), abs=6e-4)
    low, high = newcombe(10, 0, 0, 0)
    assert low < 0 < high
    counts = (300_000, 40_000, 50_000, 200_000)
    assert newcombe(*np.array(counts)) == newcombe(*counts)


@pytest.mark.parametrize(("p", "q"), [(0.6, 0.6), (0.3, 0.4)])
def test_newcombe_covers_the_true_difference(p: float, q: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        shared, a, b = rng.uniform(size=(3, 60))
        # Half the items are as hard for both, so the pairs are correlated.
        alike = np.arange(60) < 30
        first, second = np.where(alike, shared, a) < p, np.where(alike, shared, b) < q
        counts = [int(sum(x)) for x in (first & second, first & ~second, ~first & second, ~first & ~second)]
        low, high = newcombe(*counts)
        covered += low <= q - p <= high
    assert 930 <= covered <= 985


def test_wilson_agrees_with_scipy() -> None:
    for n in (1, 2, 7, 19, 400):
        for successes in {0, 1, n // 2, n}:
            theirs = binomtest(successes, n).proportion_ci(method="wilson")
            assert wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_of_no_value_nothing_is_known() -> None:
    assert interval([]) == bootstrap([]) == (0, 1)
    assert bootstrap([], bounds=(-1, 1)) == (-1, 1)


def test_equal_values_have_a_width_and_zeros_and_ones_are_wilsons() -> None:
    for n in (1, 5, 50):
        assert bounded([0.0] * n, n) == wilson(0, n)
        assert bounded([1.0] * n, n) == pytest.approx(wilson(n, n))
        low, high = bootstrap([0.5] * n)
        assert low < 0.5 - 0.03 and high > 0.5 + 0.03 and high - low == pytest.approx(wilson(0, n)[1])
    low, high = bootstrap([0.0] * 50, bounds=(-1.0, 1.0))
    assert low == -high and 0 < high < 0.08
    assert normal([0.5] * 50, 50.0) == bounded([0.5] * 50, 50.0)


@pytest.mark.parametrize("n", [2, 5, 10, FEWEST - 1, FEWEST, 60])
@pytest.mark.parametrize("shape", [(1, 1), (0.3, 0.3), (0.5, 3)])
def test_intervals_hold_the_true_mean_also_of_few_values(n: int, shape: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    mean, covered = shape[0] / sum(shape), 0
    for _ in range(200):
        values = rng.beta(*shape, size=n).tolist()
        low, high = bootstrap(values, draws=400)
        covered += low <= mean <= high
    # A bootstrap of five values would hold it four times in five; of 20 and more it is near what it says.
    assert covered >= (188 if n < FEWEST else 174)
