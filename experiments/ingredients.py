"""Points of held-out score per hour: the quickstart with stock TRL, and with each part of ours added in turn.

    python -m experiments.ingredients [--seeds 0 1 2] [--conditions "stock TRL" …] [--runs RUNS] [--output FILE]

The same recipe, model, examples and number of steps for all, one thread: stock ``trl.GRPOTrainer``; our trainer without
any part; then with shared prompts, with refill, and with the adaptive level, each on top of the others. An hour is one
of processor time of training alone, without evaluations, so that other work on the machine does not count. Every model
is asked the same 300 held-out examples of its seed. Rows that the output holds are kept.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOTrainer

from experiments.asking import scored
from ssl4rl.environment import environment
from ssl4rl.example import Example
from ssl4rl.inference.engines import open_engine
from ssl4rl.statistics import PairedDifference
from ssl4rl.tasks import AnyTask
from ssl4rl.training.grpo import grpo_config
from ssl4rl.training.preparation import prepare
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import run_recipe
from ssl4rl.training.saving import MODEL

STOCK = "stock TRL"
PARTS: dict[str, dict[str, Any]] = {
    "our trainer": {},
    "+ shared prompts": {"share_prompt": True},
    "+ refill": {"refill": 4},
    "+ adaptive level": {"difficulty": "adaptive"},
}
CONDITIONS = [STOCK, *PARTS]
EXAMPLES, REPLY_LENGTH = 300, 64


def recipe_of(condition: str, seed: int) -> Recipe:
    """The quickstart with the parts up to this one."""
    recipe = load_recipe(tasks=["link"]).model_dump()
    recipe |= {"seed": seed, "share_prompt": False, "refill": 0, "heldout": {**recipe["heldout"], "examples": 0}}
    for name, settings in PARTS.items() if condition != STOCK else ():
        recipe |= settings
        if name == condition:
            break
    recipe["grpo"]["save_strategy"] = "no"
    recipe["grpo"].pop("save_steps", None)
    return Recipe.model_validate(recipe)


def train_stock(recipe: Recipe, folder: Path) -> Path:
    """TRL's trainer with the recipe's settings, on the examples that ours would see first."""
    prepared = prepare(recipe)
    task, grpo = prepared.tasks.train, recipe.grpo
    prompts = grpo["per_device_train_batch_size"] // grpo["num_generations"] * grpo["max_steps"]
    examples = [task.example(index) for index in range(prompts)]
    rows = {"prompt": [example.messages() for example in examples], "place": list(range(prompts))}

    def reward(completions: list[Any], place: list[int], **_: Any) -> list[float]:
        replies = [completion[0]["content"] for completion in completions]
        return [task.score(reply, examples[each]).value for reply, each in zip(replies, place, strict=True)]

    trainer = GRPOTrainer(
        prepared.files.path,
        reward,
        grpo_config(prepared, "transformers", folder),
        Dataset.from_dict(rows),
        processing_class=prepared.files.processor,
    )
    trainer.train()
    trainer.save_model(str(folder / MODEL))
    prepared.files.processor.save_pretrained(str(folder / MODEL))
    return folder / MODEL


def scores_of(model: str, task: AnyTask, examples: list[Example]) -> list[float]:
    """The score of each greedy reply."""
    engine = open_engine("transformers", model)
    return [score.value for _, score in scored(engine, task, examples, REPLY_LENGTH)]


def row_of(condition: str, seed: int, folder: Path) -> dict[str, Any]:
    """What a run gained on its held-out examples, and what its training took."""
    recipe = recipe_of(condition, seed)
    task = prepare(recipe).tasks.heldout
    examples = [task.example(index) for index in range(EXAMPLES)]
    began = time.process_time()
    model = train_stock(recipe, folder) if condition == STOCK else run_recipe(recipe, folder).path / MODEL
    seconds = time.process_time() - began
    before, after = scores_of(recipe.model.path, task, examples), scores_of(str(model), task, examples)
    gain = PairedDifference.of(before, after, [example.source_items for example in examples])
    row = {"condition": condition, "seed": seed, "seconds": seconds, "before": mean(before), "after": mean(after)}
    return {**row, "gain": asdict(gain), "points per hour": 100 * gain.difference / (seconds / 3600)}


def points_per_hour(rows: list[dict[str, Any]]) -> float:
    """Of the means, not the mean of ratios: a seed that gains nothing has none; 0 of no rows."""
    hours = sum(row["seconds"] for row in rows) / 3600
    return 100 * sum(row["gain"]["difference"] for row in rows) / hours if rows else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--runs", type=Path, default=Path("runs/ingredients"))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/ingredients.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(options.output.read_text())["rows"] if options.output.is_file() else []
    there = {(row["condition"], row["seed"]) for row in rows}
    for seed in options.seeds:
        for condition in options.conditions:
            if (condition, seed) not in there:
                row = row_of(condition, seed, options.runs / f"{CONDITIONS.index(condition)}-{seed}")
                rows.append({**row, "environment": environment()})
                print(json.dumps(row), flush=True)
                options.output.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print("| condition | seeds | held out, after | points | processor minutes | points per hour | of stock |")
    print("|---|---|---|---|---|---|---|")
    for condition in CONDITIONS:
        own = [row for row in rows if row["condition"] == condition]
        if not own:
            continue
        after, minutes = mean(row["after"] for row in own), mean(row["seconds"] for row in own) / 60
        points = mean(100 * row["gain"]["difference"] for row in own)
        seeds = {row["seed"] for row in own} & {row["seed"] for row in rows if row["condition"] == STOCK}
        both = [
            [row for row in rows if row["condition"] == name and row["seed"] in seeds] for name in (condition, STOCK)
        ]
        of_own, of_stock = map(points_per_hour, both)
        ratio = f"{of_own / of_stock:.1f}×" if of_stock > 0 else "–"
        cells = [condition, str(len(own)), f"{after:.3f}", f"{points:+.1f}", f"{minutes:.1f}"]
        print(f"| {' | '.join([*cells, f'{points_per_hour(own):.0f}', ratio])} |")


if __name__ == "__main__":
    main()
