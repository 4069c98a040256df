"""Paired tests and clusters against published values and other implementations."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, permutation_test

from ssl4rl import statistics
from ssl4rl.answers import Score
from ssl4rl.intervals import newcombe, normal
from ssl4rl.statistics import SIGN_FLIPS, Clusters, Estimate, PairedDifference, mcnemar, sign_flip


def test_an_unparsed_reply_counts_0_and_is_counted() -> None:
    estimate = Estimate.of([Score.of(1, "a"), Score.of(0, "b"), Score.of(1, "c"), Score.unparsed()])
    assert (estimate.score, estimate.parsed, estimate.n) == (0.5, 0.75, 4)
    assert estimate.score_parsed == pytest.approx(2 / 3)
    invalid = Estimate.of([Score.of(1, "a"), Score.invalid("q"), Score.unparsed(), Score.of(0, "b")])
    assert (invalid.score, invalid.parsed, invalid.valid, invalid.score_parsed) == (0.25, 0.75, 0.5, 1 / 3)
    nothing = Estimate.of([Score.unparsed()])
    assert nothing.score_parsed is None and nothing.low == 0 and nothing.score == 0


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


def test_mcnemar_of_counts_that_numpy_made_does_not_overflow() -> None:
    assert mcnemar(np.int64(4950), np.int64(5050)) == mcnemar(4950, 5050)
    assert mcnemar(np.int64(40), np.int64(90)) == mcnemar(40, 90) < 1e-4
    first, second = np.zeros(300), np.ones(300)
    found = PairedDifference.of(first, second)  # type: ignore[arg-type]
    assert found.p == mcnemar(0, 300) and type(found.won) is int and found == PairedDifference.of([0] * 300, [1] * 300)


def test_mcnemar_agrees_with_scipys_binomial_test() -> None:
    rng = np.random.default_rng(0)
    for first, second in rng.integers(0, 40, size=(200, 2)).tolist():
        n, fewer = first + second, min(first, second)
        if not n:
            continue
        exact = binomtest(fewer, n).pvalue
        point = float(binom.pmf(fewer, n, 0.5))
        assert mcnemar(first, second) == pytest.approx(exact - (point / 2 if first == second else point))


def test_sign_flips_of_few_pairs_are_exact_and_of_many_near_it() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 9, 13, 15):
        differences = rng.normal(0.3, 1, size=size).round(2)
        flips = abs(np.array(list(itertools.product((1, -1), repeat=size))) @ differences)
        exact = float((flips >= abs(differences.sum()) - 1e-9).mean())
        assert sign_flip(differences.tolist()) == pytest.approx(exact, abs=1e-12 if size <= 13 else 0.015)
        if size > 1:
            scipys = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=10**5)
            assert exact == pytest.approx(scipys.pvalue, abs=1e-9)
    assert sign_flip([0.0, 0.0]) == sign_flip([]) == 1


def test_sign_flips_of_simple_fractions_are_exact_however_many() -> None:
    rng = np.random.default_rng(1)
    for values in ((-1, 0, 1), (-2, -1, 1, 3), (-0.5, 0.5, 1), (-1 / 3, 0.25, 1 / 6)):
        differences = rng.choice(values, size=17)
        flips = abs(np.array(list(itertools.product((1, -1), repeat=17))) @ differences)
        exact = float((flips >= abs(differences.sum()) - 1e-9).mean())
        assert sign_flip(differences.tolist()) == pytest.approx(exact, rel=1e-9)
    ones = [1.0] * 12 + [-1.0] * 28
    assert sign_flip(ones) == pytest.approx(binomtest(12, 40).pvalue, rel=1e-9)
    assert 0 < sign_flip([1.0] * 2000) < 1e-300  # too small for a floating point number, and still not 0
    # What is too fine, or too much to count, is drawn.
    assert sign_flip(rng.normal(5, 1, size=40).tolist()) == 1 / (SIGN_FLIPS + 1)
    assert sign_flip([1000.0] * 400) == 1 / (SIGN_FLIPS + 1)


def test_of_no_item_there_is_neither_a_mean_nor_a_difference() -> None:
    with pytest.raises(ValueError, match="no score"):
        Estimate.of([])
    with pytest.raises(ValueError, match="no item"):
        PairedDifference.of([], [])


def test_one_item_equal_values_and_few_of_them_have_intervals_with_a_width() -> None:
    one = PairedDifference.of([0.25], [0.75])
    assert one.difference == 0.5 and one.p == 1 and -1 <= one.low < 0 < 0.85 < one.high <= 1
    equal = PairedDifference.of([0.5] * 50, [0.5] * 50)
    assert (equal.difference, equal.p) == (0, 1) and -0.08 < equal.low < 0 < equal.high < 0.08
    alike = Estimate.of([Score.of(0.5, "x")] * 3)
    assert alike.low < 0.3 and alike.high > 0.7
    # Of examples that all share one image there is one.
    together = Estimate.of([Score.of(0.5, "x")] * 300, [["image"]] * 300)
    single = Estimate.of([Score.of(0.5, "x")])
    assert (together.low, together.high) == pytest.approx((single.low, single.high))
    same = PairedDifference.of([0.1] * 40, [0.4] * 40, [["image"]] * 40)
    assert same.difference == pytest.approx(0.3) and same.low < 0 < same.high


def test_a_paired_difference_counts_what_was_won_and_lost() -> None:
    old, new = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 0, 0]
    found = PairedDifference.of(old, new)
    assert (found.difference, found.won, found.lost, found.test) == (0.25, 3, 1, "mcnemar mid-p")
    assert (found.low, found.high) == newcombe(2, 1, 3, 2) and found.p == mcnemar(1, 3)
    back = PairedDifference.of(new, old)
    assert (back.low, back.high, back.p) == pytest.approx((-found.high, -found.low, found.p))
    partial = PairedDifference.of([0.5, 0.0, 1.0, 0.2] * 20, [1.0, 0.5, 1.0, 0.2] * 20)
    assert partial.test == "sign flips" and partial.low > 0 and partial.difference == 0.25
    assert partial.p == pytest.approx(2.0**-39)  # of 40 that differ, all are better


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


@pytest.mark.parametrize("value", [1 / 9, 0.1, 1 / 3, 0.7])
def test_equal_scores_have_an_interval_although_rounding_gives_them_a_spread(value: float) -> None:
    clusters = Clusters([[place // 2] for place in range(100)])
    low, high = clusters.interval([value] * 100)
    assert clusters.effective([value] * 100) == 50 and low < value - 0.001 and high > value + 0.001
    assert normal([value] * 100, 50)[0] < value - 0.001
    same = PairedDifference.of([0.0] * 12, [value] * 12, [[place % 3, (place + 1) % 3] for place in range(12)])
    assert same.p > 0.05


def test_a_few_overlapping_clusters_are_not_sure_of_anything() -> None:
    items = [[place % 3, (place + 1) % 3] for place in range(30)]
    found = PairedDifference.of([0.0] * 30, [0.9, 0.8, 0.7] * 10, items)
    assert found.test == "t" and found.p >= 0.25


def test_a_few_clusters_give_wide_intervals_of_rights_and_wrongs_too() -> None:
    found = PairedDifference.of([0] * 100, ([1] * 10 + [0] * 40) * 2, [[0]] * 50 + [[1]] * 50)
    assert found.p == 0.5 and found.low < 0
    low, high = Clusters([[0]] * 50 + [[1]] * 50).interval(([1] * 25 + [0] * 25) * 2)
    assert high - low > 0.6
