"""``ssl4rl graph eval``: what a model is worth on a benchmark, beside the baselines that a reviewer asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, SetOption, complete_benchmark, knobs_of, of_side
from ssl4rl.errors import UserError


def evaluate(
    context: typer.Context,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", help="node, link or relation.", autocompletion=complete_benchmark)
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="paper", help="All columns of the paper's table instead.")
    ] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    model: Annotated[str | None, typer.Option("--model", help="A folder, a hub name, tiny, or a served name.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="NAME|URL", help="vllm, transformers, or http://HOST:PORT/v1.")
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Type of the weights, such as bfloat16.")] = None,
    scoring: Annotated[
        str | None, typer.Option("--scoring", help="generate (read the reply) or likelihood (of each label).")
    ] = None,
    shots: Annotated[int | None, typer.Option("--shots", help="Answered training examples before each item.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only this many items.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", help="Most tokens of a reply (512).")
    ] = None,
    ablate: Annotated[
        int | None, typer.Option("--ablate", help="Items asked again without the graph (200; 0 for none).")
    ] = None,
    baselines: Annotated[bool, typer.Option(help="Fit the models without language beside it.")] = True,
    seed: Annotated[int | None, typer.Option("--seed", help="Decides items, options and neighbours.")] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Scores a model's answers on node classification, link prediction or relation prediction."""
    from ssl4rl.evaluation.recipe import EvalRecipe
    from ssl4rl.evaluation.run import evaluate as run
    from ssl4rl.evaluation.scores import SCORES
    from ssl4rl.registry import BENCHMARKS

    given: dict[str, Any] = {
        "level": level,
        "dataset": dataset,
        "model": model,
        "engine": engine,
        "dtype": dtype,
        "scoring": scoring,
        "shots": shots,
        "limit": limit,
        "max_new_tokens": max_new_tokens,
        "ablate": ablate,
        "seed": seed,
        "knobs": knobs_of(set_ or []) or None,
        "baselines": baselines,
    }
    given = {name: value for name, value in given.items() if value is not None}

    def say(line: str) -> None:
        typer.echo(line, err=True)

    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if suite is not None:
        if benchmark or dataset:
            raise UserError("--suite names benchmarks and datasets itself; leave out --benchmark and --dataset")
        from ssl4rl.evaluation.suite import run_suite

        path, rows = run_suite(suite, given, output, resume=resume, say=say)
        if as_json:
            typer.echo(json.dumps(rows))
        else:
            show_suite(rows, console)
            console.print(f"runs: {path}", soft_wrap=True)
        return
    if resume:
        if output is None or not (output / "config.yaml").is_file():
            raise UserError(f"--resume needs the run to go on with: --output RUN ({output} is none)")
        if benchmark or set(given) - {"baselines", "engine"}:
            raise UserError(
                "--resume goes on with the run's own settings; only --engine and --no-baselines can be given with it"
            )
        recipe = EvalRecipe.load(output / "config.yaml")
        recipe = recipe.model_copy(update={"baselines": baselines, "engine": engine or recipe.engine})
    elif benchmark is None:
        raise UserError("say which --benchmark (node, link or relation) or --suite paper")
    else:
        of_side(BENCHMARKS.get(benchmark), context)
        recipe = EvalRecipe.build({"benchmark": benchmark, **given})
    for line in [] if as_json else _defaults(recipe.dataset, recipe.model):
        typer.echo(line)
    try:
        folder = run(recipe, output, resume=resume, say=say)
    except KeyboardInterrupt:
        where = output or "with the folder above"
        typer.echo(f"\nstopped; go on with: ssl4rl graph eval --resume --output {where}", err=True)
        raise typer.Exit(130) from None
    found = json.loads((folder.path / SCORES).read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    show(found, console)
    console.print(f"run: {folder.path}\nits replies: {folder.path}/predictions.jsonl", soft_wrap=True)


def _defaults(dataset: str | None, model: str | None) -> list[str]:
    from ssl4rl.inference.model import TINY

    used = ["the embedded procedural graph"] if dataset is None else []
    used += ["the embedded tiny model"] if model == TINY else []
    return [f"using {' and '.join(used)}"] if used else []


def show(found: Mapping[str, Any], console: Any) -> None:
    """A table of the score and of every baseline on the same items."""
    from rich.table import Table

    table = Table(title=f"{found['benchmark']} on {found['dataset']}, {found['model']}", title_justify="left")
    table.add_column("")
    for column in ("accuracy", "95 % interval", "n", "model − baseline"):
        table.add_column(column, justify="right")

    def row(name: str, value: Mapping[str, Any], style: str = "") -> None:
        gain = value.get("model_minus_baseline")
        more = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]" if gain else ""
        interval = f"{value['low']:.3f} – {value['high']:.3f}"
        table.add_row(name, f"{value['accuracy']:.3f}", interval, str(value.get("n", "")), more, style=style)

    row("the model", found, "bold")
    row(f"  answer read leniently ({found['lenient']['parsed']:.0%} of the replies)", found["lenient"])
    if found["accuracy_parsed"] is not None:
        parsed = {"accuracy": found["accuracy_parsed"], "low": found["low_parsed"], "high": found["high_parsed"]}
        row(f"  among parsed ({found['parsed']:.0%} of the replies)", parsed)
    for name, value in found["baselines"].items():
        row(name, value)
    table.add_row("uniform chance", f"{found['chance']:.3f}", "", "", "")
    console.print(table)
    if found["truncated"]:
        console.print(f"{found['truncated']:.0%} of the replies were cut off; --max-new-tokens decides")
    for note in found["notes"]:
        console.print(note, soft_wrap=True)


def show_suite(rows: list[dict[str, Any]], console: Any) -> None:
    """Ours and the paper's cells, a column per dataset and benchmark."""
    from rich.table import Table

    table = Table(title="percent, ours above the cells of the paper's Table 5", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(f"{row['dataset']}\n{row['benchmark']}", justify="right", no_wrap=True)
    table.add_row("ours", *(f"{100 * row['accuracy']:.1f}" if "accuracy" in row else "–" for row in rows), style="bold")
    table.add_row(
        "  interval",
        *(f"{100 * row['low']:.0f}–{100 * row['high']:.0f}" if "accuracy" in row else "" for row in rows),
    )
    table.add_row("  items", *(str(row.get("n", "")) for row in rows), end_section=True)
    for name in rows[0]["paper"]:
        table.add_row(name, *(f"{100 * row['paper'][name]:.1f}" for row in rows))
    table.add_row("  items", *(str(row["paper_n"]) for row in rows))
    console.print(table)
    console.print(
        "The paper does not say which items it scored; its numbers of items are the smallest that fit its decimals. "
        "Nor does it say whether Products was asked as nodes or as links (both stand beside the same cells), or among "
        "how many relations fb15k237 and wn18rr were asked (here among 10, unless task.num_options is set).",
        soft_wrap=True,
    )
