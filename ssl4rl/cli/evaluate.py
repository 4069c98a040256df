"""``ssl4rl graph|vision eval``: score a model on a benchmark, with the baselines that a reviewer asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import (
    OUT_OF_TIME,
    AblateOption,
    DatasetOption,
    JsonOption,
    LevelOption,
    MaxTimeOption,
    ProtocolOption,
    SetOption,
    complete_benchmark,
    knobs_of,
    model_settings,
    names_of_side,
    of_side,
    print_json,
    say_embedded,
    side_of,
)
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.evaluation.recipe import EvalRecipe

RESUMABLE = {"baselines", "encoder", "engine"}
"""Settings that may change when an evaluation is resumed: no reply depends on them."""


def evaluate(
    context: typer.Context,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark",
            help="Which benchmark.",
            autocompletion=complete_benchmark,
        ),
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="paper", help="All columns of the paper's tables instead.")
    ] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: Annotated[str | None, typer.Option("--model", help="A folder, a hub name, or a served name.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="NAME|URL", help="vllm, transformers, or http://HOST:PORT/v1.")
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Type of the weights, such as bfloat16.")] = None,
    scoring: Annotated[
        str | None, typer.Option("--scoring", help="generate (read the reply) or likelihood (of each label).")
    ] = None,
    shots: Annotated[int | None, typer.Option("--shots", help="Answered training examples before each item.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only this many questions.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", help="Most tokens of a reply (512).")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", help="Replies to each item, for pass@k.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Of drawn replies; 0 is greedy.")] = None,
    ablate: AblateOption = None,
    consistent: Annotated[
        bool,
        typer.Option("--consistent", help="Ask the first questions again in other forms, and report the agreement."),
    ] = False,
    again: Annotated[int | None, typer.Option("--again", help="How many questions that are (200).")] = None,
    protocol: ProtocolOption = None,
    rotate: Annotated[
        bool,
        typer.Option("--rotate", help="Multiple choice: ask once per shift of the options; all must be right."),
    ] = False,
    baselines: Annotated[bool, typer.Option(help="Report non-model baselines.")] = True,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Folder whose embeddings baselines get, too.")
    ] = None,
    max_broken: Annotated[
        float | None, typer.Option("--max-broken", help="Most of the images that may be broken (0.01 of them).")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Decides items, options and neighbours.")] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    max_time: MaxTimeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scores a model's answers on what people have labelled, with baselines on the same items."""
    from ssl4rl.evaluation.recipe import EvalRecipe

    of_model, settings_of_task = model_settings(set_ or [])
    named = {"rotate": rotate or None, "protocol": protocol}
    knobs = knobs_of(settings_of_task) | {knob: value for knob, value in named.items() if value is not None}
    given = {
        **{name: value for name, value in context.params.items() if name in EvalRecipe.model_fields},
        "benchmark": None,
        "ablate": [] if ablate == ["none"] else ablate or None,
        "consistent": consistent or None,
        "knobs": knobs or None,
        **of_model,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    if suite is not None:
        if benchmark or (dataset and side_of(context) == "graph"):
            raise UserError("--suite names benchmarks and datasets itself; leave out --benchmark and --dataset")
        if max_time is not None:
            raise UserError("--max-time stops one evaluation; leave it out with --suite")
        _run_suite(suite, settings, side_of(context), output, resume=resume, as_json=as_json)
    else:
        recipe = _resumed(context, benchmark, settings, output) if resume else _recipe(context, benchmark, settings)
        _run(context, recipe, output, resume=resume, max_time=max_time, as_json=as_json)


def _recipe(context: typer.Context, benchmark: str | None, settings: Mapping[str, Any]) -> EvalRecipe:
    """The recipe of a new evaluation."""
    from ssl4rl.evaluation.recipe import EvalRecipe
    from ssl4rl.registry import BENCHMARKS

    if benchmark is None:
        names = ", ".join(names_of_side(BENCHMARKS, side_of(context)))
        raise UserError(f"say which --benchmark ({names}) or --suite paper")
    kind = of_side(BENCHMARKS.get(benchmark), context)
    if "protocol" in settings.get("knobs", {}) and "protocol" not in kind.knobs_type.model_fields:
        raise UserError(f"--protocol says which nodes are classified; benchmark {benchmark} does not classify nodes")
    return EvalRecipe.build({"benchmark": benchmark, **settings})


def _resumed(
    context: typer.Context, benchmark: str | None, settings: Mapping[str, Any], output: Path | None
) -> EvalRecipe:
    """The recipe of the evaluation that ``output`` holds, with the settings that may change."""
    from ssl4rl.evaluation.recipe import EvalRecipe
    from ssl4rl.registry import BENCHMARKS
    from ssl4rl.runs import Run

    if output is None:
        raise UserError("--resume needs the run to continue: --output RUN")
    if benchmark or settings.keys() - RESUMABLE:
        raise UserError(
            "--resume uses the run's own settings; only --engine, --encoder and --no-baselines can be given with it"
        )
    recipe = EvalRecipe.of(Run.open(output))
    of_side(BENCHMARKS.get(recipe.benchmark), context)
    # The flag is on unless it is switched off: what the run was started without stays off.
    return recipe.model_copy(update={**settings, "baselines": recipe.baselines and settings["baselines"]})


def _run(
    context: typer.Context,
    recipe: EvalRecipe,
    output: Path | None,
    *,
    resume: bool,
    max_time: float | None,
    as_json: bool,
) -> None:
    """Evaluates and prints the scores."""
    from rich.console import Console

    from ssl4rl.evaluation.run import evaluate
    from ssl4rl.registry import BENCHMARKS
    from ssl4rl.report.tables import print_scores

    if not as_json:
        kind = BENCHMARKS.get(recipe.benchmark).source_kind
        own_engine = recipe.engine in ("auto", "transformers", "vllm")  # another engine need not use the model
        say_embedded([kind] if recipe.dataset is None else [], recipe.model if own_engine else None)
    try:
        run = evaluate(recipe, output=output, resume=resume, max_time=max_time, say=_say)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not run.finished:
        raise typer.Exit(OUT_OF_TIME)
    scores = run.scores or {}
    if as_json:
        print_json(scores)
        return
    console = Console(highlight=False, markup=False)
    print_scores(scores, console)
    console.print(f"run: {run.path}\nits replies: ssl4rl log {run.path}", soft_wrap=True)


def _run_suite(
    name: str, settings: Mapping[str, Any], side: str, output: Path | None, *, resume: bool, as_json: bool
) -> None:
    """Evaluates the columns of a suite and prints them."""
    from rich.console import Console

    from ssl4rl.evaluation.suite import plan_suite, run_suite
    from ssl4rl.report.paper import print_suite

    folder, rows = run_suite(plan_suite(name, settings, side), output, resume=resume, say=_say)
    if as_json:
        print_json(*rows)
        return
    console = Console(highlight=False, markup=False)
    print_suite(rows, side, console)
    console.print(f"runs: {folder}", soft_wrap=True)


def _say(line: str) -> None:
    from ssl4rl.progress import is_quiet

    if not is_quiet():
        typer.echo(line, err=True)
