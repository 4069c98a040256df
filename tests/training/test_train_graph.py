"""The graph tasks train: each one, a mixture of them, and the defaults."""

import json
from pathlib import Path

import pytest
from toys import build_model

from ssl4rl.records import read_lines
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import train
from ssl4rl.training.tasks import build_tasks

SMALL = [
    "grpo.max_steps=2",
    "grpo.save_steps=2",
    "grpo.per_device_train_batch_size=8",
    "grpo.gradient_accumulation_steps=1",
    "grpo.num_generations=4",
    "grpo.max_completion_length=16",
    "heldout.examples=4",
    "engine=transformers",
]


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("long"), max_position_embeddings=4096)


@pytest.mark.parametrize("tasks", [["attribute"], ["neighbor"], ["link"], ["link", "neighbor", "attribute"]])
def test_trains_on_the_embedded_graph(tasks: list[str], long_model: Path, tmp_path: Path) -> None:
    recipe = load_recipe(tasks=tasks, model=str(long_model), overrides=SMALL)
    run = train(recipe, tmp_path / "run").path
    assert [line["step"] for line in read_lines(run / "metrics.jsonl") if "loss" in line] == [1, 2]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dataset"] == "citations"
    assert summary["task"] == "+".join(f"{task}@medium" for task in tasks)


def test_train_and_heldout_examples_are_of_their_splits() -> None:
    tasks = build_tasks(load_recipe(tasks=["link", "neighbor"], overrides=["tasks.1.weight=3"]))
    assert {tasks.train.example(i).id.split for i in range(20)} == {"train"}
    assert {tasks.heldout.example(i).id.split for i in range(20)} == {"val"}
    share = sum(tasks.train.example(i).id.task == "neighbor" for i in range(200)) / 200
    assert 0.6 < share < 0.9 and list(tasks.train.levels) == []


def test_the_laptop_recipe_trains(tmp_path: Path) -> None:
    """Adapters in float32 on weights in bfloat16, bare letters, the guard on entropy, refill: all of it together."""
    configs = Path(__file__).parents[2] / "configs"
    overrides = ["grpo.max_steps=2", "grpo.save_steps=2", "heldout.examples=4"]
    recipe = load_recipe(configs / "laptop-graph.yaml", model="tiny", overrides=overrides)
    recipe.tasks[0].dataset = None
    run = train(recipe, tmp_path / "run")
    steps = [line for line in run.metrics() if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert {"entropy_coef", "update_scale", "refill/rounds", "valid", "answers/commonest"} <= steps[0].keys()
    assert steps[0]["completions/max_length"] <= 4


def test_the_defaults_train(tmp_path: Path) -> None:
    run = train(load_recipe(overrides=[*SMALL, "grpo.max_completion_length=64"]), tmp_path / "run").path
    lines = [line for line in read_lines(run / "metrics.jsonl") if "loss" in line]
    assert all(line["parsed"] > 0.5 for line in lines)
