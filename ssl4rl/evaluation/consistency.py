"""Does a model mean what it answers? The same questions in other forms, and how far its answers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl4rl.evaluation.scores import (
    answered_class,
    beside_model,
    class_of_names,
    items_of,
    items_per_question,
    mean_and_interval,
    per_question,
)
from ssl4rl.records import Prediction


def consistency(predictions: Sequence[Prediction], restated: Mapping[str, Sequence[Prediction]]) -> dict[str, Any]:
    """The content of ``consistency`` in scores.json; ``restated`` has at least one form, all of the same items.

    ``forms`` has a row for each. ``agreement`` is the share of the rows whose prompt or image is another in that
    form (``changed`` of them) that got an allowed answer in both, and the same one by its meaning, not by its letter;
    it is None if none is. ``accuracy`` is over all questions asked again, and ``model_minus_form`` the paired
    difference to the usual form. Over all forms with the usual one, ``agreement`` counts rows that got the same
    answer in every form, and ``worst`` and ``best`` those that were right in every form, and in any.
    """
    first = {prediction.item: prediction for prediction in predictions}
    named = class_of_names(predictions)
    usual, items = per_question(predictions), items_per_question(predictions)
    scores = {name: per_question(others) for name, others in restated.items()}
    forms = {}
    for name, others in restated.items():
        changed = [row for row in others if _shown(row) != _shown(first[row.item])]
        score = beside_model(scores[name], usual, items)
        forms[name] = {
            "changed": len(changed),
            "agreement": _agreement(first, [changed], named) if changed else None,
            **{key: score[key] for key in ("accuracy", "low", "high", "n")},
            "model_minus_form": score["model_minus_baseline"],
        }
    asked = list(next(iter(scores.values())))
    values = [[usual[question].value, *(form[question].value for form in scores.values())] for question in asked]
    shared = [items[question] for question in asked]
    return {
        "n": len(values),
        "forms": forms,
        "agreement": _agreement(first, list(restated.values()), named),
        "worst": mean_and_interval([min(one) for one in values], shared),
        "best": mean_and_interval([max(one) for one in values], shared),
    }


def _shown(prediction: Prediction) -> tuple[str, str]:
    """What tells two prompts apart: the text, and the example's hash, which covers images."""
    return prediction.prompt, prediction.id.hash


def _agreement(
    first: Mapping[str, Prediction], forms: Sequence[Sequence[Prediction]], named: Mapping[str, str]
) -> dict[str, Any]:
    """The share of the items that were answered alike in the usual form and in all of these."""
    answers: dict[str, set[str | None]] = {}
    for row in (row for rows in forms for row in rows):
        usual = first[row.item]
        answers.setdefault(row.item, {_meaning(usual, named)}).add(_meaning(row, named))
    values = [float(len(given) == 1 and None not in given) for given in answers.values()]
    return mean_and_interval(values, [items_of(first[item]) for item in answers])


def _meaning(prediction: Prediction, named: Mapping[str, str]) -> str | None:
    """The class that was answered, whatever its label; None if the answer is not one of those to choose from."""
    return answered_class(prediction, named) if prediction.valid else None
