"""``ssl4rl launch ray``: training on the workers of a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Training on a cluster.")


@app.callback()
def launch() -> None:
    """Training on a cluster."""


@app.command(
    "ray",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="For example: ssl4rl launch ray --workers 8 graph train --task link --output RUN",
)
def ray(
    context: typer.Context,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="How many, each with a GPU of the cluster if it has any.")
    ],
) -> None:
    """Runs a training command on workers of Ray Train, as torchrun does in processes; the rest of the line is it."""
    from ssl4rl.training.ray_launch import launch_on_ray

    raise typer.Exit(launch_on_ray(_ssl4rl, context.args, workers))


def _ssl4rl(arguments: list[str]) -> None:
    from ssl4rl.cli.main import app

    app(arguments)
