"""Does it help to change difficulty, or the shares of tasks, as a model learns?

    python -m experiments.difficulty [--seeds 0 1 2] [--seconds 240] [--runs RUNS]
    python -m experiments.difficulty --table                (the tables of docs/difficulty.md, of what is stored)

The embedded model on the embedded graph; every run is stopped after the same processor time. `link` at fixed levels,
staged and adaptive; single tasks, and mixtures of three with constant shares, by learnability and by bandit. Each model
is asked the same held-out examples of each task and level, and two benchmarks. Rows that the output holds are kept.
Intervals are Student's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

from experiments.asking import scored
from ssl4rl.checkpoints import checkpoints
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.environment import environment
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.engines import open_engine
from ssl4rl.registry import TASKS
from ssl4rl.runs import open_run
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import run_recipe
from ssl4rl.training.saving import LAST, MODEL

LADDER = "link"
"""The task whose ladder is climbed: the one that learns most in minutes."""
MIXED = ("link", "neighbor", "attribute")
LEVELS = ("easy", "medium", "hard")
BENCHMARKS = ("node", "link")
LONGEST = 400
"""Steps that no run gets to."""
STAGED = 88
"""Steps of a run whose rungs are equal parts of it: what fits."""
EVERY = 15
"""Steps between the evaluations that a bandit follows."""
EXAMPLES, ITEMS = 200, 200
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


def recipe_of(settings: dict[str, Any], seed: int) -> Recipe:
    """The quickstart's recipe but for these settings and its length."""
    # A constant rate: the mixtures that follow held-out progress need it to mean the same early and late.
    steps = STAGED if settings.get("difficulty") == "staged" else LONGEST
    grpo = {"max_steps": steps, "save_strategy": "no", "lr_scheduler_type": "constant_with_warmup"}
    plain = load_recipe(tasks=["link"]).model_dump()
    plain["grpo"] = {key: value for key, value in plain["grpo"].items() if not key.startswith("save_")} | grpo
    follows = settings.get("mixing") == "bandit"
    heldout = {**plain["heldout"], "examples": 300 if follows else 0, "every": EVERY if follows else 0}
    return Recipe.model_validate({**plain, **settings, "seed": seed, "heldout": heldout})


def train(recipe: Recipe, path: Path, seconds: float) -> dict[str, Any]:
    """Trains until so much processor time is spent, however busy the machine is, and says how far that was."""
    # The timer counts the time of the process; what it sends ends training after the step, with a checkpoint.
    signal.signal(signal.SIGPROF, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    with suppress(SystemExit):
        run_recipe(recipe, path)
    signal.setitimer(signal.ITIMER_PROF, 0)
    steps = max(line["step"] for line in open_run(path).metrics())
    return {"steps": steps, "processor_seconds": round(time.process_time() - started, 1)}


def model_of(path: Path) -> Path:
    """The last model: of a run that was stopped, that in its checkpoint."""
    stopped = max(checkpoints(path), default=None)
    return stopped[1] if stopped else path / (LAST if (path / LAST).is_dir() else MODEL)


def scores(path: Path, seed: int) -> dict[str, float]:
    """The last model's mean score on each task and level, and on two benchmarks."""
    model = str(model_of(path))
    engine = open_engine("transformers", model)
    found = {}
    for name in MIXED:
        for level in LEVELS:
            task = TASKS.get(name)(default_graph(), split="val", level=level, seed=1000 + seed)
            examples = [task.example(index) for index in range(EXAMPLES)]
            values = [score.value for _, score in scored(engine, task, examples, REPLY_LENGTH)]
            found[f"{name}@{level}"] = sum(values) / len(values)
    for name in BENCHMARKS:
        folder = path / f"eval-{name}"
        recipe = EvalRecipe(
            benchmark=name, model=model, engine="transformers", limit=ITEMS, baselines=False,
            max_new_tokens=REPLY_LENGTH,
        )  # fmt: skip
        result = open_run(folder) if folder.is_dir() else evaluate(recipe, None, folder)
        found[f"benchmark {name}"] = (result.scores or {})["accuracy"]
    return found


def columns(score: Mapping[str, float]) -> dict[str, float]:
    """What the tables say of one model."""
    of_ladder = {level: score[f"{LADDER}@{level}"] for level in LEVELS}
    benchmarks = {name: score[f"benchmark {name}"] for name in BENCHMARKS}
    return {
        **of_ladder,
        f"mean of {LADDER}": mean(of_ladder.values()),
        "mean of all": mean(value for name, value in score.items() if "@" in name),
        **{f"{name} benchmark": value for name, value in benchmarks.items()},
        "both benchmarks": mean(benchmarks.values()),
    }


def over_seeds(values: Sequence[float]) -> str:
    """The mean of the seeds with its 95 % interval."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.2f} ± {half:.2f}"


def tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The mean of every condition over its seeds, and the differences that are in question, seed by seed."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for row in rows:
        found.setdefault(row["condition"], {})[row["seed"]] = columns(row["scores"])
    names = list(next(iter(next(iter(found.values())).values())))
    steps = {name: [row["steps"] for row in rows if row["condition"] == name] for name in found}
    yield "| trained on | seeds | steps | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 3) + "|"
    for condition, of_seeds in found.items():
        cells = [over_seeds([each[name] for each in of_seeds.values()]) for name in names]
        yield f"| {condition} | {len(of_seeds)} | {round(mean(steps[condition]))} | " + " | ".join(cells) + " |"
    adaptive, name = found[f"{LADDER}, adaptive"], f"mean of {LADDER}"
    for condition in (f"{LADDER}, {each}" for each in (*LEVELS, "staged")):
        shared = sorted(adaptive.keys() & found[condition].keys())
        gain = [adaptive[seed][name] - found[condition][seed][name] for seed in shared]
        yield f"adaptive - {condition}, {name}: {over_seeds(gain)}; {', '.join(map('{:+.2f}'.format, gain))}"
    singles = [found[f"{LADDER}, medium"], *(found[f"{name} alone"] for name in MIXED if name != LADDER)]
    for condition in (f"mixture, {each}" for each in ("uniform", "learnability", "bandit")):
        for name in ("both benchmarks", "mean of all"):
            shared = sorted(set(found[condition]).intersection(*singles))
            gain = [found[condition][seed][name] - mean(each[seed][name] for each in singles) for seed in shared]
            yield f"{condition} - single tasks, {name}: {over_seeds(gain)}; {', '.join(map('{:+.2f}'.format, gain))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--runs", type=Path, default=Path("runs/difficulty"))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/difficulty.json"))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args()
    rows = json.loads(options.output.read_text())["runs"] if options.output.is_file() else []
    if options.table:
        print("\n".join(tables(rows)))
        return
    options.runs.mkdir(parents=True, exist_ok=True)
    there = {(row["condition"], row["seed"]) for row in rows}
    for seed in options.seeds:
        for name, settings in conditions().items():
            if (name, seed) in there:
                continue
            path = options.runs / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            shutil.rmtree(path, ignore_errors=True)  # of a run that was interrupted
            row = {"condition": name, "seed": seed, **train(recipe_of(settings, seed), path, options.seconds)}
            rows.append({**row, "scores": scores(path, seed)})
            print(json.dumps(rows[-1]), flush=True)
            options.output.write_text(json.dumps({"environment": environment(), "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
