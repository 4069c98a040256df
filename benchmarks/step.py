"""Whole GRPO steps, with the prompt run once per group. ``python -m benchmarks.step``

One group of 8 completions of 32 tokens (the end token is never sampled) on real link prompts, a model of
SmolLM2-135M's shape in float32, beta 0, AdamW, no gradient checkpointing. Two figures: our trainer against TRL's, both
sampling with transformers; and ours with sharing on against off, both sampling with vLLM in process. ``--table``
measures steps per hour over prompt length and group size instead, ours and stock TRL, transformers sampling.

A step is timed from its beginning to the end of the optimiser's part. Its parts are sampling (with vLLM, also loading
the new weights), forward and backward pass, and the rest (prompts, rewards, optimiser; with vLLM also old
log-probabilities).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from benchmarks.common import figure, paired, report
from benchmarks.prompts import SMOLLM2, Exactly, link_task, save_model
from ssl4rl.inference.environment import quieten
from ssl4rl.inference.model import ModelFiles
from ssl4rl.training import trainable
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.recipe import Lora, ModelSettings, Recipe
from ssl4rl.training.trainer import TaskTrainer

PROMPTS = (128, 256, 512, 1024, 2048)
GROUPS = (2, 4, 8, 16)
# Tokens of a micro-batch of the stock trainer, whose memory is a multiple of ours.
STOCK_TOKENS = 4500


@dataclass(frozen=True)
class Shape:
    group: int = 8
    completion: int = 32
    micro: int = 8
    """Completions per forward pass."""


class Timed(TrainerCallback):  # type: ignore[misc]
    """The seconds of a trainer's latest step and of its parts."""

    def __init__(self, trainer: Any) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)
        for name in ("_generate_single_turn", "_prepare_inputs", "training_step"):
            setattr(trainer, name, self._timing(name, getattr(trainer, name)))

    def _timing(self, name: str, once: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **settings: Any) -> Any:
            start = time.perf_counter()
            try:
                return once(*arguments, **settings)
            finally:
                self.seconds[name] += time.perf_counter() - start

        return run

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.seconds.clear()
        self.start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds["step"] = time.perf_counter() - self.start

    def parts(self) -> dict[str, float]:
        sampling = self.seconds["_generate_single_turn"]
        passes = self.seconds["training_step"] - self.seconds["_prepare_inputs"]
        step = self.seconds["step"]
        return {"step": step, "sampling": sampling, "forward and backward": passes, "rest": step - sampling - passes}


def arguments(output: Path, shape: Shape, **more: Any) -> Any:
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(output),
        use_cpu=not torch.cuda.is_available(),
        beta=0.0,
        num_generations=shape.group,
        max_completion_length=shape.completion,
        per_device_train_batch_size=shape.micro,
        gradient_accumulation_steps=shape.group // shape.micro,
        gradient_checkpointing=False,
        max_steps=1,
        shuffle_dataset=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **{"bf16": False, **more},
    )


def ours(model: Path, task: Any, shape: Shape, *, vllm: bool = False, lora: Lora | None = None, **settings: Any) -> Any:
    """Our trainer; ``settings`` are GRPOConfig's."""
    files = ModelFiles(str(model))
    never = [*files.suppressed_tokens, *files.eos_token_ids]
    more: dict[str, Any] = {"generation_kwargs": {"suppress_tokens": never}}
    if vllm:
        more = {"generation_kwargs": {"logit_bias": dict.fromkeys(never, -100.0)}, "vllm_max_model_length": 1024}
    accumulation = shape.group // shape.micro
    return TaskTrainer(
        task=task,
        recipe=Recipe(model=ModelSettings(path=str(model), lora=lora), refill=0),
        files=files,
        plan=BatchPlan(shape.group, shape.group, accumulation, accumulation, 1, 1),
        args=arguments(model.parent / "ours", shape, **more, **settings),
        vllm_in_process=vllm,
    )


def stock(model: Path, task: Any, shape: Shape, *, lora: Lora | None = None, **more: Any) -> Any:
    """TRL's trainer, with the same settings."""
    from datasets import Dataset
    from trl import GRPOTrainer

    files = ModelFiles(str(model))
    never = [*files.suppressed_tokens, *files.eos_token_ids]
    example = task.example(0)
    columns = {"prompt": [[{"role": "user", "content": example.text}]]}
    rows = Dataset.from_dict(columns | ({"images": [example.images]} if example.images else {}))

    def score(completions: list[Any], **_: Any) -> list[float]:
        return [task.score(completion[0]["content"], example).value for completion in completions]

    settings = arguments(model.parent / "stock", shape, generation_kwargs={"suppress_tokens": never}, **more)
    adapters = trainable.adapters(ModelSettings(lora=lora))
    return GRPOTrainer(str(model), score, settings, rows, processing_class=files.processor, peft_config=adapters)


