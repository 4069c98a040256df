"""``ssl4rl audit``: can a task's reward be had without the task?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, SetOption, knobs_of, named_kind, print_json
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.audit.table import Line
    from ssl4rl.inference.engines import Engine
    from ssl4rl.source import Source
    from ssl4rl.tasks import AnyTask

COLOURS = {"failed": "red", "passed": "green", "not testable": "yellow", "reported": "cyan"}


def audit(
    task: Annotated[str | None, typer.Option(help="Which task.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Or which benchmark.")] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    settings: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The examples' seed.")] = 0,
    examples: Annotated[int, typer.Option(min=1, help="How many examples of each level.")] = 2000,
    trained_on: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="A dataset that a model was trained on: is what is asked here in there?"
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A folder or a hub name: what its replies rest on, asked on 100 examples.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Checks whether a reward can be had without the task; exits with 1 if it can, or if a rule of tasks is broken.

    Without --level, every level that applies to the dataset.
    """
    from ssl4rl.audit.table import audit as audit_tasks

    tasks = _tasks(task, benchmark, level, dataset, settings or [], seed)
    lines = audit_tasks(
        tasks,
        examples,
        lambda line: typer.echo(line, err=True),
        trained_on=None if trained_on is None else _trained_on(trained_on, tasks[0]),
        engine=None if model is None else _engine(model, tasks[0]),
    )
    for line in lines:
        if as_json:
            print_json(asdict(line))
    if not as_json:
        _print(lines)
    failed = sum(line.verdict == "failed" for line in lines)
    if not as_json:
        typer.echo(f"{failed} failed" if failed else "nothing failed")
    raise typer.Exit(1 if failed else 0)


def _tasks(
    task: str | None, benchmark: str | None, level: str | None, dataset: str | None, settings: list[str], seed: int
) -> list[AnyTask]:
    """The task or benchmark at the level, or at all that apply.

    Raises:
        UserError: for names that do not exist, if no level applies, or if the data have no answers.
    """
    if (task is None) == (benchmark is None):
        raise UserError("give one of --task NAME and --benchmark NAME")
    kind, split = named_kind(task, benchmark)
    source, knobs = kind.source_kind.load(dataset), knobs_of(settings)
    built = [] if level is not None else list(kind.at_every_level(source, split=split, knobs=knobs, seed=seed))
    # Where no level applies, the default one says why.
    tasks = built or [kind(source, split=split, level=level, knobs=knobs, seed=seed)]
    if not all(getattr(each, "has_answers", True) for each in tasks):
        raise UserError(f"{source.name} has no answers, so there is no reward to audit")
    return tasks


def _trained_on(name: str, task: AnyTask) -> Source:
    """The dataset of that name or path, of the kind that is trained on at the task's side."""
    from ssl4rl.registry import SOURCE_KINDS

    kinds = [SOURCE_KINDS.get(kind) for kind in SOURCE_KINDS.names()]
    side = task.source_kind.side
    source: Source = next(kind for kind in kinds if kind.side == side and kind.default_task is not None).load(name)
    return source


def _engine(model: str, task: AnyTask) -> Engine:
    """The model, ready to reply.

    Raises:
        UserError: if it cannot be loaded, or reads no images and the task shows some.
    """
    from ssl4rl.inference.engines import open_engine

    engine = open_engine("auto", model)
    if task.source_kind.shows_images and engine.files is not None:
        engine.files.check_reads_images()
    return engine


def _print(lines: list[Line]) -> None:
    """A block for each task: verdict, check, split, and what was found."""
    heading = None
    for line in lines:
        if (line.source, line.task) != heading:
            heading = (line.source, line.task)
            typer.secho(f"{line.task} on {line.source}", bold=True)
        typer.secho(f"  {line.verdict:<12}", fg=COLOURS[line.verdict], nl=False)
        typer.echo(f" {line.check:<9} {line.split:<5} {line.found}")
