"""Intervals against published values."""

import itertools
import math

import numpy as np
import pytest

from ssl4rl import statistics
from ssl4rl.answers import Score
from ssl4rl.statistics import (
    Clusters,
    Estimate,
    PairedDifference,
    bootstrap,
    interval,
    mcnemar,
    newcombe,
    sign_flip,
    wilson,
)


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
    invalid = Estimate.of([Score.of(1, "a"), Score.invalid("q"), Score.unparsed(), Score.of(0, "b")])
    assert (invalid.score, invalid.parsed, invalid.valid, invalid.score_parsed) == (0.25, 0.75, 0.5, 1 / 3)
    nothing = Estimate.of([Score.unparsed()])
    assert nothing.score_parsed is None and nothing.low == 0 and nothing.score == 0


def test_newcombe_on_published_pairs() -> None:
    # Altman et al. 2000, Statistics with Confidence, table 6.2: the correlation counts.
    assert newcombe(both=14, first=0, second=5, neither=22) == pytest.approx((0.011, 0.226), abs=6e-4)
    # Airway hyper-responsiveness (Bentur et al. 2009) in Fagerland et al. 2014: it is corrected away.
    assert newcombe(both=1, first=1, second=7, neither=12) == pytest.approx((0.026, 0.507), abs=6e-4)
    assert newcombe(both=1, first=7, second=1, neither=12) == pytest.approx((-0.507, -0.026), abs=6e-4)
    low, high = newcombe(10, 0, 0, 0)
    assert low < 0 < high


def test_mcnemar_mid_p_on_published_pairs_and_by_its_definition() -> None:
    # The same data in Fagerland et al. 2013: exact conditional 0.070, mid-p 0.039.
    assert mcnemar(1, 7) == mcnemar(7, 1) == pytest.approx(0.0391, abs=5e-5)
    assert mcnemar(0, 0) == 1
    for a, b in [(0, 5), (3, 4), (6, 6), (10, 25)]:
        n, k = a + b, min(a, b)
        exact = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
        assert mcnemar(a, b) == pytest.approx(exact - math.comb(n, k) / 2**n / (2 if a == b else 1))
    # Large numbers must neither overflow nor lose precision: the normal approximation of 100 / sqrt(10000).
    assert mcnemar(4950, 5050) == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=1e-4)


def test_sign_flips_agree_with_all_assignments() -> None:
    differences = [0.5, 0.25, -0.1, 0.4, 0.3, 0.0, 0.2, -0.05]
    flips = abs(np.array(list(itertools.product((1, -1), repeat=8))) @ differences)
    exact = float((flips >= sum(differences) - 1e-12).mean())
    assert sign_flip(differences) == pytest.approx(exact, abs=0.01)
    assert sign_flip([0.0, 0.0]) == 1


def test_a_paired_difference_counts_what_was_won_and_lost() -> None:
    old, new = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 0, 0]
    found = PairedDifference.of(old, new)
    assert (found.difference, found.won, found.lost, found.test) == (0.25, 3, 1, "mcnemar mid-p")
    assert (found.low, found.high) == newcombe(2, 1, 3, 2) and found.p == mcnemar(1, 3)
    back = PairedDifference.of(new, old)
    assert (back.low, back.high, back.p) == pytest.approx((-found.high, -found.low, found.p))
    partial = PairedDifference.of([0.5, 0.0, 1.0, 0.2] * 20, [1.0, 0.5, 1.0, 0.2] * 20)
    assert partial.test == "sign flips" and partial.p == 0.0001 and partial.low > 0 and partial.difference == 0.25


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


def test_clusters_are_what_examples_share() -> None:
    clusters = Clusters([("a",), ("b",), ("a",), (), ()])
    assert clusters.groups == [(0, 2), (1,), (3,), (4,)] and clusters.distinct == 4
    assert not clusters.independent and not clusters.overlap
    # Items that always come together are one group; one that is seen once, beside a shared one, is none.
    pairs = Clusters([("a", "b"), ("a", "b"), ("c", "d"), ("c", "e")])
    assert pairs.groups == [(0, 1), (2, 3)] and pairs.distinct == 3
    assert Clusters([("a", "b"), ("c", "d")]).independent


def test_copies_of_an_example_count_once() -> None:
    values = [float(place % 3 == 0) for place in range(60)]
    few = [Score.of(value, "x") for value in values]
    one, ten = (Estimate.of(few * k, [[place] for place in range(60)] * k) for k in (1, 10))
    assert (ten.n, ten.distinct, one.n, one.distinct) == (600, 60, 60, 60) and ten.score == one.score
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.02)
    old, new = [0.0, 1, 0, 1] * 15, [1.0, 1, 0, 0, 1, 1] * 10
    once = PairedDifference.of(old, new)
    often = PairedDifference.of(old * 10, new * 10, [[place] for place in range(60)] * 10)
    assert often.test == "sign flips of clusters" and often.p == pytest.approx(once.p, abs=0.05)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.02)
    # Without knowing what they share, the test would be sure.
    assert PairedDifference.of(old * 10, new * 10).p < 0.01 < once.p


def test_scores_between_0_and_1_are_clustered_too() -> None:
    scores = [Score.of(value, "x") for value in [0.2, 0.9, 0.5, 0.4] * 20]
    apart, together = Estimate.of(scores), Estimate.of(scores, [[place % 4] for place in range(80)])
    assert together.distinct == 4 and together.high - together.low > 3 * (apart.high - apart.low)
    assert together.low >= 0 and together.high <= 1
    difference = PairedDifference.of([0.0] * 80, [0.1, 0.3, 0.2, 0.1] * 20, [[place % 4] for place in range(80)])
    assert difference.p > 0.05 and difference.difference == pytest.approx(0.175)


@pytest.mark.parametrize(("items_each", "most"), [(1, 0.08), (2, 0.13)])
def test_training_effects_of_single_images_do_not_look_like_learning(items_each: int, most: float, monkeypatch) -> None:
    monkeypatch.setattr(statistics, "sign_flip", lambda differences: sign_flip(differences, draws=199))
    rng = np.random.default_rng(0)
    wrong, naive, covered, trials = 0, 0, 0, 150
    for _ in range(trials):
        images = rng.integers(20, size=(200, items_each))
        # Training helped with some images and hurt with others, and did nothing on the whole.
        shift = rng.normal(size=20) * (0.2 if items_each == 1 else 0.12)
        after = rng.uniform(size=200) < 0.5 + np.clip(shift[images].sum(1), -0.4, 0.4)
        before = rng.uniform(size=200) < 0.5
        vectors = before.astype(float).tolist(), after.astype(float).tolist()
        found = PairedDifference.of(*vectors, images.tolist())
        wrong += found.p < 0.05
        covered += found.low <= 0 <= found.high
        naive += PairedDifference.of(*vectors).p < 0.05
    assert wrong / trials < most < naive / trials and covered / trials > 0.87
