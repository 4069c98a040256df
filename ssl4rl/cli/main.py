"""The ``ssl4rl`` command: assembles the verbs and turns a user's mistake into one line and exit code 2."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import takewhile
from typing import Annotated

import typer
from typer.models import CommandInfo

from ssl4rl.cli import (
    attend,
    audit,
    calibrate,
    compare,
    controls,
    data,
    docs,
    doctor,
    evaluate,
    export,
    launch,
    log,
    new,
    pull,
    push,
    report,
    rescore,
    show,
    tasks,
    train,
    warmup,
)
from ssl4rl.cli.options import SideCommand, add_checks
from ssl4rl.errors import UserError
from ssl4rl.progress import be_quiet, only_facts
from ssl4rl.registry import SOURCE_KINDS, blame

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reinforcement learning on self-supervised rewards: no labels, no judges, no verifiers.",
)

ANYWHERE = ("--debug", "--quiet")
"""Options that stand anywhere on the line."""

STOPPED = 128
"""Plus its number, the exit code of a program that a signal has ended."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from ssl4rl.version import __version__

        typer.echo(f"ssl4rl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Anywhere on the line: print results and errors only.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Anywhere on the line: print tracebacks.")] = False,
) -> None:
    """Reinforcement learning on self-supervised rewards: no labels, no judges, no verifiers."""


def add_side(side: str, sources: str) -> typer.Typer:
    """Adds the command of a side, with the verbs that every side has."""
    group = typer.Typer(no_args_is_help=True, help=f"Self-supervised tasks and benchmarks on {sources}.")
    group.command("train", cls=SideCommand)(train.train)
    group.command("warmup", cls=SideCommand)(warmup.warmup)
    group.command("eval", cls=SideCommand)(evaluate.evaluate)
    group.command("show", cls=SideCommand)(show.show)
    app.add_typer(group, name=side)
    return group


add_side("graph", "text-attributed graphs").command("attend")(attend.attend_graph)
add_side("vision", "images").command("attend")(attend.attend_image)
app.add_typer(data.app, name="data")
app.command("tasks")(tasks.tasks)
app.command("audit")(audit.audit)
app.command("calibrate")(calibrate.calibrate)
app.command("controls")(controls.controls)
app.command("export")(export.export)
app.add_typer(launch.app, name="launch")
app.command("log")(log.log)
app.add_typer(new.app, name="new")
app.command("push")(push.push)
app.command("pull")(pull.pull)
app.command("report")(report.report)
app.command("rescore")(rescore.rescore)
app.command("compare")(compare.compare)
app.command("docs")(docs.docs)
app.command("doctor")(doctor.doctor)
app.command("schema")(tasks.schema)
add_checks(app)


def _add_side_of_plugin(name: str) -> None:
    """Adds the command of a side that only a registered kind of source has."""
    known = {group.name for group in app.registered_groups} | {command.name for command in app.registered_commands}
    if name in known:
        return
    kinds = [kind for kind in map(SOURCE_KINDS.get, SOURCE_KINDS.names()) if kind.side == name]
    if kinds:
        add_side(name, ", ".join(kind.name for kind in kinds))


def _check_verb(words: Sequence[str]) -> None:
    """Refuses a verb that stands in another place than where it is looked for, naming that.

    Raises:
        UserError: if it does.
    """
    verbs = {group.name: [_name(verb) for verb in _verbs(group.typer_instance)] for group in app.registered_groups}
    top = [_name(verb) for verb in app.registered_commands]
    if not words or words[0] in top or (words[0] in verbs and (len(words) < 2 or words[1] in verbs[words[0]])):
        return
    sought = words[1] if words[0] in verbs else words[0]
    places = [f"ssl4rl {sought}"] if sought in top else []
    places += [f"ssl4rl {name} {sought}" for name in verbs if sought in verbs[name]]
    if places:
        raise UserError(f"there is no ssl4rl {' '.join(words[: 1 + (words[0] in verbs)])}, but {' and '.join(places)}")


def _verbs(group: typer.Typer | None) -> Sequence[CommandInfo]:
    return group.registered_commands if group is not None else ()


def _name(verb: CommandInfo) -> str:
    return verb.name or (verb.callback.__name__ if verb.callback else "")


def main() -> None:
    """Entry point. ``--debug`` shows the traceback of a user's mistake, ``--quiet`` prints no progress."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument not in ANYWHERE]
    be_quiet("--quiet" in sys.argv)
    only_facts("--json" in sys.argv)
    _print_what_can_be()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        if arguments and not arguments[0].startswith("-"):
            _add_side_of_plugin(arguments[0])
            _check_verb(list(takewhile(lambda word: not word.startswith("-"), arguments)))
        app(arguments)
    except (UserError, OSError) as error:
        if debug:
            raise
        typer.echo(f"error: {_sentence(error)}", err=True)
        sys.exit(2)
    except Exception as error:
        said = blame(error)
        if debug or said is None:
            raise
        typer.echo(f"error: {said}; --debug shows all of it", err=True)
        sys.exit(2)
    finally:
        signal.signal(signal.SIGTERM, before)
        be_quiet(False)
        only_facts(False)


def _print_what_can_be() -> None:
    """What an output's encoding lacks is printed as a question mark: on Windows, pipes have a small one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _terminate(number: int, frame: object) -> None:
    """Ends the program as an exception does: what holds a lock lets go of it, and says how to go on."""
    sys.exit(STOPPED + number)


def _sentence(error: UserError | OSError) -> str:
    """What went wrong, in one line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, PermissionError):
        return f"no permission for {error.filename}; choose another folder or change its rights"
    named = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{named}; --debug shows where"


if __name__ == "__main__":
    main()
