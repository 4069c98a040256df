"""From the predictions of an evaluation to the content of its scores.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import pstdev
from typing import Any

from ssl4rl import answers
from ssl4rl.answers import Score, normalise
from ssl4rl.evaluation.labels import balanced_accuracy, calibration, hallucinated
from ssl4rl.evaluation.ranking import is_ranking, queries_of, ranking_scores
from ssl4rl.lenient import lenient_score
from ssl4rl.records import Prediction
from ssl4rl.statistics import Clusters, Estimate, PairedDifference

MAX_CONFUSION = 60
"""Most classes for which a confusion matrix is written; with more it is null."""
MAX_POSITIONS = 200
"""Most labels that are counted one by one; names among a thousand have no position."""

_NO_OPTION, _UNPARSED = "(no option)", "(unparsed)"


def recorded(prediction: Prediction) -> Score:
    """The score that a prediction was recorded with."""
    return prediction.verdict


def lenient(prediction: Prediction) -> Score:
    """The score of a prediction's reply under the lenient reading."""
    return lenient_score(prediction.reply, prediction.accepted, prediction.choices)


def picked(prediction: Prediction) -> str | None:
    """The label that a prediction's answer is; None if there is no answer, or it is not an option's label."""
    if prediction.answer is None:
        return None
    answer = normalise(prediction.answer)
    return next((label for label in prediction.choices if normalise(label) == answer), None)


def question_of(prediction: Prediction) -> str:
    """The question that a prediction answers; several predictions may share one, its options in different orders."""
    return prediction.item if prediction.question is None else prediction.question


def items_of(prediction: Prediction) -> tuple[str, ...]:
    """The nodes, pair or images that a prediction is about; its question where they are not known (older runs)."""
    return prediction.items or (question_of(prediction),)


def items_per_question(predictions: Sequence[Prediction]) -> dict[str, set[str]]:
    """What each question is about, by which its score is clustered; where candidates are ranked, the edge."""
    if is_ranking(predictions):
        return {query.name: {query.edge} for query in queries_of(predictions)}
    items: dict[str, set[str]] = {}
    for prediction in predictions:
        items.setdefault(question_of(prediction), set()).update(items_of(prediction))
    return items


def worst(scores: Iterable[Score]) -> Score:
    """The lowest of the scores, of those at 0 one that was not valid: what a question asked several times is worth."""
    return min(scores, key=lambda score: (score.value, score.parsed, score.valid))


def per_question(
    predictions: Sequence[Prediction], score: Callable[[Prediction], Score] = recorded
) -> dict[str, Score]:
    """Each question's score, in order of first appearance; right only if all its rows are (CircularEval).

    Where its rows are candidates to be ranked, it is right if the right one comes first, whatever ``score`` says.
    """
    if is_ranking(predictions):
        queries = queries_of(predictions)
        return {query.name: Score.of(float(query.rank <= 1), f"rank {query.rank:g}") for query in queries}
    rows: dict[str, list[Score]] = {}
    for prediction in predictions:
        rows.setdefault(question_of(prediction), []).append(score(prediction))
    return {question: worst(scores) for question, scores in rows.items()}


def score_labels(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Score]:
    """Each question's score if these labels had been the replies to its rows."""
    reply = {row.item: f"<answer>{label}</answer>" for row, label in zip(predictions, labels, strict=True)}
    return per_question(predictions, lambda row: answers.score(reply[row.item], row.scoring))


