"""Is what ``ssl4rl calibrate`` promises what training then meets?

    python -m experiments.calibration [--model QWEN]

Each of three tasks at three levels is calibrated, and then trained for 20 steps with a learning rate of 0 on the same
model: the share of groups with a gradient has to lie in the interval that was stated. With --model, the same for
`neighbor`, answer only, with the recipe of configs/laptop-graph.yaml. Cells that the output holds are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.environment import environment
from ssl4rl.intervals import wilson
from ssl4rl.training.calibrate import calibrate
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import run_recipe

STEPS = 20
LAPTOP = Path(__file__).parents[1] / "configs" / "laptop-graph.yaml"
CELLS = [(task, level) for task in ("link", "neighbor", "attribute") for level in ("easy", "medium", "hard")]


def still(recipe: Recipe) -> Recipe:
    """The recipe without updates."""
    grpo = {**recipe.grpo, "learning_rate": 0.0, "max_steps": STEPS, "save_strategy": "no"}
    grpo.pop("save_steps", None)
    return recipe.model_copy(
        update={"grpo": grpo, "refill": 0, "heldout": recipe.heldout.model_copy(update={"examples": 0})}
    )


def compare(recipe: Recipe, label: str) -> dict[str, Any]:
    """What was promised for a recipe of one task, and what its steps met."""
    [promised] = calibrate(recipe)
    with tempfile.TemporaryDirectory() as folder:
        run = run_recipe(still(recipe), Path(folder) / "run")
        flat = [line["flat/before"] for line in run.metrics() if "flat/before" in line]
    useful = 1 - sum(flat) / len(flat)
    prompts = recipe.grpo["per_device_train_batch_size"] // recipe.grpo["num_generations"] * len(flat)
    low, high = wilson(useful * prompts, prompts)
    row = {
        "cell": label,
        "promised": promised.as_dict(),
        "met": {"useful": useful, "low": low, "high": high, "groups": prompts},
        "inside": promised.useful_low <= useful <= promised.useful_high,
    }
    print(
        f"{label}: promised {promised.useful:.2f} [{promised.useful_low:.2f}, {promised.useful_high:.2f}], met "
        f"{useful:.2f} of {prompts} groups",
        flush=True,
    )
    return row


def recipes(model: str | None, data: Path) -> Iterator[tuple[str, Recipe]]:
    """Each cell's name and recipe."""
    for task, level in CELLS:
        yield f"tiny, {task}@{level}", load_recipe(tasks=[task], level=level)
    if model:
        if not graph_folder("cora").is_dir():
            fetch("cora", data / "taglas")
        for level in ("easy", "medium", "hard"):
            name = f"Qwen2.5-Coder-0.5B-Instruct, neighbor@{level}, answer only"
            yield name, load_recipe(LAPTOP, level=level, model=model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/calibration.json"))
    options = parser.parse_args()
    rows = json.loads(options.output.read_text())["cells"] if options.output.is_file() else []
    there = {row["cell"] for row in rows}
    for label, recipe in recipes(options.model, options.data):
        if label not in there:
            rows.append(compare(recipe, label))
            options.output.write_text(json.dumps({"environment": environment(), "cells": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
