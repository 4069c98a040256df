"""``ssl4rl graph train`` and ``ssl4rl vision train``: train a model and say what it learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, LevelOption, SetOption, complete_task, of_side, say_embedded, side_of
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.training.recipe import Recipe


def train(
    context: typer.Context,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="A task; several make a mixture.", autocompletion=complete_task),
    ] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A folder or a hub name; the embedded one by default.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A recipe (YAML).")] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe and measure prompts; write nothing.")
    ] = False,
) -> None:
    """Trains a model by GRPO on the rewards that the graph or the pictures themselves provide."""
    from ssl4rl.registry import TASKS
    from ssl4rl.training.recipe import load_recipe

    if resume:
        if output is None:
            raise UserError("--resume needs the run to go on with: --output RUN")
        if task or level or dataset or model or config:
            raise UserError("--resume goes on with the run's own recipe; only --set can be given with it")
        config = output / "config.yaml"
        if not config.is_file():
            raise UserError(f"{output} is not a run: it has no config.yaml")
    side = side_of(context)
    recipe = load_recipe(
        config, overrides=set_ or (), tasks=task or (), level=level, dataset=dataset, model=model, side=side
    )
    for entry in recipe.tasks:
        of_side(TASKS.get(entry.name), context)
    if not resume:
        say_embedded(side, recipe.model.path, data=all(entry.dataset is None for entry in recipe.tasks))

    if dry_run:
        for line in plan_of(recipe):
            typer.echo(line)
        return

    from ssl4rl.training.preparation import is_main_process
    from ssl4rl.training.run import train as run

    try:
        folder = run(recipe, output, resume=resume)
    except KeyboardInterrupt:
        where = f" --output {output}" if output else " --output with the run's folder"
        typer.echo(f"\nstopped; go on with: ssl4rl {side} train --resume{where}", err=True)
        raise typer.Exit(130) from None
    if is_main_process():
        summary = json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))
        for line in learned(summary, folder.path):
            typer.echo(line)


def plan_of(recipe: Recipe) -> list[str]:
    """What training would do, in plain words."""
    from ssl4rl.training.preparation import prepare

    run = prepare(recipe)
    plan = run.plan
    return [
        *(f"risky: {line}" for line in run.risks),
        f"{run.tasks.train.label} on {run.tasks.dataset}, model {recipe.model.path}",
        f"{plan.max_steps} optimiser steps; {plan.prompts_per_generation} prompts x {plan.num_generations} completions "
        f"are sampled at once, {plan.num_prompts} prompts in all",
        f"longest prompt measured: {run.longest}",
    ]


def learned(summary: dict[str, Any], run: Path) -> list[str]:
    """What a run's summary says, in plain words."""
    lines = [f"{summary['task']} on {summary['dataset']}: {summary['steps']} steps in {_minutes(summary['seconds'])}"]
    before, after = summary["heldout"]["before"], summary["heldout"]["after"]
    if before is not None and after is not None:
        lines.append(f"held-out score {_range(before, '')} before, {_range(after, '')} after (n={after['n']})")
        if before["score_parsed"] is not None and after["score_parsed"] is not None:
            lines.append(
                f"among replies that could be read: {_range(before, '_parsed')} before, {_range(after, '_parsed')} "
                f"after ({before['parsed']:.1%} and {after['parsed']:.1%} of the replies)"
            )
        lines.append(_verdict(before, after))
    lines += [f"run: {run}", f"model: {run / 'model'}", f"its replies: ssl4rl log {run}"]
    return lines


def _verdict(before: dict[str, Any], after: dict[str, Any]) -> str:
    gain = 100 * (after["score"] - before["score"])
    if after["low"] > before["high"]:
        return f"learned: {gain:+.1f} points, the 95% intervals lie apart"
    if after["high"] < before["low"]:
        return f"got worse: {gain:+.1f} points, the 95% intervals lie apart"
    return f"no clear change: {gain:+.1f} points, the 95% intervals overlap"


def _range(estimate: dict[str, Any], suffix: str) -> str:
    low, high = estimate[f"low{suffix}"], estimate[f"high{suffix}"]
    return f"{estimate[f'score{suffix}']:.3f} [{low:.3f}, {high:.3f}]"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
