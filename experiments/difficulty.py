"""Does it help to change difficulty, or the shares of tasks, as a model learns?

    python -m experiments.difficulty [--seeds 0 1 2] [--seconds 240] [--runs RUNS]

The embedded model on the embedded graph, in equal time: of each condition a few steps are timed, and it is given as
many as fit. `link` at fixed levels, staged and adaptive; single tasks, and mixtures of three with constant shares, by
learnability and by bandit. Every model is asked the same held-out examples of each task and level, and two benchmarks.
Rows that the output holds are kept, and runs that RUNS holds are used as they are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.asking import scored
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.environment import environment
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.engines import open_engine
from ssl4rl.registry import TASKS
from ssl4rl.runs import Run, open_run
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import run_recipe
from ssl4rl.training.saving import LAST, MODEL

LADDER = "link"
"""The task whose ladder is climbed: the one that learns most in minutes."""
MIXED = ("link", "neighbor", "attribute")
LEVELS = ("easy", "medium", "hard")
TIMED_STEPS = (1, 2, 8)
"""Lengths of runs: one that is not counted, since the first one also loads what it needs, and two whose difference a
step is a part of."""
EXAMPLES, ITEMS = 300, 300
REPLY_LENGTH = 64


def conditions() -> dict[str, dict[str, Any]]:
    """The settings of each, by name."""
    one: dict[str, dict[str, Any]] = {
        f"{LADDER}, {level}": {"tasks": [{"name": LADDER, "level": level}]} for level in LEVELS
    }
    for difficulty in ("staged", "adaptive"):
        one[f"{LADDER}, {difficulty}"] = {"tasks": [{"name": LADDER}], "difficulty": difficulty}
    # The ladder's own task alone is its default level, which is there already.
    alone = [name for name in MIXED if name != LADDER]
    several: dict[str, dict[str, Any]] = {f"{name} alone": {"tasks": [{"name": name}]} for name in alone}
    for mixing, name in (("weights", "uniform"), ("learnability", "learnability"), ("bandit", "bandit")):
        several[f"mixture, {name}"] = {"tasks": [{"name": each} for each in MIXED], "mixing": mixing}
    return one | several


def recipe_of(settings: dict[str, Any], seed: int, steps: int) -> Recipe:
    """The quickstart's recipe but for these settings and its length."""
    every = max(4, steps // 5)
    # A constant rate: the mixtures that follow held-out progress need it to mean the same early and late.
    grpo = {"max_steps": steps, "save_strategy": "no", "lr_scheduler_type": "constant_with_warmup"}
    plain = load_recipe(tasks=["link"]).model_dump()
    plain["grpo"] = {key: value for key, value in plain["grpo"].items() if not key.startswith("save_")} | grpo
    heldout = {**plain["heldout"], "examples": 300, "every": every if settings.get("mixing") == "bandit" else 0}
    return Recipe.model_validate({**plain, **settings, "seed": seed, "heldout": heldout})


def pace(settings: dict[str, Any], path: Path) -> float:
    """Processor seconds of a step: what it takes on an idle core, whatever else runs meanwhile."""
    if not path.is_file():
        spent = []
        for steps in TIMED_STEPS:
            with tempfile.TemporaryDirectory() as folder:
                started = time.process_time()
                run_recipe(recipe_of(settings, 0, steps), Path(folder) / "run")
                spent.append(time.process_time() - started)
        path.write_text(json.dumps((spent[2] - spent[1]) / (TIMED_STEPS[2] - TIMED_STEPS[1])), encoding="utf-8")
    return float(json.loads(path.read_text(encoding="utf-8")))


def scores(run: Run, seed: int) -> dict[str, float]:
    """The last model's mean score on each task and level, and on two benchmarks."""
    model = str(run.path / LAST if (run.path / LAST).is_dir() else run.path / MODEL)
    engine = open_engine("transformers", model)
    found = {}
    for name in MIXED:
        for level in LEVELS:
            task = TASKS.get(name)(default_graph(), split="val", level=level, seed=1000 + seed)
            examples = [task.example(index) for index in range(EXAMPLES)]
            values = [score.value for _, score in scored(engine, task, examples, REPLY_LENGTH)]
            found[f"{name}@{level}"] = sum(values) / len(values)
    for name in ("node", "link"):
        folder = run.path / f"eval-{name}"
        recipe = EvalRecipe(
            benchmark=name, model=model, engine="transformers", limit=ITEMS, baselines=False,
            max_new_tokens=REPLY_LENGTH,
        )  # fmt: skip
        result = open_run(folder) if folder.is_dir() else evaluate(recipe, None, folder)
        found[f"benchmark {name}"] = (result.scores or {})["accuracy"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--runs", type=Path, default=Path("runs/difficulty"))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/difficulty.json"))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    rows = json.loads(options.output.read_text())["runs"] if options.output.is_file() else []
    there = {(row["condition"], row["seed"]) for row in rows}
    for seed in options.seeds:
        for name, settings in conditions().items():
            if (name, seed) in there:
                continue
            path = options.runs / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            result = path / "scores-of-all.json"
            if not result.is_file():
                seconds = pace(settings, options.runs / f"{path.name.rpartition('-')[0]}-pace.json")
                steps = max(8, round(options.seconds / seconds))
                run = open_run(path) if (path / "summary.json").is_file() else run_recipe(
                    recipe_of(settings, seed, steps), path
                )  # fmt: skip
                summary = run.summary or {}
                row = {"condition": name, "seed": seed, "steps": steps, "seconds": summary["seconds"]}
                result.write_text(json.dumps({**row, "scores": scores(run, seed)}))
            rows.append(json.loads(result.read_text()))
            print(json.dumps(rows[-1]), flush=True)
            options.output.write_text(json.dumps({"environment": environment(), "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
