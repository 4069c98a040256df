"""Balance, calibration, and labels that do not exist."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from ssl4rl.evaluation.labels import (
    BINS,
    balanced_accuracy,
    calibration,
    confidence,
    expected_calibration_error,
    hallucinated,
)
from ssl4rl.evaluation.scores import scores

NAMES = {"A": "Theory", "B": "Neural Networks", "C": "Case Based"}


def test_balanced_accuracy_is_scikit_learns(prediction) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 40):
        gold, given = rng.choice(list("ABC"), size), rng.choice(list("ABC"), size)
        rows = [
            prediction(str(at), [one], f"<answer>{other}</answer>", NAMES)
            for at, (one, other) in enumerate(zip(gold, given, strict=True))
        ]
        found = scores(rows)
        kept = np.isin(given, gold)  # scikit-learn warns of classes that occur as an answer only
        expected = balanced_accuracy_score(gold, np.where(kept, given, "none")) if kept.all() else None
        assert found["balanced_accuracy"] == balanced_accuracy(found["per_class"])
        if expected is not None:
            assert found["balanced_accuracy"] == pytest.approx(expected)


def test_calibration_error_by_its_definition() -> None:
    # Guo et al. 2017, equation 3: bins of equal width, |accuracy − confidence| weighted by their size.
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(1, 60))
        sure, right = rng.beta(2, 1, size=size), rng.integers(2, size=size).astype(float)
        error = 0.0
        for low in np.arange(BINS) / BINS:
            inside = (sure >= low) & (sure < low + 1 / BINS)
            if inside.any():
                error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
        assert expected_calibration_error(sure.tolist(), right.tolist()) == pytest.approx(error, abs=1e-12)
    assert expected_calibration_error([1.0, 1.0], [1.0, 0.0]) == 0.5


def test_confidence_is_the_share_of_the_likeliest_label_and_its_curve_is_reported(prediction) -> None:
    def row(item: str, right: str, logprobs: dict[str, float]):
        best = max(logprobs, key=lambda label: logprobs[label])
        return prediction(item, [right], f"<answer>{best}</answer>", NAMES, logprobs=logprobs)

    even = row("1", "A", {"A": -700.0, "B": -700.0, "C": -700.0})
    sure = row("2", "A", {"A": -2.0, "B": -12.0, "C": -12.0})
    assert confidence(even) == pytest.approx(1 / 3) and confidence(sure) == pytest.approx(1, abs=1e-3)
    found = scores([even, sure, row("3", "B", {"A": -2.0, "B": -12.0, "C": -12.0})])["calibration"]
    assert found["error"] == pytest.approx((2 / 3 + 2 * (confidence(sure) - 0.5)) / 3)
    assert [part["n"] for part in found["curve"]] == [1, 2] and found["bins"] == BINS
    assert found["curve"][1]["accuracy"] == 0.5
    # Replies that were read have no probabilities.
    assert calibration([even.model_copy(update={"logprobs": None})]) is None


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("Quantum Physics", True),
        ("D", True),
        ("17", True),
        ("A", False),
        ("theory", False),
        ("Neural Networks.", False),
        ("B: Neural Networks", False),
        ("A or B", False),
        ("A dog", True),
        ("what a dog", True),
        ("Theory papers", False),
        ("I cannot determine the class", False),
        ("none of the texts that are shown says enough to be sure of it", False),
        ("", False),
    ],
)
def test_a_hallucinated_label_is_the_name_of_another_class(prediction, answer, named) -> None:
    rows = [prediction("1", ["A"], f"<answer>{answer}</answer>", NAMES), prediction("2", ["A"], "no tag", NAMES)]
    assert hallucinated(rows) == scores(rows)["hallucinated"] == (0.5 if named else 0)
