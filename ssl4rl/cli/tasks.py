"""``ssl4rl tasks`` and ``ssl4rl schema``: what can be asked, and what a recipe may say."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json


def tasks(
    name: Annotated[str | None, typer.Argument(help="One of them: its levels and knobs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Lists the tasks and benchmarks, those of plug-ins too; with a name, its levels and knobs."""
    from ssl4rl.errors import unknown
    from ssl4rl.registry import BENCHMARKS, TASKS
    from ssl4rl.report.reference import as_facts, entries

    found = [entry for entry in entries() if name in (None, entry.name)]
    if not found:
        raise unknown("task or benchmark", str(name), [entry.name for entry in entries()])
    if as_json:
        for entry in found:
            print_json(as_facts(entry))
        return
    width = max(len(entry.name) for entry in found)
    side = None
    for entry in found:
        if (entry.noun, entry.kind.source_kind.side) != side:
            side = (entry.noun, entry.kind.source_kind.side)
            typer.secho(f"{entry.noun}s of ssl4rl {side[1]}", bold=True)
        typer.echo(f"  {entry.name:<{width}}  {entry.summary}")
        if name is None:
            continue
        for level, knobs in entry.kind.levels.items():
            settings = ", ".join(f"{knob}={value}" for knob, value in knobs.items()) or "the defaults"
            typer.echo(f"    level {level}: {settings}")
        for knob in entry.knobs:
            typer.echo(f"    task.{knob.name}={knob.default} ({knob.type}{knob.bounds and ', ' + knob.bounds})")
    for reason in [*TASKS.all()[1], *BENCHMARKS.all()[1]]:
        typer.secho(reason, fg="red", err=True)
    if name is None:
        typer.echo("\nssl4rl tasks NAME shows levels and knobs; ssl4rl graph|vision show --task NAME an example.")


def schema(
    kind: Annotated[str, typer.Argument(metavar="recipe|eval", help="Of which settings.")] = "recipe",
) -> None:
    """Prints the JSON schema of a recipe, for editors that check and complete YAML.

    In VS Code, for one: write it to a file and begin the recipe with `# yaml-language-server: $schema=FILE`.
    """
    from ssl4rl.errors import unknown
    from ssl4rl.evaluation.recipe import EvalRecipe
    from ssl4rl.training.recipe_file import recipe_schema

    if kind not in ("recipe", "eval"):
        raise unknown("schema", kind, ("recipe", "eval"))
    typer.echo(json.dumps(recipe_schema() if kind == "recipe" else EvalRecipe.model_json_schema(), indent=1))