def scores(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The scores of a benchmark's predictions (at least one).

    ``accuracy`` with its interval counts an unparsed or invalid reply as 0, ``accuracy_parsed`` leaves out the unparsed
    ones, and ``lenient`` reads the same replies leniently. Where several predictions belong to one question, ``n``
    counts questions, and a question is right only if all its replies are; ``rows`` counts replies. Intervals are
    clustered by the pair or the images that questions share.

    ``hallucinated`` and ``calibration`` (None without likelihoods): :mod:`ssl4rl.evaluation.labels`.
    Questions with categories: see :func:`by_category`. For all others ``macro_f1`` and ``balanced_accuracy``, the mean
    recall, are means over the classes that occur as gold; an item with several right answers that got any of them
    counts for its own class. ``confusion`` has a row per gold class and a column per class, plus two for answers that
    are no option and for unparsed replies; it is None for more than 60 classes.

    Candidates to be ranked: see :func:`ssl4rl.evaluation.ranking.ranking_scores`, which is ``ranking``; ``n`` counts
    queries, and ``accuracy`` is Hits@1.

    ``positions`` counts, for each label, how often it was right, how often it was picked, and how often both;
    ``spread`` is the standard deviation of recall over the labels (RStd, Zheng et al. 2024): 0 if a model does equally
    well wherever the right option is.
    """
    items = list(items_per_question(predictions).values())
    estimate = Estimate.of(list(per_question(predictions).values()), items)
    read_leniently = Estimate.of(list(per_question(predictions, lenient).values()), items)
    positions = _positions(predictions)
    found = {
        "n": estimate.n,
        "rows": len(predictions),
        "accuracy": estimate.score,
        "low": estimate.low,
        "high": estimate.high,
        "parsed": estimate.parsed,
        "valid": estimate.valid,
        "accuracy_parsed": estimate.score_parsed,
        "low_parsed": estimate.low_parsed,
        "high_parsed": estimate.high_parsed,
        "lenient": {
            "accuracy": read_leniently.score,
            "low": read_leniently.low,
            "high": read_leniently.high,
            "parsed": read_leniently.parsed,
        },
        "truncated": sum(prediction.truncated for prediction in predictions) / len(predictions),
        "hallucinated": hallucinated(predictions),
        "calibration": calibration(predictions),
        "chance": _chance(predictions),
        **(by_category(predictions) if _has_categories(predictions) else _by_class(predictions)),
        "positions": positions,
        "spread": _spread(positions),
    }
    return found | _of_ranking(predictions) if is_ranking(predictions) else found


def _has_categories(predictions: Sequence[Prediction]) -> bool:
    return predictions[0].category is not None and not is_ranking(predictions)


def _of_ranking(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """What is different where candidates are ranked: the metrics, and Hits@1 as accuracy, clustered by edge."""
    ranking = ranking_scores(queries_of(predictions))
    first = ranking["hits"]["1"]
    of_queries = {"accuracy": first["value"], "low": first["low"], "high": first["high"]}
    parsed = {"accuracy_parsed": first["value"], "low_parsed": first["low"], "high_parsed": first["high"]}
    return {**of_queries, **parsed, "chance": ranking["chance"]["hits"]["1"], "ranking": ranking}


def unscored(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """What can be said of predictions where the right answers are not known; ``accuracy`` is None."""
    n = len(predictions)
    return {
        "n": len({question_of(prediction) for prediction in predictions}),
        "rows": n,
        **dict.fromkeys(("accuracy", "low", "high")),
        "parsed": sum(prediction.parsed for prediction in predictions) / n,
        "valid": sum(prediction.valid for prediction in predictions) / n,
        "truncated": sum(prediction.truncated for prediction in predictions) / n,
    }


def beside_model(
    baseline: Mapping[str, Score], model: Mapping[str, Score], items: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """A baseline's accuracy, and by how much the model is better on the same questions, which are about ``items``."""
    values, shared = [score.value for score in baseline.values()], [items[question] for question in baseline]
    paired = PairedDifference.of(values, [model[question].value for question in baseline], shared)
    gain = {"difference": paired.difference, "low": paired.low, "high": paired.high}
    return {**mean_and_interval(values, shared), "model_minus_baseline": gain}


def _by_class(predictions: Sequence[Prediction]) -> dict[str, Any]:
    gold = [prediction.class_name for prediction in predictions]
    named = class_of_names(predictions)
    predicted = [answered_class(prediction, named) for prediction in predictions]
    per_class = _per_class(gold, predicted)
    return {
        "macro_f1": sum(row["f1"] for row in per_class) / len(per_class),
        "balanced_accuracy": balanced_accuracy(per_class),
        "per_class": per_class,
        "confusion": _confusion(gold, predicted),
    }


def _chance(predictions: Sequence[Prediction]) -> float:
    """Of uniform draws: a question with several rows is right by chance if all of them are."""
    questions: dict[str, float] = {}
    for prediction in predictions:
        question = question_of(prediction)
        questions[question] = questions.get(question, 1.0) * prediction.chance
    return _mean(list(questions.values()))


def by_category(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Scores of questions that have categories (MMBench's abilities, SEED-Bench's dimensions).

    ``readings`` has ``vanilla`` (the questions as they were written), ``row_mean`` (every row as if it were a question
    of its own) and, where there are rotated rows, ``circular`` (a question is
    right only if all its rows are), which is then the ``accuracy``. A category's ``accuracy`` is read the same way.
    ``groups`` have the ``micro`` mean over their questions and the ``macro`` mean over their categories; ``macro`` is
    the mean over all categories and over all groups.
    """
    categories = [
        {"name": name, "group": group, **_category(rows)}
        for (group, name), rows in sorted(_split(predictions, "group", "category").items())
    ]
    groups = []
    for (name,), rows in sorted(_split(predictions, "group").items()):
        if name:
            leaves = [category for category in categories if category["group"] == name]
            groups.append(
                {
                    "name": name,
                    "categories": len(leaves),
                    "n": sum(leaf["n"] for leaf in leaves),
                    "micro": _mean([score.value for score in per_question(rows).values()]),
                    "macro": _mean([leaf["accuracy"] for leaf in leaves]),
                    "row_mean": _mean([leaf["row_mean"] for leaf in leaves]),
                }
            )
    return {
        "readings": readings(predictions),
        "categories": categories,
        "groups": groups,
        "macro": {
            "categories": _mean([category["accuracy"] for category in categories]),
            "groups": _mean([group["macro"] for group in groups]) if groups else None,
        },
    }


def readings(predictions: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """``vanilla``, ``row_mean`` and (with rotated rows) ``circular``, each with accuracy, interval and n."""
    written = [prediction for prediction in predictions if not prediction.rotated]
    by_name = {"vanilla": _of_rows(written), "row_mean": _of_rows(predictions)}
    if len(written) < len(predictions):
        by_name["circular"] = _of_questions(predictions)
    return by_name


def mean_and_interval(values: Sequence[float], items: Sequence[Collection[str]]) -> dict[str, Any]:
    """``accuracy``, ``low``, ``high`` and ``n`` of scores, for JSON; the interval is clustered by ``items``."""
    low, high = Clusters(items).interval(values)
    return {"accuracy": _mean(values), "low": low, "high": high, "n": len(values)}


def _of_rows(rows: Sequence[Prediction]) -> dict[str, Any]:
    return mean_and_interval([row.score for row in rows], [items_of(row) for row in rows])


def _of_questions(rows: Sequence[Prediction]) -> dict[str, Any]:
    scores = [score.value for score in per_question(rows).values()]
    return mean_and_interval(scores, list(items_per_question(rows).values()))


def _category(rows: Sequence[Prediction]) -> dict[str, Any]:
    return {**_of_questions(rows), "row_mean": _mean([row.score for row in rows])}


def _split(predictions: Sequence[Prediction], *fields: str) -> dict[tuple[str, ...], list[Prediction]]:
    """The predictions by the values of these fields, an empty string where there is none."""
    parts: dict[tuple[str, ...], list[Prediction]] = {}
    for prediction in predictions:
        key = tuple(getattr(prediction, field) or "" for field in fields)
        parts.setdefault(key, []).append(prediction)
    return parts


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def class_of_names(predictions: Sequence[Prediction]) -> dict[str, str]:
    """Where labels are the names of classes, of which one may have several: the class of each name that is right."""
    found: dict[str, str] = {}
    for prediction in predictions:
        for label in prediction.accepted:
            if prediction.choices.get(label) == label:
                found.setdefault(label, prediction.class_name)
    return found


def answered_class(prediction: Prediction, named: Mapping[str, str]) -> str:
    """The class that a prediction's answer stands for; the right one for any of several right answers.

    ``named`` has the classes of names, as :func:`class_of_names` finds them.
    """
    label = picked(prediction)
    if label is None:
        return _UNPARSED if prediction.answer is None else _NO_OPTION
    if label in prediction.accepted:
        return prediction.class_name
    return named.get(prediction.choices[label], prediction.choices[label])


def _per_class(gold: Sequence[str], predicted: Sequence[str]) -> list[dict[str, Any]]:
    """One row per class that occurs as gold, the most frequent first; precision is None if it was never picked."""
    occurs, chosen = Counter(gold), Counter(predicted)
    right = Counter(true for true, pick in zip(gold, predicted, strict=True) if true == pick)
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


def _confusion(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, Any] | None:
    extra = [_NO_OPTION, _UNPARSED]
    labels = sorted({*gold, *predicted} - {*extra})
    if len(labels) > MAX_CONFUSION:
        return None
    counts = Counter(zip(gold, predicted, strict=True))
    rows = [[counts[true, pick] for pick in [*labels, *extra]] for true in labels]
    return {"labels": labels, "columns": [*labels, *extra], "rows": rows}


def _positions(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    if len(predictions[0].choices) > MAX_POSITIONS:
        return []
    right, chosen, both = Counter[str](), Counter[str | None](), Counter[str]()
    labels: dict[str, None] = {}  # in the order in which they are offered
    for prediction in predictions:
        pick = picked(prediction)
        labels |= dict.fromkeys(prediction.choices)
        right.update(prediction.accepted)
        chosen[pick] += 1
        both.update(label for label in prediction.accepted if label == pick)
    return [
        {"label": label, "gold": right[label], "picked": chosen[label], "right": both[label]}
        for label in labels
        if right[label] or chosen[label]
    ]


def _spread(positions: Sequence[Mapping[str, Any]]) -> float | None:
    recalls = [row["right"] / row["gold"] for row in positions if row["gold"]]
    return pstdev(recalls) if recalls else None
