"""Two evaluations on the same items: the paired difference, and what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssl4rl.errors import UserError
from ssl4rl.evaluation.scores import Prediction, per_question, question_of, read_predictions
from ssl4rl.runs import CONFIG
from ssl4rl.statistics import Estimate, PairedDifference

_ID = re.compile(r"(?P<dataset>.+?)/(?:train|val|test)/(?P<benchmark>[\w-]+)@")


LEAST_SHARED = 0.9
"""Of the smaller run's items, that both must have answered: those that happen to be shared are no sample. (Two seeds of
`link` share all linked pairs and no others.)"""


@dataclass(frozen=True)
class Comparison:
    """A later run against the first, on the items that both answered; one question may be several items."""

    benchmark: str
    """Its name."""
    shared: int
    """Questions that both answered."""
    only_first: int
    """Questions that only the first answered, left out."""
    only_second: int
    """Questions that only the second answered, left out."""
    rows_left_out: int
    """Rows of shared questions (their options in another order) that only one of the runs answered."""
    first: Estimate
    """Of the first run, on the shared questions."""
    second: Estimate
    """Of the second run, on the shared items."""
    paired: PairedDifference
    """Second minus first."""
    changed: list[tuple[Prediction, Prediction]]
    """The items whose score differs, as both recorded them, in the first run's order."""
    settings: dict[str, tuple[Any, Any]]
    """The keys of config.yaml that differ, dotted, with both values (None where one lacks it)."""


def compare(first: Path, second: Path) -> Comparison:
    """Compares two evaluations of the same benchmark on the same data; level, shots, model and all else may differ.

    Raises:
        UserError: if one is no evaluation, they are of different benchmarks or data, or share no item.
    """
    old, new = read_predictions(first), read_predictions(second)
    one, other = _asked(old[0], first), _asked(new[0], second)
    for what in ("dataset", "benchmark"):
        if one[what] != other[what]:
            raise UserError(
                f"{first} is on {what} {one[what]} and {second} on {other[what]}; only runs of one {what} are paired"
            )
    later = {record["item"]: record for record in new}
    pairs = [(record, later[record["item"]]) for record in old if record["item"] in later]
    if not pairs:
        raise UserError(f"{first} and {second} share no item; were they run with different seeds or limits?")
    if len(pairs) < LEAST_SHARED * min(len(old), len(new)):
        raise UserError(
            f"{first} and {second} share only {len(pairs)} of {min(len(old), len(new))} items, which need not be like "
            "the others; evaluate both with the same --seed and task.negatives"
        )
    for a, b in pairs:
        if sorted(a["choices"].values()) != sorted(b["choices"].values()):
            raise UserError(
                f"item {a['item']} has other options in {first} than in {second}; evaluate both with the same --seed "
                "and task.num_options"
            )
        if a["class"] != b["class"]:
            raise UserError(
                f"item {a['item']} is {a['class']!r} in {first} and {b['class']!r} in {second}: "
                "the runs are on different data; evaluate again on the same"
            )
    both = {a["item"] for a, _ in pairs}
    before, after = per_question([a for a, _ in pairs]), per_question([b for _, b in pairs])
    scores = [(score, after[question]) for question, score in before.items()]
    return Comparison(
        benchmark=one["benchmark"],
        shared=len(scores),
        only_first=len(set(map(question_of, old)) - before.keys()),
        only_second=len(set(map(question_of, new)) - before.keys()),
        rows_left_out=sum(
            question_of(record) in before and record["item"] not in both for records in (old, new) for record in records
        ),
        first=Estimate.of([a for a, _ in scores]),
        second=Estimate.of([b for _, b in scores]),
        paired=PairedDifference.of([a.value for a, _ in scores], [b.value for _, b in scores]),
        changed=[(a, b) for a, b in pairs if a["value"] != b["value"]],
        settings=_differing(_settings(first), _settings(second)),
    )


def _asked(record: Prediction, run: Path) -> dict[str, str]:
    """Dataset and benchmark of a prediction, from its example's id."""
    found = _ID.match(record["id"])
    if found is None:
        raise UserError(f"{run}: {record['id']!r} is not an example's id; was it written by another version?")
    return found.groupdict()


def _settings(run: Path) -> dict[str, Any]:
    path = run / CONFIG
    try:
        return _flat(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); is {run} the folder of a run?") from error


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}
