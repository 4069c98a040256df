"""``ssl4rl graph warmup`` and ``ssl4rl vision warmup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from ssl4rl.cli.train import default_sources, result_facts


def warmup(
    context: typer.Context,
    task: TasksOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A recipe (YAML), of which task, model and held-out count.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimiser steps.")] = 100,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Examples per step.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="1e-5; 1e-4 with LoRA; 3e-4 for an embedded model.")
    ] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Teaches a model the form of a reply on gold answers (supervised): for weak models, or as a reference."""
    from ssl4rl.training.recipe_file import load_recipe

    side = side_of(context)
    recipe = load_recipe(
        config, overrides=set_ or (), tasks=task or (), level=level, dataset=dataset, model=model, side=side
    )
    say_embedded(default_sources(recipe, context, dataset), recipe.model.path)

    from ssl4rl.training.summary import describe_result
    from ssl4rl.training.warmup import Settings, warm_up

    run = warm_up(recipe, output, Settings(steps, batch_size, learning_rate))
    if run.summary is not None:
        if as_json:
            return print_json(result_facts(run))
        for line in describe_result(run.summary, run.path):
            typer.echo(line)
        typer.echo(f"go on with: ssl4rl {side} train --model {run.path / 'model'}")
