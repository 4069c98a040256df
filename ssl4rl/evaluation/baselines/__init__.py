"""What cheap predictors say to the items that a model was asked: a score means little alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssl4rl.tasks import Benchmark


@dataclass
class Predictions:
    """What each baseline answers."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    """Name of the baseline → one answer per item, scored as replies are."""
    notes: list[str] = field(default_factory=list)
    """Which baselines were left out and why, or what to know about those that were not."""


def baselines(
    benchmark: Benchmark[Any, Any], records: Sequence[Mapping[str, Any]], say: Callable[[str], None]
) -> Predictions:
    """The baselines' answers to the items of a run's predictions: those of the benchmark's side."""
    if benchmark.side == "vision":
        from ssl4rl.evaluation.baselines.vision import constants

        return constants(benchmark, records)
    from ssl4rl.evaluation.baselines.graph import predict

    return predict(benchmark, [benchmark.example(record["index"]) for record in records], say=say)
