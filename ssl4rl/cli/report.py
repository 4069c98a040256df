"""``ssl4rl report RUN…``: all that runs recorded, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json
from ssl4rl.errors import UserError

REPLIES = 5000
"""Most replies on a page by default; a browser filters this many without a pause."""


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MARKDOWN = "md"


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The page; report.html in the first run by default.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="A page, or Markdown with its figures beside it.")] = Form.HTML,
    replies: Annotated[int, typer.Option("--replies", min=0, help="Most replies on the page.")] = REPLIES,
    as_json: JsonOption = False,
) -> None:
    """Writes what runs recorded to one page that needs no network: results, curves, replies, recipe."""
    written = write(runs, output, form, replies)
    if as_json:
        return print_json({"report": str(written)})
    typer.echo(f"wrote {written}")


def write(runs: Sequence[Path], output: Path | None, form: Form = Form.HTML, replies: int = REPLIES) -> Path:
    """Writes the report and returns where.

    Raises:
        UserError: if a folder is not a run, cannot be read or is given twice, or the file cannot be written.
    """
    from ssl4rl.report.page import make_report, write_report
    from ssl4rl.runs import Run

    if len({path.resolve() for path in runs}) < len(runs):
        raise UserError("the same run is given twice")
    target = output or runs[0] / f"report.{form}"
    if target.is_dir():
        raise UserError(f"{target} is a folder; --output names the file")
    opened = [Run.open(path) for path in runs]
    try:
        report = make_report(opened, replies)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Files of runs that another version wrote, or that were edited, may lack or hold anything.
        what = f"{type(error).__name__}: {error}"
        named = " or ".join(map(str, runs))
        raise UserError(f"{named} cannot be reported ({what}); was it written by another version?") from error
    write_report(report, target, form)
    return target
