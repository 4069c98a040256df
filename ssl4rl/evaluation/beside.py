"""What a model's score is compared with: baselines, and the same model with part of each question taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.errors import UserError
from ssl4rl.evaluation.plan import Plan
from ssl4rl.evaluation.ranking import is_ranking, queries_of, ranked_beside, tie_notes
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.scores import beside_model, items_per_question, per_question, score_labels
from ssl4rl.records import Prediction

if TYPE_CHECKING:
    from ssl4rl.evaluation.baselines.encoder import TextEncoder

Say = Callable[[str], None]


def open_encoder(recipe: EvalRecipe, benchmark: AnyBenchmark) -> TextEncoder | None:
    """The recipe's encoder of texts; None if it names none.

    Raises:
        UserError: for one that nothing would use.
    """
    if recipe.encoder is None:
        return None
    from ssl4rl.evaluation.baselines.encoder import TextEncoder
    from ssl4rl.evaluation.baselines.graph import has_baselines

    if not has_baselines(benchmark):
        raise UserError(f"--encoder: benchmark {benchmark.name} has no baselines that would use it; leave it out")
    if not recipe.baselines:
        raise UserError("--encoder: it is for baselines, and --no-baselines leaves them out; give one of the two")
    return TextEncoder(recipe.encoder)


def baselines_beside(
    plan: Plan,
    predictions: Sequence[Prediction],
    ablated: Mapping[str, Sequence[Prediction]],
    encoder: TextEncoder | None,
    say: Say,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Each baseline's accuracy with its interval on the same items, and notes on what was left out."""
    if is_ranking(predictions):
        return _ranked(plan, predictions, ablated, say)
    model, items = per_question(predictions), items_per_question(predictions)
    rows = {name: beside_model(per_question(replies), model, items) for name, replies in ablated.items()}
    if not plan.recipe.baselines or not plan.main.benchmark.has_answers:
        return rows, []
    from ssl4rl.evaluation.baselines.collect import baseline_answers

    baselines = baseline_answers(plan.main.benchmark, predictions, say, encoder)
    for name, labels in baselines.answers.items():
        rows[name] = beside_model(score_labels(predictions, labels), model, items)
        if name in baselines.seconds:
            rows[name]["seconds"] = baselines.seconds[name]
    return rows, baselines.notes


def _ranked(
    plan: Plan, predictions: Sequence[Prediction], ablated: Mapping[str, Sequence[Prediction]], say: Say
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The same where candidates are ranked: by their likelihoods, or by the baselines' scores."""
    model = queries_of(predictions)
    rows = {name: ranked_beside(queries_of(replies), model) for name, replies in ablated.items()}
    notes = tie_notes(model, plan.recipe.dtype)
    if not plan.recipe.baselines:
        return rows, notes
    from ssl4rl.evaluation.baselines.collect import baseline_answers

    baselines = baseline_answers(plan.main.benchmark, predictions, say)
    for name, values in baselines.scores.items():
        rows[name] = {**ranked_beside(queries_of(predictions, values), model), "seconds": baselines.seconds[name]}
    return rows, [*notes, *baselines.notes]
