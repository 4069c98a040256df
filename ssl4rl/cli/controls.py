"""``ssl4rl controls``: is a gain due to the task?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl4rl.cli.options import JsonOption, ModelOption, SetOption, print_json

if TYPE_CHECKING:
    from ssl4rl.training.controls import Arm

HEADING = f"{'reward or prompts':<18} {'before':<7} {'after':<22} {'of each seed':<20} task is ahead by"


def controls(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe (YAML) whose gain is in question.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds of each, from the recipe's own on.")] = 3,
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            help="Repeatable: random, format, incorrect, majority (rewards); text, edges, image (corrupted prompts). "
            "The first three by default.",
        ),
    ] = None,
    model: ModelOption = None,
    set_: SetOption = None,
    output: Annotated[Path, typer.Option("--output", help="The folder of all runs; finished ones are used.")] = Path(
        "runs/controls"
    ),
    as_json: JsonOption = False,
) -> None:
    """Trains a recipe and its controls with equal steps and seeds, and compares them on the same held-out examples."""
    from ssl4rl.training.controls import USUAL, run_controls
    from ssl4rl.training.recipe_file import load_recipe, side_of_recipe

    loaded = load_recipe(recipe, overrides=set_ or (), model=model, side=side_of_recipe((), recipe))
    found = run_controls(loaded, control or USUAL, seeds, output, lambda line: typer.echo(line, err=True))
    if as_json:
        for arm in found:
            print_json(arm.as_dict())
        return
    typer.secho(HEADING, bold=True)
    for arm in found:
        typer.echo(_row(arm))
    if seeds > 1:
        typer.echo(
            "intervals and p are over held-out examples, for the models of these seeds; other seeds may differ more"
        )


def _row(arm: Arm) -> str:
    from ssl4rl.training.summary import describe_difference

    after = f"{arm.after.score:.3f} [{arm.after.low:.3f}, {arm.after.high:.3f}]"
    ahead = "" if arm.behind is None else describe_difference(arm.behind.as_dict())
    each = " ".join(f"{score:.3f}" for score in arm.seeds)
    return f"{arm.name:<18} {arm.before.score:<7.3f} {after:<22} {each:<20} {ahead}".rstrip()
