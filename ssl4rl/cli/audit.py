"""``ssl4rl audit``: can a task's reward be had without the task?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, SetOption, knobs_of
from ssl4rl.errors import NotApplicable, UserError

if TYPE_CHECKING:
    from ssl4rl.audit.table import Line
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
    as_json: JsonOption = False,
) -> None:
    """Checks whether a reward can be had without the task; exits with 1 if it can, or if a rule of tasks is broken.

    Without --level, every level that applies to the dataset.
    """
    from ssl4rl.audit.table import audit as audit_tasks

    tasks = _tasks(task, benchmark, level, dataset, settings or [], seed)
    lines = audit_tasks(tasks, examples, lambda line: typer.echo(line, err=True))
    for line in lines:
        if as_json:
            typer.echo(json.dumps(asdict(line), ensure_ascii=False))
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
        UserError: for names that do not exist, or if no level applies.
    """
    from ssl4rl.registry import BENCHMARKS, TASKS

    if (task is None) == (benchmark is None):
        raise UserError("give one of --task NAME and --benchmark NAME")
    kind: Any = TASKS.get(task) if task is not None else BENCHMARKS.get(str(benchmark))
    source = kind.source_kind.load(dataset)
    split, knobs = "train" if task is not None else "test", knobs_of(settings)
    built, refused = [], None
    for each in [level] if level is not None else list(kind.levels):
        try:
            built.append(kind(source, split=split, level=each, knobs=knobs, seed=seed))
        except NotApplicable as error:
            refused = error
    if not built and refused is not None:
        raise refused
    return built


def _print(lines: list[Line]) -> None:
    """A block for each task: verdict, check, split, and what was found."""
    heading = None
    for line in lines:
        if (line.source, line.task) != heading:
            heading = (line.source, line.task)
            typer.secho(f"{line.task} on {line.source}", bold=True)
        typer.secho(f"  {line.verdict:<12}", fg=COLOURS[line.verdict], nl=False)
        typer.echo(f" {line.check:<8} {line.split:<5} {line.found}")
