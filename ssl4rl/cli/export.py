"""``ssl4rl vision export RUN``: predictions as a table that another toolkit scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="The folder of an evaluation on multiple choice.")],
    output: Annotated[Path, typer.Option("--output", help="The table to write, a .tsv.")],
) -> None:
    """Writes an evaluation's replies as the predictions table of VLMEvalKit, to score them with it."""
    from ssl4rl.export.vlmevalkit import export_predictions
    from ssl4rl.runs import Run

    typer.echo(f"{export_predictions(Run.open(run), output)} predictions written to {output}")
