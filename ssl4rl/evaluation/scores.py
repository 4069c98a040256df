"""What a benchmark's predictions are worth: from the lines of predictions.jsonl to the contents of scores.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import pstdev
from typing import Any

from ssl4rl.answers import lenient_score, normalise
from ssl4rl.errors import UserError
from ssl4rl.example import Outcome, Score
from ssl4rl.runs import PREDICTIONS, read_lines
from ssl4rl.statistics import Estimate, clustered, interval

SCORES = "scores.json"
CHOICES = "choices.json"
"""What may be answered to every item, where that is the same; predictions then do not repeat it."""

MAX_CONFUSION = 60
"""Most classes of a confusion matrix that is written down; past that it is null."""

Prediction = Mapping[str, Any]
"""One line of predictions.jsonl."""

MAX_POSITIONS = 200
"""Most labels whose places are counted; names among a thousand stand at no place."""

_FIELDS = ("item", "id", "reply", "truncated", "answer", "value", "outcome", "accepted", "choices", "class", "chance")
_NO_OPTION, _UNPARSED = "(no option)", "(unparsed)"


def read_predictions(run: Path) -> list[dict[str, Any]]:
    """The predictions of a run, in the order they were written; a torn last line is dropped.

    Raises:
        UserError: if there are none, a line is broken or lacks a field, or an item occurs twice.
    """
    path = run / PREDICTIONS
    if not path.is_file():
        raise UserError(f"{run} has no {PREDICTIONS}; it is not the folder of an evaluation (ssl4rl graph|vision eval)")
    records = list(read_lines(path))
    if not records:
        raise UserError(f"{path} is empty; nothing was answered yet")
    if (run / CHOICES).is_file():
        shared = json.loads((run / CHOICES).read_text(encoding="utf-8"))
        records = [{**record, "choices": shared} for record in records]
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


def question_of(record: Prediction) -> str:
    """The question that a prediction answers; several may answer one, its options in other orders."""
    return str(record.get("question", record["item"]))


def worst(several: Iterable[Score]) -> Score:
    """What a question is worth whose rows have these scores: the least of them, an unparsed one if there is one."""
    return min(several, key=lambda score: (score.value, score.outcome != Outcome.UNPARSED))


def per_question(records: Sequence[Prediction], score: Callable[[Prediction], Score] = score_of) -> dict[str, Score]:
    """Each question's score, in the order of their first rows: right only if every row is (CircularEval)."""
    rows: dict[str, list[Score]] = {}
    for record in records:
        rows.setdefault(question_of(record), []).append(score(record))
    return {question: worst(several) for question, several in rows.items()}


def _lenient(record: Prediction) -> Score:
    return lenient_score(record["reply"], record["accepted"], record["choices"])


def scores(records: Sequence[Prediction]) -> dict[str, Any]:
    """The scores of a benchmark's predictions (at least one).

    ``accuracy`` with its interval counts an unparsed reply as 0, ``accuracy_parsed`` leaves it out, ``lenient`` reads
    the same replies with :func:`ssl4rl.answers.find_choice`. Where several predictions are one question, ``n`` counts
    questions, and one is right only if all its replies are; ``rows`` counts replies. Questions by category: see
    :func:`by_category`. Else ``macro_f1`` is the mean over the classes that occur as gold; an item with several right
    answers that got any of them counts for its own class; ``confusion`` has a row per gold class and a column per
    class, with two more for answers that are no option and for unparsed replies; it is None past 60 classes.
    ``positions`` says of each label how often it was right, how often it was picked, and how often both; its
    ``spread`` is the standard deviation of recall over the labels (Zheng et al. 2024, RStd): 0 where a model is as
    good wherever the right option stands.
    """
    estimate = Estimate.of(list(per_question(records).values()))
    lenient = Estimate.of(list(per_question(records, _lenient).values()))
    positions = _positions(records)
    return {
        "n": estimate.n,
        "rows": len(records),
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
        "chance": _chance(records),
        **(by_category(records) if "category" in records[0] else _by_class(records)),
        "positions": positions,
        "spread": _spread(positions),
    }


