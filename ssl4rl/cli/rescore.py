"""``ssl4rl rescore RUN``: the scores of recorded replies, read another way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption


def complete_extraction(incomplete: str) -> list[str]:
    """The extractions, for the shell."""
    from ssl4rl.evaluation.rescore import EXTRACTIONS

    return [name for name in EXTRACTIONS if name.startswith(incomplete)]


def rescore(
    run: Annotated[Path, typer.Argument(help="An evaluation's folder.")],
    extraction: Annotated[
        str,
        typer.Option(
            help="strict: one closed <answer> with a label; lenient: also a name, or an answer in plain words.",
            autocompletion=complete_extraction,
        ),
    ] = "lenient",
    as_json: JsonOption = False,
) -> None:
    """Scores a run's recorded replies again; no model is asked. Writes RUN/scores.EXTRACTION.json."""
    from rich.console import Console
    from rich.table import Table

    from ssl4rl.evaluation.rescore import rescore_run
    from ssl4rl.evaluation.scores import SCORES, torn
    from ssl4rl.runs import PREDICTIONS

    done = rescore_run(run, extraction)
    if torn(run):
        typer.echo(f"the last line of {run / PREDICTIONS} was cut off and is left out", err=True)
    if not (run / SCORES).is_file():
        typer.echo(f"{run} is unfinished: it has no {SCORES} yet; these are the replies so far", err=True)
    if as_json:
        row = {"recorded": done.recorded, extraction: done.scores, "changed": done.changed}
        typer.echo(json.dumps(row, ensure_ascii=False))
        return
    table = Table("", "recorded", extraction, box=None)
    columns = [_shown(done.recorded), _shown(done.scores)]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    Console(highlight=False, markup=False).print(table)
    typer.echo(f"{done.changed} of {done.scores['rows']} replies changed; written to {run}/scores.{extraction}.json")


def _shown(scores: dict[str, Any]) -> dict[str, str]:
    accuracy = f"{scores['accuracy']:.3f} [{scores['low']:.3f}, {scores['high']:.3f}]"
    rows = {"accuracy": accuracy, "parsed": f"{scores['parsed']:.1%}"}
    if "macro_f1" in scores:
        rows["macro F1"] = f"{scores['macro_f1']:.3f}"
    for name, reading in scores.get("readings", {}).items():
        rows[name] = f"{reading['accuracy']:.3f} [{reading['low']:.3f}, {reading['high']:.3f}]"
    return rows
