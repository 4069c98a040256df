"""``ssl4rl calibrate``: which levels of a task a model can learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, ModelOption, SetOption, TasksOption, print_json
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.training.calibrate import Difficulty
    from ssl4rl.training.recipe import TaskEntry

HEADING = f"{'level':<34} {'score':<22} {'valid':>5} {'tokens':>6} {'useful groups':<22} {'s each':>6}  verdict"


def calibrate(
    task: TasksOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    config: Annotated[Path | None, typer.Option("--config", help="A recipe (YAML); its sampling is used.")] = None,
    set_: SetOption = None,
    groups: Annotated[
        int, typer.Option("--groups", min=2, help="Groups of each level; fewer where the verdict is certain.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Samples groups as training does and says which levels a model can learn from: those whose rewards differ.

    Without --level, every level that applies to the dataset. Nothing is trained or written.
    """
    from ssl4rl.training.calibrate import at_every_level, recommended
    from ssl4rl.training.calibrate import calibrate as calibrate_recipe
    from ssl4rl.training.recipe_file import load_recipe, side_of_recipe

    if not task and config is None:
        raise UserError("say what to calibrate: --task NAME (repeatable), or --config RECIPE")
    recipe = load_recipe(
        config,
        overrides=set_ or (),
        tasks=task or (),
        level=level,
        dataset=dataset,
        model=model,
        side=side_of_recipe(task or (), config),
    )
    found: list[Difficulty] = []
    for each in calibrate_recipe(at_every_level(recipe), groups, lambda line: typer.echo(line, err=True)):
        if as_json:
            print_json(each.as_dict())
        else:
            if not found:
                typer.secho(HEADING, bold=True)
            typer.echo(_row(each))
        found.append(each)
    if not as_json:
        _recommend(recommended(found))


def _row(found: Difficulty) -> str:
    score = f"{found.score.score:.2f} [{found.score.low:.2f}, {found.score.high:.2f}]"
    useful = f"{found.useful:.2f} [{found.useful_low:.2f}, {found.useful_high:.2f}] of {found.groups}"
    seconds = f"{found.seconds:.1f}" if found.seconds is not None else "–"
    valid = f"{100 * found.score.valid:.0f} %"
    return f"{found.label:<34} {score:<22} {valid:>5} {found.tokens:>6.0f} {useful:<22} {seconds:>6}  {found.verdict}"


def _recommend(entries: list[TaskEntry]) -> None:
    """The levels to train on, as lines of a recipe."""
    if not entries:
        typer.echo(
            "no level has enough groups to learn from: see the verdicts; for replies without a valid answer try --set "
            "task.reasoning=false or ssl4rl graph|vision warmup"
        )
        return
    typer.echo("\n# the levels whose useful groups cost least, for a recipe:\ntasks:")
    for entry in entries:
        fields = {"name": entry.name, "dataset": entry.dataset, "level": entry.level, "knobs": entry.knobs}
        typer.echo("  - " + json.dumps({key: value for key, value in fields.items() if value not in (None, {})}))