def step(trainer: Any, timed: Timed, parts: list[dict[str, float]]) -> float:
    trainer.train()
    parts.append(timed.parts())
    print("   ", {part: round(seconds, 2) for part, seconds in parts[-1].items()}, flush=True)
    return parts[-1]["step"]


def compare(
    name: str,
    mine: Callable[[], float],
    peer: Callable[[], float],
    parts: tuple[list[Any], list[Any]],
    runs: int,
    **more: Any,
) -> dict[str, Any]:
    found = paired(mine, peer, runs, measure=lambda run: float(run()))  # type: ignore[arg-type]
    seconds = {
        side: {part: statistics.median(one[part] for one in several[-runs:]) for part in several[0]}
        for side, several in zip(("ours", "peer"), parts, strict=True)
    }
    return figure(name, *found, parts=seconds, **more)


def against_stock(
    model: Path, task: Any, shape: Shape, runs: int, *, name: str = "GRPO step against stock TRL", at_least: float = 3.0
) -> dict[str, Any]:
    trainers = ours(model, task, shape), stock(model, task, shape)
    timed = tuple(Timed(trainer) for trainer in trainers)
    parts: tuple[list[Any], list[Any]] = ([], [])
    mine, peer = (lambda side=side: step(trainers[side], timed[side], parts[side]) for side in (0, 1))
    return compare(name, mine, peer, parts, runs, at_least=at_least)


def against_sharing_off(model: Path, task: Any, shape: Shape, runs: int) -> dict[str, Any]:
    trainer = ours(model, task, shape, vllm=True)
    timed = Timed(trainer)
    parts: tuple[list[Any], list[Any]] = ([], [])

    def run(side: int) -> float:
        trainer._share = side == 0
        # Every run is a first step to the trainer, which would find its weights in vLLM already, and the prompt too.
        trainer._last_loaded_step = -1
        return step(trainer, timed, parts[side])

    return compare("GRPO step with vLLM against sharing off", lambda: run(0), lambda: run(1), parts, runs, at_least=2.0)


def table(model: Path, task: Any, completion: int) -> list[dict[str, Any]]:
    """Steps per hour, one step each (after one of the smallest size that is not counted)."""
    rows = []
    sizes = [(PROMPTS[0], GROUPS[0]), *((prompt, group) for prompt in PROMPTS for group in GROUPS)]
    for number, (prompt, group) in enumerate(sizes):
        exact = Exactly(task, ModelFiles(str(model)).tokenizer, prompt)
        most = max(1, STOCK_TOKENS // (prompt + completion))
        micro = max(size for size in range(1, group + 1) if group % size == 0 and size <= most)
        hour = {}
        for side, shape in (("ours", Shape(group, completion, group)), ("stock TRL", Shape(group, completion, micro))):
            trainer = (ours if side == "ours" else stock)(model, exact, shape)
            hour[side] = 3600 / step(trainer, Timed(trainer), [])
        if number:
            rows.append({"prompt": prompt, "group": group, **hour, "ratio": hour["ours"] / hour["stock TRL"]})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--completion", type=int, default=32)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--only", choices=("stock", "vllm"), help="one of the two figures")
    parser.add_argument("--table", action="store_true", help="steps per hour over prompt length and group size")
    parser.add_argument("--layers", type=int, help="of the model; SmolLM2-135M's 30 by default")
    options = parser.parse_args()
    quieten()
    shape = Shape(options.group, options.completion, options.group)
    with tempfile.TemporaryDirectory() as folder:
        task, source = link_task()
        layers = options.layers or SMOLLM2["num_hidden_layers"]
        model = save_model(Path(folder) / "model", task, {**SMOLLM2, "num_hidden_layers": layers})
        tokens = len(ModelFiles(str(model)).prompt_ids(task.example(0).messages()))
        print(f"{source}; a prompt of {tokens} tokens, {shape.group} completions of {shape.completion}", flush=True)
        if options.table:
            rows = table(model, task, shape.completion)
            report("step_table", [], data=source, completion=shape.completion, layers=layers, steps_per_hour=rows)
            return
        figures = []
        if options.only != "vllm":
            figures.append(against_stock(model, task, shape, options.runs))
        if options.only != "stock":
            figures.append(against_sharing_off(model, task, shape, options.runs))
    name = "step" if options.only is None else f"step_{options.only}"
    report(name, figures, data=source, prompt=tokens, completion=shape.completion, group=shape.group)


if __name__ == "__main__":
    main()
