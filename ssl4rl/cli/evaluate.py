"""``ssl4rl graph|vision eval``: what a model is worth on a benchmark, beside the baselines that a reviewer asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import (
    DatasetOption,
    JsonOption,
    LevelOption,
    SetOption,
    complete_benchmark,
    knobs_of,
    names_of_side,
    of_side,
    say_embedded,
    side_of,
)
from ssl4rl.errors import UserError

MAX_POSITIONS = 26
"""Most options whose places are listed: as many as there are letters."""


def evaluate(
    context: typer.Context,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark",
            help="node, link or relation; choice, mmbench, seedbench or imagenet.",
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
    ablate: Annotated[
        int | None,
        typer.Option("--ablate", help="Questions asked again without graph or picture (200; 0 for none)."),
    ] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Multiple choice: ask once per shift of the options, all to be right.")
    ] = False,
    baselines: Annotated[bool, typer.Option(help="Put what needs no model's reply beside the score.")] = True,
    seed: Annotated[int | None, typer.Option("--seed", help="Decides items, options and neighbours.")] = None,
    set_: SetOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="The run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Scores a model's answers on what people have labelled, with baselines beside them."""
    from ssl4rl.evaluation.recipe import EvalRecipe
    from ssl4rl.evaluation.run import evaluate as run
    from ssl4rl.evaluation.scores import SCORES
    from ssl4rl.registry import BENCHMARKS

    knobs = {**knobs_of(set_ or []), **({"rotate": True} if rotate else {})}
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
        "knobs": knobs or None,
        "baselines": baselines,
    }
    given = {name: value for name, value in given.items() if value is not None}

    def say(line: str) -> None:
        typer.echo(line, err=True)

    from rich.console import Console

    console, side = Console(highlight=False, markup=False), side_of(context)
    if suite is not None:
        if benchmark or (dataset and side == "graph"):
            raise UserError("--suite names benchmarks and datasets itself; leave out --benchmark and --dataset")
        from ssl4rl.evaluation.suite import run_suite

        path, rows = run_suite(suite, given, output, resume=resume, say=say, side=side)
        if as_json:
            typer.echo(json.dumps(rows))
        else:
            show_suite(rows, console, side)
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
        raise UserError(f"say which --benchmark ({', '.join(names_of_side(BENCHMARKS, side))}) or --suite paper")
    else:
        of_side(BENCHMARKS.get(benchmark), context)
        recipe = EvalRecipe.build({"benchmark": benchmark, **given})
    if not as_json:
        say_embedded(side, recipe.model, data=recipe.dataset is None)
    try:
        folder = run(recipe, output, resume=resume, say=say)
    except KeyboardInterrupt:
        where = output or "with the folder above"
        typer.echo(f"\nstopped; go on with: ssl4rl {side} eval --resume --output {where}", err=True)
        raise typer.Exit(130) from None
    found = json.loads((folder.path / SCORES).read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    show(found, console)
    console.print(f"run: {folder.path}\nits replies: {folder.path}/predictions.jsonl", soft_wrap=True)


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

    rotated = "circular" in found.get("readings", {})
    row("the model, circular" if rotated else "the model", found, "bold")
    row(f"  lenient ({found['lenient']['parsed']:.0%})", found["lenient"])
    if found["accuracy_parsed"] is not None:
        parsed = {"accuracy": found["accuracy_parsed"], "low": found["low_parsed"], "high": found["high_parsed"]}
        row(f"  among parsed ({found['parsed']:.0%})", parsed)
    if rotated:
        row("  vanilla", found["readings"]["vanilla"])
        row("  row mean", found["readings"]["row_mean"])
    for name, value in found["baselines"].items():
        row(name, value)
    table.add_row("uniform chance", f"{found['chance']:.3f}", "", "", "")
    console.print(table)
    if found.get("categories"):
        _show_categories(found, console)
    _show_positions(found, console)
    if found["truncated"]:
        console.print(f"{found['truncated']:.0%} of the replies were cut off; --max-new-tokens decides")
    for note in found["notes"]:
        console.print(note, soft_wrap=True)


def _show_categories(found: Mapping[str, Any], console: Any) -> None:
    """Accuracy by category, each group of them after its own means."""
    from rich.table import Table

    table = Table("by category", box=None)
    for column in ("n", "accuracy", "95 % interval", "row mean"):
        table.add_column(column, justify="right")
    groups = {group["name"]: group for group in found["groups"]}
    for name in sorted({leaf["group"] for leaf in found["categories"]}):
        if group := groups.get(name):
            means = (f"{group['micro']:.3f}", f"macro {group['macro']:.3f}", f"{group['row_mean']:.3f}")
            table.add_row(name, str(group["n"]), *means, style="bold")
        for leaf in (leaf for leaf in found["categories"] if leaf["group"] == name):
            cells = (f"{leaf['accuracy']:.3f}", f"{leaf['low']:.3f} – {leaf['high']:.3f}", f"{leaf['row_mean']:.3f}")
            indent = "  " if name else ""
            table.add_row(f"{indent}{leaf['name'] or '(none)'}", str(leaf["n"]), *cells)
    console.print(table)
    of_groups = f", of the groups {found['macro']['groups']:.3f}" if groups else ""
    console.print(f"mean of the categories {found['macro']['categories']:.3f}{of_groups}")


def _show_positions(found: Mapping[str, Any], console: Any) -> None:
    """Recall by the place of the right option, and how often each was picked."""
    if not 0 < len(found["positions"]) <= MAX_POSITIONS:
        return
    parts = [f"{row['label']} {row['right']} of {row['gold']} (picked {row['picked']})" for row in found["positions"]]
    spread = "" if found["spread"] is None else f"; spread of recall {found['spread']:.3f}"
    console.print(f"right by option: {', '.join(parts)}{spread}", soft_wrap=True)


def show_suite(rows: list[dict[str, Any]], console: Any, side: str) -> None:
    """Ours and the paper's cells, a column per evaluation."""
    from rich.table import Table

    what = "cells of the paper's Table 5" if side == "graph" else "cells of the paper's vision tables"
    table = Table(title=f"percent, ours above the {what}", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row["name"].replace("-", "\n", 1), justify="right", no_wrap=True)
    table.add_row("ours", *(f"{100 * row['accuracy']:.1f}" if "accuracy" in row else "–" for row in rows), style="bold")
    table.add_row(
        "  interval",
        *(f"{100 * row['low']:.0f}–{100 * row['high']:.0f}" if "accuracy" in row else "" for row in rows),
    )
    table.add_row("  items", *(str(row.get("n", "")) for row in rows), end_section=True)
    for name in dict.fromkeys(name for row in rows for name in row["paper"]):
        table.add_row(name, *(f"{100 * row['paper'][name]:.1f}" if name in row["paper"] else "" for row in rows))
    table.add_row("  items", *(str(row["paper_n"]) for row in rows))
    console.print(table)
    if side == "vision":
        console.print(
            "MMBench: mean over all rows, rotated ones too, as in the paper; the runs' scores.json have circular. "
            "ImageNet: the paper's numbers of items are the smallest that fit its decimals.",
            soft_wrap=True,
        )
        return
    console.print(
        "The paper does not say which items it scored; its numbers of items are the smallest that fit its decimals. "
        "Nor does it say whether Products was asked as nodes or as links (both stand beside the same cells), or among "
        "how many relations fb15k237 and wn18rr were asked (here among 10, unless task.num_options is set).",
        soft_wrap=True,
    )
