"""Intervals against published values."""

import numpy as np
import pytest

from ssl4rl.evaluation.statistics import Estimate, bootstrap, interval, wilson
from ssl4rl.example import Score


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
    assert interval([0.0, 0.5, 1.0]) == bootstrap([0.0, 0.5, 1.0])


def test_an_unparsed_reply_counts_0_and_is_counted() -> None:
    estimate = Estimate.of([Score.of(1, "a"), Score.of(0, "b"), Score.of(1, "c"), Score.unparsed()])
    assert (estimate.score, estimate.parsed, estimate.n) == (0.5, 0.75, 4)
    assert estimate.score_parsed == pytest.approx(2 / 3)
    nothing = Estimate.of([Score.unparsed()])
    assert nothing.score_parsed is None and nothing.low == 0 and nothing.score == 0
