"""``ssl4rl compare RUN_A RUN_B``: evaluations on the same items, paired."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json
from ssl4rl.errors import UserError


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B ...", help="Folders of evaluations.")],
    changed: Annotated[int, typer.Option(min=0, help="How many of the changed items to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Compares each later evaluation with the first, item by item: the difference, its interval, and what changed."""
    from rich.console import Console

    from ssl4rl.evaluation import compare as comparing
    from ssl4rl.report.comparison import print_comparison
    from ssl4rl.runs import Run

    if len(runs) < 2:
        raise UserError("give at least two runs to compare")
    first, *later = [Run.open(path) for path in runs]
    comparisons = [(run, comparing.compare(first, run)) for run in later]
    console = Console(highlight=False, markup=False)
    for run, comparison in comparisons:
        if as_json:
            row = comparing.as_json(comparison, (first, run), changed)
            print_json(row)
        else:
            print_comparison(console, first, run, comparison, changed)
