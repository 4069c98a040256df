"""The ``ssl4rl`` command: assembles the verbs and turns a user's mistake into one line and exit code 2."""

from __future__ import annotations

import sys

import typer

from ssl4rl.cli import attend, compare, data, evaluate, export, log, rescore, show, train
from ssl4rl.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reinforcement learning on self-supervised rewards: no labels, no judges, no verifiers.",
)
graph = typer.Typer(no_args_is_help=True, help="Self-supervised tasks and benchmarks on text-attributed graphs.")
graph.command("train")(train.train)
graph.command("eval")(evaluate.evaluate)
graph.command("show")(show.show)
vision = typer.Typer(no_args_is_help=True, help="Self-supervised tasks and benchmarks on images.")
vision.command("train")(train.train)
vision.command("eval")(evaluate.evaluate)
vision.command("show")(show.show)
vision.command("attend")(attend.attend)
vision.command("export")(export.export)
app.add_typer(graph, name="graph")
app.add_typer(vision, name="vision")
app.add_typer(data.app, name="data")
app.command("log")(log.log)
app.command("rescore")(rescore.rescore)
app.command("compare")(compare.compare)


def main() -> None:
    """Entry point. ``--debug`` anywhere on the line shows the traceback of a user's mistake."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments)
    except (UserError, PermissionError) as error:
        if debug:
            raise
        if isinstance(error, PermissionError):
            error = UserError(f"no permission for {error.filename}; choose another folder or change its rights")
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
