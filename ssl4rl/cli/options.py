"""Options that several verbs share, with completion of names."""

from __future__ import annotations

from typing import Annotated

import typer


def complete_task(incomplete: str) -> list[str]:
    """Registered tasks, for the shell."""
    from ssl4rl.registry import TASKS

    return [name for name in TASKS.names() if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Registered datasets, for the shell (a folder completes by itself)."""
    from ssl4rl.registry import GRAPHS

    return [name for name in GRAPHS.names() if name.startswith(incomplete)]


def complete_level(context: typer.Context, incomplete: str) -> list[str]:
    """The levels of the task that was named before, for the shell."""
    from ssl4rl.registry import TASKS

    named = context.params.get("task") or context.params.get("tasks")
    name = named[0] if isinstance(named, list | tuple) and named else named
    levels = TASKS.get(name).levels if isinstance(name, str) and name in TASKS.names() else ()
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
