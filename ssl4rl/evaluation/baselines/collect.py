"""The baselines of a benchmark: those fitted to its kind of data, or else constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.evaluation.baselines.base import BaselineAnswers
from ssl4rl.evaluation.baselines.constants import constants, majority_class
from ssl4rl.evaluation.baselines.encoder import TextEncoder
from ssl4rl.evaluation.baselines.graph import has_baselines, predict
from ssl4rl.evaluation.baselines.ranking import rank
from ssl4rl.graph.benchmarks.ranking import Ranking
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.records import Prediction
from ssl4rl.vision.benchmarks.imagenet import ImageNet


def baseline_answers(
    benchmark: AnyBenchmark,
    predictions: Sequence[Prediction],
    say: Callable[[str], None],
    encoder: TextEncoder | None = None,
) -> BaselineAnswers:
    """The baselines' answers to the items of a run's predictions; ``say`` gets a line for each that is fitted."""
    if isinstance(benchmark, Ranking):
        return rank(benchmark, [benchmark.example(prediction.index) for prediction in predictions], say)
    if has_baselines(benchmark):
        return predict(benchmark, [benchmark.example(prediction.index) for prediction in predictions], say, encoder)
    baselines = constants(benchmark, predictions)
    if isinstance(benchmark, ImageNet):
        majority_class(benchmark, predictions, baselines)
    elif isinstance(benchmark.source, TextAttributedGraph):
        baselines.notes.append(f"no baselines other than constants are known for benchmark {benchmark.name}")
    return baselines
