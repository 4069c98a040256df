"""Options that several verbs share, with completion of names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from ssl4rl.errors import UserError


def knobs_of(settings: list[str]) -> dict[str, Any]:
    """``--set task.KNOB=VALUE`` as knobs.

    Raises:
        UserError: for a setting of another form.
    """
    from ssl4rl.training.config import parse_yaml

    knobs: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key.startswith("task."):
            raise UserError(f"--set {setting!r}: write it as task.KNOB=VALUE")
        knobs[key.removeprefix("task.")] = parse_yaml(text, f"--set {key}")
    return knobs


def complete_task(incomplete: str) -> list[str]:
    """Registered tasks, for the shell."""
    from ssl4rl.registry import TASKS

    return [name for name in TASKS.names() if name.startswith(incomplete)]


def complete_benchmark(incomplete: str) -> list[str]:
    """Registered benchmarks, for the shell."""
    from ssl4rl.registry import BENCHMARKS

    return [name for name in BENCHMARKS.names() if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Registered datasets, for the shell (a folder completes by itself)."""
    from ssl4rl.registry import GRAPHS

    return [name for name in GRAPHS.names() if name.startswith(incomplete)]


def complete_level(context: typer.Context, incomplete: str) -> list[str]:
    """The levels of the task or benchmark that was named before, for the shell."""
    from ssl4rl.registry import BENCHMARKS, TASKS

    named = context.params.get("task") or context.params.get("tasks")
    name = named[0] if isinstance(named, list | tuple) and named else named
    levels: Iterable[str] = TASKS.get(name).levels if isinstance(name, str) and name in TASKS.names() else ()
    benchmark = context.params.get("benchmark")
    if isinstance(benchmark, str) and benchmark in BENCHMARKS.names():
        levels = BENCHMARKS.get(benchmark).levels
    return [level for level in levels if level.startswith(incomplete)]


DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME|FOLDER",
        help="A registered dataset or a folder of your own; the embedded graph by default.",
        autocompletion=complete_dataset,
    ),
]
LevelOption = Annotated[
    str | None,
    typer.Option("--level", help="A named bundle of knobs, from easy to hard.", autocompletion=complete_level),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, such as task.num_hops=2 (repeatable)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
