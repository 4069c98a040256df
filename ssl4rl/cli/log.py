"""``ssl4rl log RUN``: the replies that a run recorded."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json
from ssl4rl.errors import UserError
from ssl4rl.runs import HELDOUT

if TYPE_CHECKING:
    from ssl4rl.records import ReplyRecord
    from ssl4rl.runs import Run


def log(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, of training or an evaluation.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many prompts, with all their replies.")] = 3,
    worst: Annotated[bool, typer.Option("--worst", help="Lowest scores first.")] = False,
    best: Annotated[bool, typer.Option("--best", help="Highest scores first.")] = False,
    step: Annotated[
        int | None, typer.Option("--step", help="Only those sampled for this step (training only).")
    ] = None,
    rungs: Annotated[bool, typer.Option("--rungs", help="Instead, how a curriculum moved between its rungs.")] = False,
    html: Annotated[
        bool,
        typer.Option("--html", help="Instead, write the run's report and open it."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Shows what the model replied, in training or in an evaluation: the latest recorded first, or the worst or best.

    Replies to one prompt stand below it together.
    """
    from ssl4rl.cli.report import write
    from ssl4rl.report.replies import by_example, replies_text
    from ssl4rl.report.rungs import rung_lines, rungs_of
    from ssl4rl.runs import Run

    if (html or rungs) and (worst or best or step is not None or (html and rungs)):
        raise UserError("--html and --rungs each show something else; leave out --worst, --best and --step")
    if html:
        page = write([path], None)
        if as_json:
            return print_json({"report": str(page)})
        typer.echo(f"wrote {page}")
        # Not typer.launch, which lets the desktop's opener complain where there is no desktop.
        webbrowser.open(page.resolve().as_uri())
        return
    if rungs:
        if as_json:
            return print_json(*map(asdict, rungs_of(Run.open(path))))
        for line in rung_lines(Run.open(path)):
            typer.echo(line)
        return

    if worst and best:
        raise UserError("give --worst or --best, not both")
    records = list(_records(Run.open(path), step))
    records.reverse()
    if worst or best:
        # The sort is stable: among equals the latest come first.
        records.sort(key=lambda record: record.score, reverse=best)
    groups = by_example(records)[:number]
    if as_json:
        return print_json(*(record.line() for group in groups for record in group))
    for group in groups:
        typer.echo(replies_text(group))


def _records(run: Run, step: int | None) -> Sequence[ReplyRecord]:
    """The recorded replies, oldest first; of training, those of one step if it is given."""
    if run.is_evaluation:
        if step is not None:
            raise UserError(f"{run.path} is an evaluation, which has no steps; leave out --step")
        return run.replies()
    if run.is_warmup:
        raise UserError(f"{run.path} is a warm start, which samples no replies; its held-out ones are in {HELDOUT}")
    completions = run.completions()
    if not completions:
        raise UserError(f"{run.path} has no completions yet")
    if step is None:
        return completions
    of_step = [completion for completion in completions if completion.step == step]
    if not of_step:
        steps = sorted({completion.step for completion in completions})
        raise UserError(f"{run.path} has no completions of step {step}; there are those of {_listed(steps)}")
    return of_step


def _listed(steps: list[int]) -> str:
    shown = [str(step) for step in steps]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:6], "…", *shown[-5:]])
