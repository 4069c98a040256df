"""Two evaluations on the same items: the paired difference, and the replies that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.evaluation.scorable import check_scored, check_whole
from ssl4rl.evaluation.scores import items_per_question, per_question, question_of
from ssl4rl.records import Prediction
from ssl4rl.runs import Run
from ssl4rl.statistics import Estimate, PairedDifference

LEAST_SHARED = 0.9
"""The share of the smaller run's items that both must have answered: a chance overlap is not a sample. (Two seeds of
`link` share all linked pairs and no others.)"""

Pair = tuple[Prediction, Prediction]


@dataclass(frozen=True)
class Comparison:
    """A later run against the first, on the items that both answered; one question may be several items."""

    benchmark: str
    """Its name."""
    shared: int
    """Questions that both answered."""
    only_first: int
    """Questions that only the first answered; they are left out."""
    only_second: int
    """Questions that only the second answered; they are left out."""
    rows_left_out: int
    """Rows of shared questions (their options in another order) that only one of the runs answered."""
    first: Estimate
    """The first run's score on the shared questions."""
    second: Estimate
    """The second run's score on the shared questions."""
    paired: PairedDifference
    """Second minus first."""
    changed: list[Pair]
    """The items whose score differs, as both runs recorded them, in the first run's order."""
    settings: dict[str, tuple[Any, Any]]
    """The keys of config.yaml that differ, dotted, with both values (None if one lacks it)."""


def compare(first: Run, second: Run) -> Comparison:
    """Compares two evaluations of one benchmark on the same data; level, shots, model and all else may differ.

    Raises:
        UserError: if one is not an evaluation, or the two do not ask the same.
    """
    old, new = first.predictions(), second.predictions()
    check_scored(old, first.path)
    for run, predictions in ((first, old), (second, new)):
        check_whole(run, predictions)
    _check_same_data(first, second)
    benchmark = _shared_benchmark(first, second, old[0], new[0])
    later = {prediction.item: prediction for prediction in new}
    pairs = [(prediction, later[prediction.item]) for prediction in old if prediction.item in later]
    _check_overlap(first, second, len(pairs), min(len(old), len(new)))
    for pair in pairs:
        _check_same_question(first, second, *pair)
    before, after = per_question([a for a, _ in pairs]), per_question([b for _, b in pairs])
    scores = [(score, after[question]) for question, score in before.items()]
    items = {a.item for a, _ in pairs}
    shared = list(items_per_question([a if a.items else b for a, b in pairs]).values())
    return Comparison(
        benchmark=benchmark,
        shared=len(scores),
        only_first=len(set(map(question_of, old)) - before.keys()),
        only_second=len(set(map(question_of, new)) - before.keys()),
        rows_left_out=sum(row.item not in items and question_of(row) in before for row in [*old, *new]),
        first=Estimate.of([a for a, _ in scores], shared),
        second=Estimate.of([b for _, b in scores], shared),
        paired=PairedDifference.of([a.value for a, _ in scores], [b.value for _, b in scores], shared),
        changed=[(a, b) for a, b in pairs if a.score != b.score],
        settings=_differing(_flat(first.config), _flat(second.config)),
    )


def _shared_benchmark(first: Run, second: Run, old: Prediction, new: Prediction) -> str:
    """The name of the benchmark that both runs are on."""
    one, other = old.id, new.id
    for noun, a, b in (("dataset", one.source, other.source), ("benchmark", one.task, other.task)):
        if a != b:
            raise UserError(
                f"{first.path} is on {noun} {a} and {second.path} on {b}; only runs on the same {noun} can be paired"
            )
    return one.task


def _check_same_data(first: Run, second: Run) -> None:
    one, other = ({source.fingerprint for source in run.used_sources} for run in (first, second))
    if one and other and one != other:
        raise UserError(
            f"{first.path} and {second.path} are on data of one name and different content; evaluate both on the same"
        )


def _check_overlap(first: Run, second: Run, shared: int, smaller: int) -> None:
    if not shared:
        raise UserError(f"{first.path} and {second.path} share no item; were they run with different seeds or limits?")
    if shared < LEAST_SHARED * smaller:
        raise UserError(
            f"{first.path} and {second.path} share only {shared} of {smaller} items, which may not be typical of the "
            "rest; evaluate both with the same --seed and task.negatives"
        )


def _check_same_question(first: Run, second: Run, a: Prediction, b: Prediction) -> None:
    if sorted(a.choices.values()) != sorted(b.choices.values()):
        raise UserError(
            f"item {a.item} has other options in {first.path} than in {second.path}; evaluate both with the same "
            "--seed and task.num_options"
        )
    if a.class_name != b.class_name:
        raise UserError(
            f"item {a.item} is {a.class_name!r} in {first.path} and {b.class_name!r} in {second.path}: the runs are on "
            "different data; evaluate both again on the same"
        )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def as_json(comparison: Comparison, runs: Sequence[Run], changed: int) -> dict[str, Any]:
    """The comparison of two runs for programs, with at most ``changed`` of the changed items."""
    row = {"runs": [str(run.path) for run in runs], **vars(comparison)}
    for name in ("first", "second", "paired"):
        row[name] = vars(row[name])
    shown = comparison.changed[:changed]
    row["changed"] = [{"item": a.item, "first": a.line(), "second": b.line()} for a, b in shown]
    return row
