"""``ssl4rl graph train`` and ``ssl4rl vision train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import (
    OUT_OF_TIME,
    DatasetOption,
    JsonOption,
    LevelOption,
    MaxTimeOption,
    ModelOption,
    SetOption,
    TasksOption,
    of_side,
    print_json,
    say_embedded,
    side_of,
)
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.runs import Run
    from ssl4rl.source import SourceKind
    from ssl4rl.training.recipe import Recipe


def default_sources(recipe: Recipe, context: typer.Context, dataset: str | None) -> list[SourceKind[Any]]:
    """The kinds whose default source the recipe uses, if the command that was typed fits its tasks.

    Raises:
        UserError: if none of the tasks is of this side, or they cannot all be on ``dataset``.
    """
    from ssl4rl.registry import TASKS

    task_types = [TASKS.get(entry.name) for entry in recipe.tasks]
    if not any(task_type.source_kind.side == side_of(context) for task_type in task_types):
        of_side(task_types[0], context)
    kinds = {task_type.source_kind.name: task_type.source_kind for task_type in task_types}
    if dataset is not None and len(kinds) > 1:
        raise UserError(
            f"--dataset {dataset} cannot be the dataset of all tasks, which need several kinds ({', '.join(kinds)}); "
            "set tasks.0.dataset and so on instead"
        )
    pairs = zip(task_types, recipe.tasks, strict=True)
    return [task_type.source_kind for task_type, entry in pairs if entry.dataset is None]


def train(
    context: typer.Context,
    task: TasksOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: ModelOption = None,
    config: Annotated[Path | None, typer.Option("--config", help="A recipe (YAML).")] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="With --resume: throw away what the run has done and begin at step 0."),
    ] = False,
    max_time: MaxTimeOption = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="With --dry-run: plan the run for so many processes.")
    ] = None,
    keep_global_batch: Annotated[
        bool,
        typer.Option(
            "--keep-global-batch", help="As many completions an optimiser step on several processes as on one."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check recipe, model and a few replies; write nothing. 2: none is valid.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Trains a model by GRPO, with rewards that the graph or the images themselves provide."""
    from ssl4rl.training.recipe_file import load_recipe

    if from_start and not resume:
        raise UserError("--from-start begins a run again that is there already: give --resume and --output RUN, too")
    if resume:
        config = _config_of_run(context, output, bool(task or level or dataset or model or config))
    side = side_of(context)
    recipe = load_recipe(
        config, overrides=set_ or (), tasks=task or (), level=level, dataset=dataset, model=model, side=side
    )
    defaults = default_sources(recipe, context, dataset)
    if not resume:
        say_embedded(defaults, recipe.model.path)

    if processes is not None and not dry_run:
        raise UserError("--processes plans a run of so many with --dry-run; a launcher such as torchrun starts them")
    if keep_global_batch:
        if resume:
            raise UserError("--keep-global-batch: a run that is resumed keeps its own batches; leave it out")
        recipe = _kept(recipe, processes)
    if dry_run:
        _dry_run(recipe, processes, as_json)
        return

    from ssl4rl.training.preparation import is_main_process
    from ssl4rl.training.run import run_recipe
    from ssl4rl.training.summary import describe_result

    try:
        run = run_recipe(recipe, output, resume=resume, from_start=from_start, max_time=max_time)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not is_main_process():
        return
    if run.summary is None:
        raise typer.Exit(OUT_OF_TIME)
    if as_json:
        print_json(result_facts(run))
        return
    for line in describe_result(run.summary, run.path):
        typer.echo(line)


def _config_of_run(context: typer.Context, run: Path | None, is_named: bool) -> Path:
    """The recipe of a run that is to be resumed; ``is_named`` is whether options name another one.

    Raises:
        UserError: if they do, or there is no run of training.
    """
    from ssl4rl.runs import CONFIG
    from ssl4rl.training.resume import FREE

    if is_named:
        raise UserError(
            "--resume continues with the run's own recipe; only --set can be given with it, of "
            f"{', '.join(FREE)} (and with --from-start of anything)"
        )
    return started_run(run, "train", context).path / CONFIG


def started_run(path: Path | None, verb: str, context: typer.Context) -> Run:
    """The run that ``ssl4rl SIDE VERB`` has started, to be continued.

    Raises:
        UserError: if there is none, or another command has.
    """
    from ssl4rl.runs import open_run

    if path is None:
        raise UserError("--resume needs the run to continue: --output RUN")
    run = open_run(path)
    own, kind = "train", "a training run"
    if run.is_evaluation or run.is_warmup:
        own, kind = ("eval", "an evaluation") if run.is_evaluation else ("warmup", "a warm start")
    if own != verb:
        raise UserError(f"{path} is {kind}; continue it with ssl4rl {side_of(context)} {own} --resume")
    return run


def result_facts(run: Run) -> dict[str, Any]:
    """A finished run for programs: its folder, its model's, and all of summary.json."""
    return {"run": str(run.path), "model_folder": str(run.path / "model"), **(run.summary or {})}


def _kept(recipe: Recipe, processes: int | None) -> Recipe:
    from ssl4rl.training.checks import keep_global_batch
    from ssl4rl.training.preparation import num_processes

    return keep_global_batch(recipe, processes or num_processes())


def _dry_run(recipe: Recipe, processes: int | None, as_json: bool) -> None:
    """Prints what training would do and a few replies; exits with 2 if none is valid."""
    from ssl4rl.training.grpo import grpo_config
    from ssl4rl.training.preparation import choose_sampler, prepare
    from ssl4rl.training.probe import probe_prepared
    from ssl4rl.training.summary import describe_plan, plan_facts

    sampler = choose_sampler(recipe)
    prepared = prepare(recipe, processes=processes)
    if processes is None:
        grpo_config(prepared, sampler, Path("runs"))  # which says what TRL refuses
    for line in describe_plan(prepared) if not as_json else ():
        typer.echo(line)
    found = probe_prepared(prepared)
    if as_json:
        print_json({**plan_facts(prepared), "probe": {"replies": found.replies, "valid": found.valid}})
    for line in found.lines if not as_json else ():
        typer.echo(line)
    if not found.valid:
        raise typer.Exit(2)
