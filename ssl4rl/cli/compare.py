"""``ssl4rl compare RUN_A RUN_B``: evaluations on the same items, paired."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from ssl4rl.evaluation.compare import Comparison
    from ssl4rl.statistics import Estimate

MAX_REPLY = 600
"""Characters of a reply that are shown, its end (where the answer stands)."""


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B ...", help="Folders of evaluations.")],
    changed: Annotated[int, typer.Option(min=0, help="How many of the items that changed to show.")] = 10,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write them to this page: picture, question and both replies.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compares each later evaluation with the first, item by item: the difference, its interval, and what changed."""
    from rich.console import Console

    from ssl4rl.evaluation.compare import compare

    if len(runs) < 2:
        raise UserError("give at least two runs to compare")
    comparisons = [(run, compare(runs[0], run)) for run in runs[1:]]
    console = Console(highlight=False, markup=False)
    if html is not None:
        from ssl4rl.report.page import changed_page

        page = changed_page(runs[0], comparisons, changed)
        try:
            html.write_text(page, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {html}: {error.strerror}; give a file in a folder that exists") from error
        typer.echo(f"the changed items are on {html}", err=True)
    for run, found in comparisons:
        if as_json:
            typer.echo(json.dumps(_row(runs[0], run, found, changed), ensure_ascii=False))
        else:
            _print(console, runs[0], run, found, changed)


def _row(first: Path, second: Path, found: Comparison, changed: int) -> dict[str, Any]:
    row = asdict(found)
    row["changed"] = [{"item": a["item"], "first": a, "second": b} for a, b in found.changed[:changed]]
    return {"runs": [str(first), str(second)], **row}


def _print(console: Console, first: Path, second: Path, found: Comparison, changed: int) -> None:
    from rich.table import Table

    table = Table("run", "accuracy", "95 % interval", "parsed", box=None)
    for run, estimate in ((first, found.first), (second, found.second)):
        table.add_row(str(run), *_shown(estimate))
    console.print(table)
    paired = found.paired
    console.print(
        f"difference {100 * paired.difference:+.1f} points [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}], "
        f"p = {paired.p:.2g} ({paired.test}), {paired.won} won and {paired.lost} lost of {found.shared} shared "
        "questions",
        soft_wrap=True,
    )
    for run, only in ((first, found.only_first), (second, found.only_second)):
        if only:
            console.print(f"{only} questions are in {run} only and left out", soft_wrap=True)
    if found.rows_left_out:
        console.print(
            f"{found.rows_left_out} rotated rows are in one run only and left out: this is about the questions as they "
            "were asked in both",
            soft_wrap=True,
        )
    if found.settings:
        table = Table("setting", str(first), str(second), box=None)
        for key, (a, b) in found.settings.items():
            table.add_row(key, _value(a), _value(b))
        console.print(table)
    from ssl4rl.registry import BENCHMARKS

    side = BENCHMARKS.get(found.benchmark).side if found.benchmark in BENCHMARKS.names() else "graph"
    for a, b in found.changed[:changed]:
        gold = ", ".join(f"{label} ({a['choices'].get(label, '?')})" for label in a["accepted"])
        console.print(f"\n── {a['item']} · right: {a['class']}, {gold}")
        for run, record in ((first, a), (second, b)):
            shown = f"ssl4rl {side} show '{record['id']}'{_dataset(run)}"
            console.print(f"{run}: {record['outcome']} · {shown}", soft_wrap=True)
            console.print(f"→ {record['reply'][-MAX_REPLY:]}", soft_wrap=True)
    if len(found.changed) > changed:
        console.print(f"\n{len(found.changed) - changed} more items changed; --changed N shows more")


def _dataset(run: Path) -> str:
    """What to add to a command for the run's dataset to be found."""
    import yaml

    from ssl4rl.runs import CONFIG

    dataset = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8")).get("dataset")
    return "" if dataset is None else f" --dataset {shlex.quote(dataset)}"


def _shown(estimate: Estimate) -> tuple[str, str, str]:
    return f"{estimate.score:.3f}", f"[{estimate.low:.3f}, {estimate.high:.3f}]", f"{estimate.parsed:.1%}"


def _value(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
