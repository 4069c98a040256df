"""GRPO on images, with the prompt and its images run once per group. ``python -m benchmarks.vision_step``

A small, randomly initialised Qwen2.5-VL in float32, two images of 336 x 336 pixels a prompt (144 tokens each), 8
completions of 32 tokens (the end token is never sampled), against stock TRL: forward and backward pass of the same
micro-batch, and whole steps with transformers' sampling. Our log-probabilities and gradients are compared with TRL's.
The images are photos from SSL4RL_TEST_DATA (default ../shared/data), or else the drawn scenes.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import figure, paired, report
from benchmarks.prompts import DATA, Rewritten
from benchmarks.step import Shape, against_stock, ours, stock
from ssl4rl.data.images.files import load_images
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.example import Example
from ssl4rl.inference.environment import quieten
from ssl4rl.registry import TASKS

SIDE = 336
TESTS = Path(__file__).parent.parent / "tests" / "training"
SIZE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


class Square(Rewritten):
    """A task whose images are resized to ``SIDE`` pixels a side."""

    def example(self, index: int) -> Example:
        example: Example = self.task.example(index)
        parts = (part if isinstance(part, str) else part.resize((SIDE, SIDE)) for part in example.parts)
        return replace(example, parts=tuple(parts))


def rotations() -> tuple[Square, str]:
    """Rotation questions, and the images that they are about."""
    photos = DATA / "photos" / "coco"
    if photos.is_dir():
        return Square(TASKS.get("rotation")(load_images(str(photos)))), "COCO photos"
    return Square(TASKS.get("rotation")(default_scenes())), "drawn scenes"


def micro_batch(trainer: Any) -> dict[str, Any]:
    """The arguments of the trainer's log-prob method, for a generation batch of the first example."""
    # The stock trainer finds the prompt in its dataset, ours asks the task.
    trainer.model.train()
    sampled = trainer._prepare_inputs([trainer.train_dataset[0]] * trainer.num_generations)
    wanted = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    return {
        "input_ids": torch.cat([sampled["prompt_ids"], sampled["completion_ids"]], 1),
        "attention_mask": torch.cat([sampled["prompt_mask"], sampled["completion_mask"]], 1),
        "logits_to_keep": sampled["completion_ids"].shape[1],
        **{name: sampled[name] for name in wanted},
    }


def passes(model: Path, task: Any, shape: Shape, runs: int) -> dict[str, Any]:
    """Forward and backward pass of ours and of TRL's method, with the same weights on the same micro-batch."""
    trainers = {"ours": ours(model, task, shape), "stock TRL": stock(model, task, shape)}
    inputs = micro_batch(trainers["ours"])
    weights = torch.linspace(-1, 1, shape.group * shape.completion).view(shape.group, -1)
    found: dict[str, Any] = {}

    def run(name: str) -> None:
        trainer = trainers[name]
        trainer.model.zero_grad()
        logps, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, compute_entropy=True, **inputs)
        (logps * weights).sum().backward()
        if name not in found:
            gradient = torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])
            found[name] = (logps.detach(), gradient)

    seconds = paired(lambda: run("ours"), lambda: run("stock TRL"), runs)
    (logps, gradient), (wanted, true) = found["ours"], found["stock TRL"]
    more = {
        "largest_log_prob_difference": (logps - wanted).abs().max().item(),
        "relative_gradient_difference": ((gradient - true).norm() / true.norm()).item(),
        "prompt": inputs["input_ids"].shape[1] - shape.completion,
    }
    if more["largest_log_prob_difference"] > 1e-4 or more["relative_gradient_difference"] > 1e-4:
        raise SystemExit(f"not what TRL gives: {more}")
    print(more)
    return figure("forward and backward with images against stock TRL", *seconds, at_least=2.0, **more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--completion", type=int, default=32)
    parser.add_argument("--group", type=int, default=8)
    options = parser.parse_args()
    quieten()
    shape = Shape(options.group, options.completion, options.group)
    task, source = rotations()
    with tempfile.TemporaryDirectory() as folder:
        build = runpy.run_path(str(TESTS / "qwen_vl.py"))["build_qwen_vl"]
        model = build(Path(folder) / "model", **SIZE)
        name = "GRPO step with images against stock TRL"
        figures = [
            passes(model, task, shape, options.runs),
            against_stock(model, task, shape, options.runs, name=name, at_least=2.0),
        ]
    report("vision_step", figures, data=source, completion=shape.completion, group=shape.group)


if __name__ == "__main__":
    main()
