"""Several processes train as one does: the same examples, rewards and gradients, and nothing of any rank is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from ssl4rl.cli.main import app
from ssl4rl.errors import UserError
from ssl4rl.training.checks import keep_global_batch, plan_batches
from ssl4rl.training.recipe_file import load_recipe

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_refill import Has, score_has
from toys import toy_recipe, toy_tasks, train_toys
from ssl4rl.answers import FUNCTIONS
from ssl4rl.rng import seeded_rng
from ssl4rl.training.trainer import TaskTrainer
FUNCTIONS["score_has"] = score_has
recipe = toy_recipe(Path({model!r}), refill=0, scale_updates=False, heldout={{"examples": 0}}, log_completions_every=1,
                    grpo__use_cpu=True, grpo__per_device_train_batch_size={batch}, grpo__max_steps=1,
                    grpo__max_grad_norm=1e9)

def replies(self, prompt_ids, images, fields, size, has_tool_images=False):
    # Stands in for sampling: what a prompt is replied to depends on the prompt and the reply's number alone.
    if hasattr(self, "_refilled") and prompt_ids is self._refilled.batch.prompt_ids:
        return self._refilled.batch.completion_ids, None
    letters = self._files.tokenizer.encode("e a b n o")
    return [
        seeded_rng("reply", *ids, row % size).choice(letters, size=2).tolist() for row, ids in enumerate(prompt_ids)
    ], None

TaskTrainer._generate_single_turn = replies
train_toys(recipe, Path({run!r}), toy_tasks(Has))
"""


def trained(model: Path, folder: Path, processes: int) -> Path:
    """The run of one step of 16 completions on so many processes."""
    folder.mkdir()
    script, run = folder / "script.py", folder / "run"
    paths = {"tests": str(Path(__file__).parent), "model": str(model), "run": str(run)}
    script.write_text(SCRIPT.format(**paths, batch=16 // processes))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return run


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_two_processes_take_the_step_that_one_takes(model_folder: Path, tmp_path: Path) -> None:
    one, two = (trained(model_folder, tmp_path / str(count), count) for count in (1, 2))
    first, second = (
        sorted((line["id"], line["reply"], line["reward"]) for line in lines(run / "completions.jsonl"))
        for run in (one, two)
    )
    assert len(first) == 16 and first == second, "every rank's completions are recorded, and they are the same"
    steps = [next(line for line in lines(run / "metrics.jsonl") if "grad_norm" in line) for run in (one, two)]
    assert steps[0]["reward"] == steps[1]["reward"] and 0 < steps[0]["reward"] < 1
    assert steps[0]["grad_norm"] > 0 and steps[1]["grad_norm"] == pytest.approx(steps[0]["grad_norm"], rel=1e-5)
    before, after, other = (
        load_file(path / "model.safetensors") for path in (model_folder, one / "model", two / "model")
    )
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    apart = torch.cat([(other[name] - after[name]).flatten() for name in before])
    assert moved.norm() > 0 and apart.norm() <= 1e-3 * moved.norm()  # Adam divides by small numbers


def test_the_batch_of_several_processes_is_kept_or_named(tmp_path: Path) -> None:
    recipe = load_recipe()
    assert plan_batches(recipe, 8).completions_per_step == 8 * plan_batches(recipe).completions_per_step == 2048
    kept = keep_global_batch(recipe, 8)
    assert plan_batches(kept, 8).completions_per_step == 256
    accumulated = load_recipe(
        overrides=[
            "grpo.gradient_accumulation_steps=4",
            "grpo.per_device_train_batch_size=16",
            "grpo.steps_per_generation=8",
        ]
    )
    kept = keep_global_batch(accumulated, 8)
    assert plan_batches(kept, 8).completions_per_step == 64
    assert plan_batches(kept, 8).generation_batch_size == plan_batches(accumulated).generation_batch_size == 128
    with pytest.raises(UserError, match="256 completions of an optimiser step cannot be divided among 3 processes"):
        keep_global_batch(recipe, 3)


def test_a_dry_run_plans_for_processes_that_are_not_there() -> None:
    start = ["graph", "train", "--task", "link", "--dry-run", "--processes", "8"]
    result = CliRunner().invoke(app, start)
    assert result.exit_code == 0, result.output
    assert "8 processes: 2,048 completions an optimiser step; one process would have 256" in result.output
    assert "million weights" in result.output and "tokens an optimiser step" in result.output
    kept = CliRunner().invoke(app, [*start, "--keep-global-batch"]).output
    assert "8 processes: 256 completions an optimiser step; one process would have 32" in kept
