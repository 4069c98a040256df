"""``ssl4rl log RUN``: the completions that a run wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption
from ssl4rl.errors import UserError


def log(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many completions.")] = 5,
    worst: Annotated[bool, typer.Option("--worst", help="Lowest scores first.")] = False,
    best: Annotated[bool, typer.Option("--best", help="Highest scores first.")] = False,
    step: Annotated[int | None, typer.Option("--step", help="Only those sampled for this step.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what the model replied while it trained: the latest first, or the worst or best."""
    from ssl4rl.runs import COMPLETIONS, read_lines

    if worst and best:
        raise UserError("give --worst or --best, not both")
    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} is not a run: it has no config.yaml")
    records = list(read_lines(run / COMPLETIONS))
    if not records:
        raise UserError(f"{run} has no completions yet")
    if step is not None:
        steps = sorted({record["step"] for record in records})
        records = [record for record in records if record["step"] == step]
        if not records:
            raise UserError(f"{run} has no completions of step {step}; there are those of {_listed(steps)}")
    records.reverse()
    if worst or best:
        # A stable sort: among equals the latest come first.
        records.sort(key=lambda record: record["score"], reverse=best)
    for record in records[:number]:
        typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _shown(record))


def _listed(steps: list[int]) -> str:
    shown = [str(step) for step in steps]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:6], "…", *shown[-5:]])


def _shown(record: dict[str, Any]) -> str:
    target = record["target"] if isinstance(record["target"], str) else json.dumps(record["target"])
    head = f"── step {record['step']} · {record['example']} · {record['outcome']} {record['score']:.2f}"
    return f"{head}\n{record['prompt']}\n→ {record['reply']}\n  (target: {target})\n"
