"""What a benchmark's predictions are worth: from the lines of predictions.jsonl to the contents of scores.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl4rl.answers import lenient_score, normalise
from ssl4rl.errors import UserError
from ssl4rl.evaluation.statistics import Estimate
from ssl4rl.example import Outcome, Score
from ssl4rl.records import PREDICTIONS, read_lines

SCORES = "scores.json"

MAX_CONFUSION = 60
"""Most classes of a confusion matrix that is written down; past that it is null."""

Prediction = Mapping[str, Any]
"""One line of predictions.jsonl."""

_FIELDS = ("item", "id", "reply", "truncated", "answer", "value", "outcome", "accepted", "choices", "class", "chance")
_NO_OPTION, _UNPARSED = "(no option)", "(unparsed)"


def read_predictions(run: Path) -> list[dict[str, Any]]:
    """The predictions of a run, in the order they were written; a torn last line is dropped.

    Raises:
        UserError: if there are none, a line is broken or lacks a field, or an item occurs twice.
    """
    path = run / PREDICTIONS
    if not path.is_file():
        raise UserError(f"{run} has no {PREDICTIONS}; it is not the folder of an evaluation (ssl4rl graph eval)")
    records = list(read_lines(path))
    if not records:
        raise UserError(f"{path} is empty; nothing was answered yet")
    seen: set[str] = set()
    for number, record in enumerate(records, start=1):
        missing = [field for field in _FIELDS if field not in record]
        if missing:
            raise UserError(f"{path} line {number} lacks {', '.join(missing)}; was it written by another version?")
        if record["item"] in seen:
            raise UserError(f"{path} line {number}: item {record['item']} occurs twice; remove one of its lines")
        seen.add(record["item"])
    return records


def torn(run: Path) -> bool:
    """Whether the last line of a run's predictions was cut off while it was written (a whole one ends the line)."""
    end = (run / PREDICTIONS).read_bytes().rsplit(b"\n", 1)[-1]
    try:
        json.loads(end or b"{}")
    except ValueError:
        return True
    return False


def score_of(record: Prediction) -> Score:
    """The score that a prediction was recorded with."""
    return Score(float(record["value"]), record["answer"], Outcome(record["outcome"]))


def picked(record: Prediction) -> str | None:
    """The label that a prediction's answer is; None if there is no answer, or it is no option's label."""
    if record["answer"] is None:
        return None
    said = normalise(record["answer"])
    return next((label for label in record["choices"] if normalise(label) == said), None)


def scores(records: Sequence[Prediction]) -> dict[str, Any]:
    """The scores of a benchmark's predictions (at least one).

    ``accuracy`` with its interval counts an unparsed reply as 0, ``accuracy_parsed`` leaves it out, ``lenient`` reads
    the same replies with :func:`ssl4rl.answers.find_choice`. ``macro_f1`` is the mean over the classes that occur as
    gold. An item with several right answers that got any of them counts for its own class. ``confusion`` has a row per
    gold class and a column per class, with two more for answers that are no option and for unparsed replies; it is
    None past 60 classes. ``positions`` says of each label how often it was right and how often it was picked.
    """
    estimate = Estimate.of([score_of(record) for record in records])
    lenient = Estimate.of([lenient_score(record["reply"], record["accepted"], record["choices"]) for record in records])
    gold = [record["class"] for record in records]
    said = [_class_picked(record) for record in records]
    per_class = _per_class(gold, said)
    return {
        "n": estimate.n,
        "accuracy": estimate.score,
        "low": estimate.low,
        "high": estimate.high,
        "parsed": estimate.parsed,
        "accuracy_parsed": estimate.score_parsed,
        "low_parsed": estimate.low_parsed,
        "high_parsed": estimate.high_parsed,
        "lenient": {
            "accuracy": lenient.score,
            "low": lenient.low,
            "high": lenient.high,
            "parsed": lenient.parsed,
        },
        "truncated": sum(bool(record["truncated"]) for record in records) / len(records),
        "chance": sum(record["chance"] for record in records) / len(records),
        "macro_f1": sum(row["f1"] for row in per_class) / len(per_class),
        "per_class": per_class,
        "confusion": _confusion(gold, said),
        "positions": _positions(records),
    }


def _class_picked(record: Prediction) -> str:
    label = picked(record)
    if label is None:
        return _UNPARSED if record["answer"] is None else _NO_OPTION
    return str(record["class"] if label in record["accepted"] else record["choices"][label])


def _per_class(gold: Sequence[str], said: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class that occurs as gold, the most frequent first; precision is None if it was never picked."""
    occurs, chosen = Counter(gold), Counter(said)
    right = Counter(true for true, pick in zip(gold, said, strict=True) if true == pick)
    return [
        {
            "name": name,
            "n": n,
            "precision": right[name] / chosen[name] if chosen[name] else None,
            "recall": right[name] / n,
            "f1": 2 * right[name] / (n + chosen[name]),
        }
        for name, n in sorted(occurs.items(), key=lambda row: (-row[1], row[0]))
    ]


def _confusion(gold: Sequence[str], said: Sequence[str]) -> dict[str, Any] | None:
    extra = [_NO_OPTION, _UNPARSED]
    labels = sorted({*gold, *said} - {*extra})
    if len(labels) > MAX_CONFUSION:
        return None
    counts = Counter(zip(gold, said, strict=True))
    rows = [[counts[true, pick] for pick in [*labels, *extra]] for true in labels]
    return {"labels": labels, "columns": [*labels, *extra], "rows": rows}


def _positions(records: Sequence[Prediction]) -> list[dict[str, Any]]:
    right = Counter(label for record in records for label in record["accepted"])
    chosen = Counter(picked(record) for record in records)
    labels = {label: None for record in records for label in record["choices"]}
    return [{"label": label, "gold": right[label], "picked": chosen[label]} for label in labels]
