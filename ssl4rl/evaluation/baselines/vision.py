"""What is said to questions about pictures by those who look at neither picture nor question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssl4rl.answers import score_any_of
from ssl4rl.evaluation.baselines import Predictions
from ssl4rl.evaluation.scores import per_question
from ssl4rl.tasks import Benchmark
from ssl4rl.vision.benchmarks.imagenet import ClassifiedImages, ImageNet


def constants(benchmark: Benchmark[Any, Any], records: Sequence[Mapping[str, Any]]) -> Predictions:
    """The answers of constants to the items of a run's predictions.

    ``first option`` is the first letter, ``majority letter`` the one that is right most often (of these very items: the
    most that a constant letter can earn). Where items have classes, ``majority`` is the class most frequent in train
    among those offered.
    """
    found = Predictions()
    if benchmark.vocabulary is None:
        found.answers["first option"] = [next(iter(record["choices"])) for record in records]
        found.answers["majority letter"] = [_best_letter(records)] * len(records)
        found.notes.append("majority letter is chosen on the items that it is scored on: no constant letter earns more")
    if not isinstance(benchmark, ImageNet):
        return found
    if benchmark.knobs.pictures == "all":
        found.notes.append("majority is left out: every picture is asked about, so none is left to count classes in")
        return found
    frequent = _train_classes(benchmark.source)
    found.answers["majority"] = [
        max(record["choices"], key=lambda label: frequent[record["choices"][label]]) for record in records
    ]
    return found


def _best_letter(records: Sequence[Mapping[str, Any]]) -> str:
    """The letter that, said to everything, gets most questions right; among equals the one that is right most often."""
    right: Counter[str] = Counter(label for record in records for label in record["accepted"])

    def earned(letter: str) -> tuple[float, int]:
        said = per_question(records, lambda record: score_any_of(f"<answer>{letter}</answer>", record["accepted"]))
        return sum(score.value for score in said.values()), right[letter]

    return max(sorted(right), key=earned)


def _train_classes(source: ClassifiedImages) -> Counter[str]:
    """How many pictures of train each class has, by name."""
    members = source.images.members("train")
    return Counter(source.names[code][0] for code in source.classes[members].tolist() if code >= 0)
