"""Scoring a run's recorded replies again, strictly or leniently, without asking a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl4rl.answers import lenient_score, score_any_of
from ssl4rl.errors import unknown
from ssl4rl.evaluation.scores import Prediction, read_predictions, scores
from ssl4rl.example import Score
from ssl4rl.runs import RunFolder

EXTRACTIONS: dict[str, Callable[[Prediction], Score]] = {
    "strict": lambda record: score_any_of(record["reply"], record["accepted"]),
    "lenient": lambda record: lenient_score(record["reply"], record["accepted"], record["choices"]),
}
"""How an answer can be read from a reply: as the benchmarks do, or with :func:`ssl4rl.answers.find_choice`."""


@dataclass(frozen=True)
class Rescored:
    """What a run's replies are worth as they were recorded, and read again."""

    extraction: str
    recorded: dict[str, Any]
    """Scores of the predictions as they stand in predictions.jsonl."""
    scores: dict[str, Any]
    """Scores of the same replies, read again; the same keys."""
    changed: int
    """Items whose outcome is another one now."""


def rescore(records: Sequence[Prediction], extraction: str) -> Rescored:
    """Reads every reply again.

    Raises:
        UserError: for an unknown extraction.
    """
    if extraction not in EXTRACTIONS:
        raise unknown("extraction", extraction, EXTRACTIONS)
    again = [(record, EXTRACTIONS[extraction](record)) for record in records]
    changed = sum(record["outcome"] != score.outcome for record, score in again)
    new = [
        {**record, "answer": score.answer, "value": score.value, "outcome": score.outcome.value}
        for record, score in again
    ]
    return Rescored(extraction, scores(records), scores(new), changed)


def rescore_run(run: Path, extraction: str) -> Rescored:
    """Rescores a run and writes RUN/scores.<extraction>.json; its other files stay as they are.

    Raises:
        UserError: for an unknown extraction, a folder that is no evaluation, or broken predictions.
    """
    done = rescore(read_predictions(run), extraction)
    RunFolder.open(run).write_json(f"scores.{extraction}.json", {"extraction": extraction, **done.scores})
    return done
