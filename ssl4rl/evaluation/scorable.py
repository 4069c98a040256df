"""Whether what a run has recorded can be scored."""

from __future__ import annotations

from collections.abc import Sequence

from ssl4rl.errors import UserError
from ssl4rl.records import Prediction
from ssl4rl.runs import Run


def check_scored(predictions: Sequence[Prediction], where: object) -> None:
    """Refuses replies to questions whose right answers are not known.

    Raises:
        UserError: naming ``where`` they are.
    """
    if not any(prediction.accepted for prediction in predictions):
        raise UserError(f"{where} answers questions whose right answers are not known; there is nothing to score")


def check_whole(run: Run, predictions: Sequence[Prediction]) -> None:
    """Refuses a run that was stopped where a question has several rows, as some of them may not be there.

    Raises:
        UserError: saying how to finish it.
    """
    if not run.finished and any(prediction.question is not None for prediction in predictions):
        raise UserError(
            f"{run.path} is not finished, and its questions have several rows each, of which some may be missing; "
            "finish it with --resume"
        )