def _by_class(records: Sequence[Prediction]) -> dict[str, Any]:
    gold = [record["class"] for record in records]
    said = [_class_picked(record) for record in records]
    per_class = _per_class(gold, said)
    return {
        "macro_f1": sum(row["f1"] for row in per_class) / len(per_class),
        "per_class": per_class,
        "confusion": _confusion(gold, said),
    }


def _chance(records: Sequence[Prediction]) -> float:
    """Of a uniform draw for every row: a question's is the product of its rows'."""
    questions: dict[str, float] = {}
    for record in records:
        questions[question_of(record)] = questions.get(question_of(record), 1.0) * record["chance"]
    return sum(questions.values()) / len(questions)


def by_category(records: Sequence[Prediction]) -> dict[str, Any]:
    """Scores of questions that have categories (MMBench's abilities, SEED-Bench's dimensions).

    ``readings`` has ``vanilla`` (the questions as they were written), ``row_mean`` (all rows as if they were questions
    of their own; the interval is clustered by question) and, where there are rotated rows, ``circular`` (a question is
    right only if all its rows are), which ``accuracy`` is then. A category's ``accuracy`` is read likewise. ``groups``
    have the ``micro`` mean over their questions and the ``macro`` mean over their categories; ``macro`` is the mean
    over all categories and over all groups.
    """
    categories = [
        {"name": name, "group": group, **_category(rows)}
        for (group, name), rows in sorted(_split(records, "group", "category").items())
    ]
    groups = []
    for (name,), rows in sorted(_split(records, "group").items()):
        leaves = [category for category in categories if category["group"] == name]
        if name:
            micro = _mean([score.value for score in per_question(rows).values()])
            macro = {key: _mean([leaf[key] for leaf in leaves]) for key in ("accuracy", "row_mean")}
            row = {"name": name, "categories": len(leaves), "n": sum(leaf["n"] for leaf in leaves), "micro": micro}
            groups.append({**row, "macro": macro["accuracy"], "row_mean": macro["row_mean"]})
    return {
        "readings": readings(records),
        "categories": categories,
        "groups": groups,
        "macro": {
            "categories": _mean([category["accuracy"] for category in categories]),
            "groups": _mean([group["macro"] for group in groups]) if groups else None,
        },
    }


def readings(records: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """``vanilla``, ``row_mean`` and (where there are rotated rows) ``circular``, each with accuracy, interval and n."""
    written = [record for record in records if not record["rotated"]]
    values = [float(record["value"]) for record in records]
    found = {
        "vanilla": _reading([float(record["value"]) for record in written]),
        "row_mean": _reading(values, clustered(values, [question_of(record) for record in records])),
    }
    if len(written) < len(records):
        found["circular"] = _reading([score.value for score in per_question(records).values()])
    return found


def _reading(values: Sequence[float], bounds: tuple[float, float] | None = None) -> dict[str, Any]:
    low, high = bounds or interval(values)
    return {"accuracy": _mean(values), "low": low, "high": high, "n": len(values)}


def _category(rows: Sequence[Prediction]) -> dict[str, Any]:
    values = [score.value for score in per_question(rows).values()]
    return {**_reading(values), "row_mean": _mean([float(record["value"]) for record in rows])}


def _split(records: Sequence[Prediction], *keys: str) -> dict[tuple[str, ...], list[Prediction]]:
    parts: dict[tuple[str, ...], list[Prediction]] = {}
    for record in records:
        parts.setdefault(tuple(record[key] for key in keys), []).append(record)
    return parts


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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
    right, chosen, both = Counter[str](), Counter[str | None](), Counter[str]()
    labels: dict[str, None] = {}
    if len(records[0]["choices"]) > MAX_POSITIONS:
        return []
    for record in records:
        pick = picked(record)
        labels |= dict.fromkeys(record["choices"])
        right.update(record["accepted"])
        chosen[pick] += 1
        both.update(label for label in record["accepted"] if label == pick)
    return [
        {"label": label, "gold": right[label], "picked": chosen[label], "right": both[label]}
        for label in labels
        if right[label] or chosen[label]
    ]


def _spread(positions: Sequence[Mapping[str, Any]]) -> float | None:
    recalls = [row["right"] / row["gold"] for row in positions if row["gold"]]
    return pstdev(recalls) if recalls else None
