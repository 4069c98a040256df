"""Scoring a run's recorded replies again, strictly or leniently, without asking a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl import answers
from ssl4rl.answers import Score
from ssl4rl.errors import unknown
from ssl4rl.evaluation.samples import first_replies, sample_scores
from ssl4rl.evaluation.scorable import check_scored, check_whole
from ssl4rl.evaluation.scores import lenient, scores
from ssl4rl.lock import locked
from ssl4rl.records import Prediction
from ssl4rl.runs import Run


def strict(prediction: Prediction) -> Score:
    """The score of a prediction's reply, by the call that was recorded with it."""
    return answers.score(prediction.reply, prediction.scoring)


EXTRACTIONS: dict[str, Callable[[Prediction], Score]] = {"strict": strict, "lenient": lenient}
"""The ways to read an answer from a reply: as training rewards it, or with :mod:`ssl4rl.lenient`."""


@dataclass(frozen=True)
class Rescored:
    """A run's scores as they were recorded and after reading its replies again."""

    extraction: str
    recorded: dict[str, Any]
    """Scores of the predictions as predictions.jsonl has them."""
    scores: dict[str, Any]
    """Scores of the same replies, read again; the same keys."""
    changed: int
    """Number of replies whose outcome changed."""
    replies: int
    """Number of replies, all samples counted."""


def rescore(predictions: Sequence[Prediction], extraction: str) -> Rescored:
    """Reads every reply again.

    Raises:
        UserError: for an unknown extraction.
    """
    if extraction not in EXTRACTIONS:
        raise unknown("extraction", extraction, EXTRACTIONS)
    again, changed = [], 0
    for prediction in predictions:
        score = EXTRACTIONS[extraction](prediction)
        changed += score.outcome != prediction.outcome
        verdict = {"answer": score.answer, "score": score.value, "outcome": score.outcome}
        again.append(prediction.model_copy(update=verdict))
    return Rescored(extraction, _scores(predictions), _scores(again), changed, len(predictions))


def _scores(replies: Sequence[Prediction]) -> dict[str, Any]:
    samples = sample_scores(replies)
    return {**scores(first_replies(replies)), **({} if samples is None else {"samples": samples})}


def rescore_run(run: Run, extraction: str) -> Rescored:
    """Scores a run again and writes scores.<extraction>.json into it; its other files stay as they are.

    Raises:
        UserError: for an unknown extraction, a run that is not an evaluation, or broken predictions.
    """
    with locked(run.path):
        replies = run.predictions(every=True)
        check_scored(replies, run.path)
        check_whole(run, replies)
        rescored = rescore(replies, extraction)
        run.write_json(f"scores.{extraction}.json", {"extraction": extraction, **rescored.scores})
    return rescored
