"""``ssl4rl new task``: a plug-in with a task of one's own, to start from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Start a task of your own.")


class Side(StrEnum):
    """What a task asks about."""

    GRAPH = "graph"
    VISION = "vision"


@app.callback()
def new() -> None:
    """Start a task of your own."""


@app.command()
def task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called; its folder has this name, too.")],
    side: Annotated[Side, typer.Option(help="Whether it asks about graphs or images.")] = Side.GRAPH,
) -> None:
    """Write a small package with a task that works, and its test: `new task shared-topic`."""
    from ssl4rl.templates import write_task

    files = write_task(name, side)
    typer.echo(f"wrote {', '.join(map(str, files))}")
    typer.echo(f"to try it: pip install --editable ./{name}; ssl4rl {side} show --task {name}")
    typer.echo(f"to make it yours: {files[3]}, and {files[1]} says what comes next")
