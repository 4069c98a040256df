"""``ssl4rl rescore RUN``: the scores of recorded replies, read another way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json


def complete_extraction(incomplete: str) -> list[str]:
    """The extractions, for the shell."""
    from ssl4rl.evaluation.rescore import EXTRACTIONS

    return [name for name in EXTRACTIONS if name.startswith(incomplete)]


def rescore(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="An evaluation's folder.")],
    extraction: Annotated[
        str,
        typer.Option(
            help="strict: one closed <answer> with a label; lenient: also a name, or an answer in plain words.",
            autocompletion=complete_extraction,
        ),
    ] = "lenient",
    as_json: JsonOption = False,
) -> None:
    """Scores a run's recorded replies again, without asking a model. Writes RUN/scores.EXTRACTION.json."""
    from rich.console import Console

    from ssl4rl.evaluation.rescore import rescore_run
    from ssl4rl.records import is_torn
    from ssl4rl.report.tables import print_rescored
    from ssl4rl.runs import PREDICTIONS, SCORES, Run

    run = Run.open(path)
    rescored = rescore_run(run, extraction)
    if is_torn(run.path / PREDICTIONS):
        typer.echo(f"the last line of {path / PREDICTIONS} was cut off and is left out", err=True)
    if not (path / SCORES).is_file():
        typer.echo(f"{path} is unfinished: it has no {SCORES} yet; these are the replies so far", err=True)
    if as_json:
        row = {"recorded": rescored.recorded, extraction: rescored.scores, "changed": rescored.changed}
        print_json(row)
        return
    print_rescored(rescored.recorded, rescored.scores, extraction, Console(highlight=False, markup=False))
    typer.echo(f"{rescored.changed} of {rescored.replies} replies changed; written to {path}/scores.{extraction}.json")
