"""``ssl4rl graph warmup`` and ``ssl4rl vision warmup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import (
    DatasetOption,
    JsonOption,
    LevelOption,
    ModelOption,
    SetOption,
    TasksOption,
    print_json,
    say_embedded,
    side_of,
)
from ssl4rl.cli.train import default_sources, result_facts, started_run
from ssl4rl.errors import UserError


def warmup(
    context: typer.Context,
    task: TasksOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A recipe (YAML), of which task, model and held-out count.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps, by default 100.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Examples per step, by default 16.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="1e-5; 1e-4 with LoRA; 3e-4 for an embedded model.")
    ] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Teaches a model the form of a reply on gold answers (supervised): for weak models, or as a reference."""
    from ssl4rl.training.recipe_file import load_recipe
    from ssl4rl.training.summary import describe_result
    from ssl4rl.training.warmup import Settings, read_warm_up, warm_up

    side = side_of(context)
    given: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    given = {name: value for name, value in given.items() if value is not None}
    if resume:
        started = started_run(output, "warmup", context)
        if given or task or level or dataset or model or config or set_:
            raise UserError("--resume continues with the run's own recipe and settings; give --output only")
        recipe, settings = read_warm_up(started)
        default_sources(recipe, context, None)  # which refuses a run of another side
    else:
        recipe = load_recipe(
            config, overrides=set_ or (), tasks=task or (), level=level, dataset=dataset, model=model, side=side
        )
        settings = Settings(**given)
        say_embedded(default_sources(recipe, context, dataset), recipe.model.path)
    try:
        run = warm_up(recipe, output, settings, resume=resume)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        return print_json(result_facts(run))
    for line in describe_result(run.summary or {}, run.path):
        typer.echo(line)
    typer.echo(f"go on with: ssl4rl {side} train --model {run.path / 'model'}")
