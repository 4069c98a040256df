"""Several processes train as one does: the same examples, rewards and gradients, and nothing of any rank is lost."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from processes import run_processes
from safetensors.torch import load_file
from test_refill import Has, score_has
from test_resume import same
from toys import ONE_STEP, toy_recipe, toy_tasks, train_toys
from typer.testing import CliRunner

from ssl4rl.answers import FUNCTIONS
from ssl4rl.cli.main import app
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.records import read_lines
from ssl4rl.rng import seeded_rng
from ssl4rl.tasks import AnyTask
from ssl4rl.training.checks import keep_global_batch, plan_batches
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.sharding import check_sharding
from ssl4rl.training.tasks import build_tasks

KINDS: dict[str, dict[str, Any]] = {
    "ddp": {},
    "fsdp": {"grpo__fsdp": True},
    "ddp-lora": {"lora": 4},
    "fsdp-lora": {"grpo__fsdp": True, "lora": 4},
}


def recipe_for(kind: str, model: Path, processes: int, **settings: Any) -> Any:
    """16 completions a step, on so many processes; one is never sharded."""
    FUNCTIONS["score_has"] = score_has
    changes = {**KINDS[kind if processes > 1 else kind.replace("fsdp", "ddp")]}
    lora = changes.pop("lora", None)
    changes["model"] = {"path": str(model), "lora": lora and {"r": lora}}
    own = {"grpo__use_cpu": True, "grpo__per_device_train_batch_size": 16 // processes, "log_completions_every": 1}
    return toy_recipe(model, **own, **changes, **settings)


def train_on_stubs(kind: str, model: Path, processes: int, run: Path) -> None:
    """Two steps on replies that no model gives; the model after the first of them counts as the best."""
    from ssl4rl.training.heldout import Heldout
    from ssl4rl.training.trainer import TaskTrainer

    def replies(self: Any, prompt_ids: Any, images: Any, fields: Any, size: int, has_tool_images: bool = False) -> Any:
        # What a prompt is replied to depends on the prompt and the reply's number alone.
        if hasattr(self, "_refilled") and prompt_ids is self._refilled.batch.prompt_ids:
            return self._refilled.batch.completion_ids, None
        letters = self._files.tokenizer.encode("e a b n o")
        return [
            seeded_rng("reply", *ids, row % size).choice(letters, size=2).tolist() for row, ids in enumerate(prompt_ids)
        ], None

    answer, answered = TaskTrainer.answer, []

    def answer_and_count(self: Any, examples: Any, **settings: Any) -> list[str]:
        answered.append(len(examples))
        texts: list[str] = answer(self, examples, **settings)
        return texts

    TaskTrainer._generate_single_turn, TaskTrainer.answer = replies, answer_and_count
    Heldout.best = lambda self: 1 if 1 in self._answers else None
    held_out = {"examples": 5, "every": 1}
    own = {"grpo__max_steps": 2, "grpo__max_grad_norm": 1e9, "grpo__beta": 0.1}  # with a reference model
    recipe = recipe_for(kind, model, processes, heldout=held_out, scale_updates=False, **own)
    train_toys(recipe, run, toy_tasks(Has))
    share = -(-5 // processes)
    assert answered[1:] == [share] * 3, "held-out examples are shared among the processes; at first the probe's are"


def lines(path: Path) -> list[dict[str, Any]]:
    return list(read_lines(path))


@pytest.mark.parametrize("kind", ["ddp", "fsdp", "fsdp-lora"])
def test_two_processes_take_the_steps_that_one_takes(kind: str, model_folder: Path, tmp_path: Path) -> None:
    one, two = (tmp_path / str(count) for count in (1, 2))
    for count, run in ((1, one), (2, two)):
        run_processes(count, train_on_stubs, kind, model_folder, count, run)
    first, second = (
        sorted((line["id"], line["reply"], line["reward"]) for line in lines(run / "completions.jsonl"))
        for run in (one, two)
    )
    assert len(first) == 32 and first == second, "every rank's completions are recorded, and they are the same"
    steps = zip(*([line for line in lines(run / "metrics.jsonl") if "kl" in line] for run in (one, two)), strict=True)
    # After the first step, weights differ as below.
    for (alone, shared), tolerance in zip(steps, (1e-5, 1e-2), strict=True):
        assert alone["reward"] == shared["reward"] and 0 < alone["reward"] < 1
        assert alone["grad_norm"] > 0 and shared["grad_norm"] == pytest.approx(alone["grad_norm"], rel=tolerance)
        assert shared["kl"] == pytest.approx(alone["kl"], rel=tolerance, abs=1e-7)
    assert alone["kl"] > 0
    before, after, other = (
        load_file(path / "model.safetensors") for path in (model_folder, one / "model", two / "model")
    )
    assert before.keys() == after.keys() == other.keys()
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    apart = torch.cat([(other[name] - after[name]).flatten() for name in before])
    assert moved.norm() > 0 and apart.norm() <= 1e-3 * moved.norm()  # Adam divides by small numbers
    for step, model in ((1, "model"), (2, "last")):
        given = [line["reply"] for line in lines(two / "heldout.jsonl") if line["step"] == step]
        assert len(given) == 5 and given == answered(two / model), "the model that is written is the one that replied"
    if kind.endswith("lora"):
        assert answered(two / "adapter") == answered(two / "model")


def answered(model: Path, task: AnyTask | None = None, length: int = 8) -> list[str]:
    """The replies of a model in a folder to five examples, by default those that are held out above."""
    from ssl4rl.inference.engines import Sampling, generate, open_engine

    FUNCTIONS["score_has"] = score_has
    files = ModelFiles(str(model))
    engine = open_engine("transformers", files, dtype="float32", batch_size=8)
    examples = [(task or toy_tasks(Has).heldout).example(index) for index in range(5)]
    return [reply.text for reply in generate(engine, [files.messages(each) for each in examples], Sampling(length))]


@pytest.mark.slow
def test_torchrun_shards_the_embedded_model(tmp_path: Path) -> None:
    settings = ["grpo.use_cpu=true", "grpo.fsdp=true", "model.lora.r=4", "heldout.examples=5", *ONE_STEP[:5]]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ssl4rl"]
    line = [*launcher, "graph", "train", "--task", "link", "--output", "run", "--set", "engine=transformers"]
    line += [each for one in settings for each in ("--set", one)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "run"
    assert len(lines(run / "completions.jsonl")) >= 16
    given = [each["reply"] for each in lines(run / "heldout.jsonl") if each["step"] == 1]
    heldout = build_tasks(load_recipe(run / "config.yaml")).heldout
    assert given == answered(run / "model", heldout, 64) == answered(run / "adapter", heldout, 64)


def train_or_resume(kind: str, model: Path, run: Path, resume: bool, max_time: float | None) -> None:
    train_toys(recipe_for(kind, model, 2, refill=1), run, toy_tasks(Has), resume=resume, max_time=max_time)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("fsdp", "fsdp-lora")]


@pytest.mark.parametrize("kind", ["ddp", *SLOW])
def test_two_processes_that_are_stopped_and_resumed_end_like_others(
    kind: str, model_folder: Path, tmp_path: Path
) -> None:
    run_processes(2, train_or_resume, kind, model_folder, tmp_path / "whole", False, None)
    run_processes(2, train_or_resume, kind, model_folder, tmp_path / "stopped", False, 0.001)
    assert (tmp_path / "stopped" / "checkpoint-1").is_dir() and not (tmp_path / "stopped" / "model").exists()
    run_processes(2, train_or_resume, kind, model_folder, tmp_path / "stopped", True, None)
    assert same(tmp_path / "stopped", tmp_path / "whole")


def test_sharding_that_would_not_be_done_is_refused(model_folder: Path, tmp_path: Path) -> None:
    for settings, message in (
        ({}, "spreads the weights over processes and there is one: start several with a launcher"),
        ({"grpo__fsdp_config": {"version": 1}}, r"grpo\.fsdp_config\.version=1: only FSDP2 is supported; set it to 2"),
    ):
        with pytest.raises(UserError, match=message):
            train_toys(toy_recipe(model_folder, grpo__fsdp=True, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for stage in (2, 3):  # DeepSpeed itself need not be here
        args = SimpleNamespace(fsdp=[], deepspeed_plugin=SimpleNamespace(zero_stage=stage))
        with pytest.raises(UserError, match="ZeRO stage 3") if stage == 3 else nullcontext():
            check_sharding(args)


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
