"""``ssl4rl export``: examples and their scorer for another trainer, or a run's predictions for another toolkit."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, SetOption, TasksOption, print_json, say_embedded
from ssl4rl.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl4rl.training.recipe import Recipe

VLMEVALKIT = "vlmevalkit"


def export(
    run: Annotated[
        Path | None, typer.Argument(help="With --to vlmevalkit: the folder of an evaluation on multiple choice.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="verl, openrlhf, easyr1, trl, verifiers, jsonl, or vlmevalkit.")
    ] = None,
    task: TasksOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    config: Annotated[Path | None, typer.Option("--config", help="A recipe (YAML); its tasks are exported.")] = None,
    set_: SetOption = None,
    count: Annotated[int | None, typer.Option("-n", min=1, help="How many examples.")] = None,
    split: Annotated[str, typer.Option(help="train or val.")] = "train",
    model: Annotated[
        str | None, typer.Option(help="A folder or a hub name, whose tokenizer measures the prompts.")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="verl only: no rows; examples are built as they are used.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder to write; for vlmevalkit, a .tsv.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", metavar="DIR", help="Check an export; exits with 1 on a mismatch.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Writes examples and their scorer for another trainer. A stopped export continues when the command is repeated."""
    of_task = level or dataset or set_
    if verify is not None:
        if run or to or task or config or output or count or model or online or split != "train" or of_task:
            raise UserError("--verify DIR checks an export, and takes nothing else")
        _verify(verify, as_json)
        return
    if to is None:
        raise UserError("say for what: --to verl, openrlhf, easyr1, trl, verifiers, jsonl or vlmevalkit")
    if output is None:
        raise UserError("say where to: --output DIR")
    if (run is not None) != (to == VLMEVALKIT):
        raise UserError("--to vlmevalkit RUN exports an evaluation; every other target takes --task and no RUN")
    if run is not None:
        if task or config or count or model or online or split != "train" or of_task:
            raise UserError("--to vlmevalkit RUN exports all predictions of the run; leave out what says which or how")
        from ssl4rl.export.vlmevalkit import export_predictions
        from ssl4rl.runs import Run

        predictions = export_predictions(Run.open(run), output)
        if as_json:
            return print_json({"for": to, "predictions": predictions, "output": str(output)})
        return typer.echo(f"{predictions} predictions written to {output}")
    if split not in ("train", "val"):
        raise unknown("split to export", split, ("train", "val"))
    recipe = _recipe(config, task or [], level, dataset, set_ or [])

    from ssl4rl.export.run import export as export_task
    from ssl4rl.export.targets import find_target
    from ssl4rl.registry import TASKS
    from ssl4rl.training.tasks import build_tasks

    find_target(to)
    say_embedded([TASKS.get(entry.name).source_kind for entry in recipe.tasks if entry.dataset is None], None)
    built = build_tasks(recipe).train.on_split(split)
    try:
        manifest = export_task(
            built, to, count, output, model=model, online=online, say=lambda line: typer.echo(line, err=True)
        )
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; repeat the command to continue in {output}", err=True)
        raise typer.Exit(130) from None
    if as_json:
        facts = manifest.model_dump(mode="json")
        return print_json({"for": to, "rows": manifest.rows, "output": str(output), "manifest": facts})
    written = f"{manifest.rows:,} rows" if manifest.files else "an online dataset" if online else "a package"
    typer.echo(f"{written} for {to} in {output}; check it with: ssl4rl export --verify {output}")


def _recipe(config: Path | None, tasks: list[str], level: str | None, dataset: str | None, set_: list[str]) -> Recipe:
    """What is exported, as a recipe.

    Raises:
        UserError: if nothing says what, or the recipe changes its examples along the way.
    """
    from ssl4rl.training.recipe_file import load_recipe, side_of_recipe

    if not tasks and config is None:
        raise UserError("say what to export: --task NAME (repeatable), or --config RECIPE")
    side = side_of_recipe(tasks, config)
    recipe = load_recipe(config, overrides=set_, tasks=tasks, level=level, dataset=dataset, side=side)
    fixed: dict[str, Any] = {"difficulty": "fixed", "mixing": "weights", "corrupt": None}
    fixed |= {"reward.kind": "task", "reward.task": 1, "reward.format": 0, "reward.margin": 0}
    fixed |= {"model.min_pixels": None, "model.max_pixels": None}
    for key, value in fixed.items():
        given = attrgetter(key)(recipe)
        if given != value:
            raise UserError(
                f"{key}={given} is for training here: an export has fixed examples, images as they are and the task's "
                f"own score; add --set {key}={'null' if value is None else value}"
            )
    return recipe


def _verify(folder: Path, as_json: bool) -> None:
    from ssl4rl.export.verify import verify

    found = verify(folder)
    if as_json:
        print_json({"rows": found.rows, "replies": found.replies, "mismatches": found.mismatches})
    for line in found.lines() if not as_json else ():
        typer.echo(line)
    raise typer.Exit(1 if found.mismatches else 0)
