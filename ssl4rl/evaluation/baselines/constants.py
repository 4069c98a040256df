"""Answers that ignore the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.evaluation.baselines.base import BaselineAnswers
from ssl4rl.evaluation.scores import score_labels
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.records import Prediction
from ssl4rl.vision.benchmarks.imagenet import ImageNet


def constants(benchmark: AnyBenchmark, predictions: Sequence[Prediction]) -> BaselineAnswers:
    """The answers of constants to the items of any benchmark's predictions.

    ``first option`` is the label that is offered first, ``majority letter`` the label that is right most often (on
    these very items: no constant letter earns more). With more answers than letters, and none of them listed
    in the prompt, there is neither.
    """
    baselines = BaselineAnswers()
    if benchmark.vocabulary is None or len(benchmark.vocabulary) <= len(OPTION_LETTERS):
        baselines.answers["first option"] = [next(iter(prediction.choices)) for prediction in predictions]
        baselines.answers["majority letter"] = [_best_label(predictions)] * len(predictions)
        baselines.notes.append("majority letter is chosen on the items that it is scored on: no constant earns more")
    return baselines


def majority_class(benchmark: ImageNet, predictions: Sequence[Prediction], baselines: BaselineAnswers) -> None:
    """Adds ``majority``: of the classes that are offered, the one that most training images have."""
    if benchmark.knobs.images == "all":
        baselines.notes.append("majority is left out: every image is asked about, so none is left to count classes in")
        return
    source = benchmark.source
    classes = source.classes[source.images.members("train")].tolist()
    frequency = Counter(source.names[code][0] for code in classes if code >= 0)

    def most_frequent(choices: Mapping[str, str]) -> str:
        return max(choices, key=lambda label: frequency[choices[label]])

    baselines.answers["majority"] = [most_frequent(prediction.choices) for prediction in predictions]


def _best_label(predictions: Sequence[Prediction]) -> str:
    """The label that gets most questions right if it is always the answer, then the one that is right most often."""
    right = Counter(label for prediction in predictions for label in prediction.accepted)

    def earned(label: str) -> tuple[float, int]:
        scores = score_labels(predictions, [label] * len(predictions))
        return sum(score.value for score in scores.values()), right[label]

    return max(sorted(right), key=earned)
