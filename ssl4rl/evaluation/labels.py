"""What else is reported of answers from a closed set: balance, calibration, and labels that do not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssl4rl.answers import normalise
from ssl4rl.lenient import REFUSES
from ssl4rl.records import Prediction

BINS = 15
"""Bins of equal width that confidences are put into (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""
_ARTICLE = re.compile(r"\b[Aa] (?!(or|and)\b)(?=[a-z])")
"""The article of "A dog", which is no label; that of "A or B" is."""
MOST_WORDS = 8
"""Words of an answer that can be the name of a class; what is longer is prose."""


def balanced_accuracy(per_class: Sequence[Mapping[str, Any]]) -> float:
    """The mean recall over the classes that occur as gold (Brodersen et al. 2010); chance is 1 in as many."""
    return float(np.mean([row["recall"] for row in per_class]))


def calibration(predictions: Sequence[Prediction]) -> dict[str, Any] | None:
    """How far a model's probabilities can be believed; None unless labels were scored by likelihood.

    A prediction's confidence is the probability of its likeliest label, the likelihoods of all labels being made to add
    up to 1. ``error`` is the expected calibration error, and ``curve`` has each bin's bounds, size, mean confidence and
    accuracy.
    """
    if any(prediction.logprobs is None for prediction in predictions):
        return None
    confidences = [confidence(prediction) for prediction in predictions]
    right = [float(prediction.score == 1) for prediction in predictions]
    curve = []
    for number, rows in _bins(confidences).items():
        curve.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": len(rows),
                "confidence": float(np.mean([confidences[row] for row in rows])),
                "accuracy": float(np.mean([right[row] for row in rows])),
            }
        )
    return {
        "error": expected_calibration_error(confidences, right),
        "confidence": float(np.mean(confidences)),
        "bins": BINS,
        "curve": curve,
    }


def confidence(prediction: Prediction) -> float:
    """The probability of the likeliest label among all that may be answered."""
    logprobs = np.array(list((prediction.logprobs or {}).values()))
    return float(1 / np.exp(logprobs - logprobs.max()).sum())


def expected_calibration_error(confidences: Sequence[float], right: Sequence[float]) -> float:
    """The mean of |accuracy − confidence| over the bins, by how many answers each holds (Naeini et al. 2015)."""
    gaps = [
        abs(sum(right[row] for row in rows) - sum(confidences[row] for row in rows))
        for rows in _bins(confidences).values()
    ]
    return sum(gaps) / len(confidences)


def _bins(confidences: Sequence[float]) -> dict[int, list[int]]:
    """The rows of each bin that has any; a bin holds its lower bound, the last one also 1."""
    bins: dict[int, list[int]] = {}
    for row, value in enumerate(confidences):
        bins.setdefault(min(int(value * BINS), BINS - 1), []).append(row)
    return dict(sorted(bins.items()))


def hallucinated(predictions: Sequence[Prediction]) -> float:
    """The share of the replies whose answer is the name of a class, or a label, that is not among those to choose from.

    Not among these are an answer in which one of them occurs ("A: Theory", "A or B"), prose, a refusal, and a reply
    without an answer: the first three count as invalid, the last one as unparsed.
    """
    return sum(map(_names_another, predictions)) / len(predictions)


def _names_another(prediction: Prediction) -> bool:
    if prediction.answer is None or not prediction.choices:
        return False
    answer = normalise(prediction.answer)
    if not answer or len(answer.split()) > MOST_WORDS or REFUSES.search(answer):
        return False
    within = f" {answer} "
    known = {text for pair in prediction.choices.items() for text in pair}
    letters = {text for text in known if len(text) == 1}
    if letters & set(re.findall(r"\w+", _ARTICLE.sub("", prediction.answer))):
        return False
    return not any(f" {normalise(text)} " in within for text in known - letters)
