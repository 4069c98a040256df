"""The ``ssl4rl`` command: assembles the verbs and turns a user's mistake into one line and exit code 2."""

from __future__ import annotations

import sys

import typer

from ssl4rl.cli import (
    attend,
    audit,
    calibrate,
    compare,
    controls,
    data,
    docs,
    evaluate,
    export,
    log,
    report,
    rescore,
    show,
    train,
    warmup,
)
from ssl4rl.cli.options import SideCommand
from ssl4rl.errors import UserError
from ssl4rl.registry import SOURCE_KINDS

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reinforcement learning on self-supervised rewards: no labels, no judges, no verifiers.",
)


def add_side(side: str, sources: str) -> typer.Typer:
    """Adds the command of a side, with the verbs that every side has."""
    group = typer.Typer(no_args_is_help=True, help=f"Self-supervised tasks and benchmarks on {sources}.")
    group.command("train", cls=SideCommand)(train.train)
    group.command("warmup", cls=SideCommand)(warmup.warmup)
    group.command("eval", cls=SideCommand)(evaluate.evaluate)
    group.command("show", cls=SideCommand)(show.show)
    app.add_typer(group, name=side)
    return group


add_side("graph", "text-attributed graphs")
vision = add_side("vision", "images")
vision.command("attend")(attend.attend)
app.add_typer(data.app, name="data")
app.command("audit")(audit.audit)
app.command("calibrate")(calibrate.calibrate)
app.command("controls")(controls.controls)
app.command("export")(export.export)
app.command("log")(log.log)
app.command("report")(report.report)
app.command("rescore")(rescore.rescore)
app.command("compare")(compare.compare)
app.command("docs")(docs.docs)


def _add_side_of_plugin(name: str) -> None:
    """Adds the command of a side that only a registered kind of source has."""
    known = {group.name for group in app.registered_groups} | {command.name for command in app.registered_commands}
    if name in known:
        return
    kinds = [kind for kind in map(SOURCE_KINDS.get, SOURCE_KINDS.names()) if kind.side == name]
    if kinds:
        add_side(name, ", ".join(kind.name for kind in kinds))


def main() -> None:
    """Entry point. ``--debug`` anywhere on the line shows the traceback of a user's mistake."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        if arguments and not arguments[0].startswith("-"):
            _add_side_of_plugin(arguments[0])
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
