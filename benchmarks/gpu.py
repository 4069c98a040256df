"""One command for whoever has a GPU: is everything right on it, and how fast? ``python -m benchmarks.gpu``

At most ten minutes on one GPU, with random weights; nothing is downloaded. Each part is a process of its own with a
limit of time, so that none takes the others with it; what lacks a package says so in a line. Without a GPU every part
runs on the processor with shapes as small as can be (``--small``), which shows that it works and says nothing about
speed.

- ``parity``: log-probabilities, loss and gradients of a micro-batch, with the prompt run once, against TRL's own
  method, in float32 and in bfloat16; bfloat16 has to be as near to float32 as TRL's is.
- ``passes``: forward and backward pass, and memory, over prompt lengths and group sizes; TRL's method with SDPA, and
  with FlashAttention where it is installed.
- ``steps``: whole GRPO steps an hour of models of Qwen2.5's 3B and 7B shapes, with LoRA, against TRL.
- ``images``: forward and backward pass, and a step, of a small Qwen2.5-VL.
- ``vllm``: what vLLM samples with after a sync of the weights, against the trainer's log-probabilities.
"""

from __future__ import annotations

import argparse
import gc
import json
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from benchmarks.common import RESULTS
from benchmarks.prompts import SMOLLM2, Exactly, group, link_task, save_model
from benchmarks.step import Shape, ours, stock
from ssl4rl.environment import environment

GPU = torch.cuda.is_available()
LIMITS = {"parity": 90, "passes": 150, "steps": 240, "images": 60, "vllm": 120}
"""Seconds that each part may take."""
QWEN_HALF: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768, "tie_word_embeddings": True,
}  # fmt: skip
QWEN_3B = QWEN_HALF | {
    "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
}  # fmt: skip
QWEN_7B = QWEN_HALF | {
    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
}  # fmt: skip
SMALL = SMOLLM2 | {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3}
WITHIN = 1.5
"""How many times as far from float32 as TRL's our bfloat16 may be."""

Rows = list[dict[str, Any]]


ATTENTION = {"SDPA": "sdpa"} | ({"FlashAttention": "flash_attention_2"} if GPU and find_spec("flash_attn") else {})
"""What TRL's method can be timed with here, and what transformers calls it."""


class Sides:
    """Our method and TRL's, on one model."""

    def __init__(self, folder: Path, shape: Mapping[str, Any], dtype: torch.dtype) -> None:
        self.task, self.data = link_task()
        model = save_model(folder / "model", self.task, shape, dtype)
        settings = {"model_init_kwargs": {"dtype": str(dtype).removeprefix("torch.")}}
        self.trainer = stock(model, self.task, Shape(2, 4, 2), bf16=dtype == torch.bfloat16, **settings)
        self.model = self.trainer.model.train()

    def inputs(self, prompt: int, completion: int, count: int) -> Any:
        ids, mask, keep = group(self.trainer.processing_class, self.task, prompt, completion, count)
        return ids.to(self.model.device), mask.to(self.model.device), keep

    def run(self, side: str, inputs: Any) -> tuple[Any, Any]:
        """One forward and backward pass: the log-probabilities and the loss, whose gradients the model has then."""
        from ssl4rl.training import shared_prompt

        self.model.zero_grad()
        with self.trainer.accelerator.autocast():
            if side == "ours":
                self.model.config._attn_implementation = "sdpa"
                shared_prompt.prepare(self.model)
                logps, _ = shared_prompt.logps_and_entropies(self.model, *inputs, temperature=1.0)
            else:
                self.model.config._attn_implementation = ATTENTION[side]
                method = self.trainer._get_per_token_logps_and_entropies
                logps, _, _ = method(self.model, *inputs, compute_entropy=True)
        weights = torch.linspace(-1, 1, logps.numel(), device=logps.device).view_as(logps)
        loss = (logps * weights).mean()
        loss.backward()
        return logps.detach().float(), loss.detach().float()

    def gradient(self) -> Any:
        return torch.cat([one.grad.flatten().float().cpu() for one in self.model.parameters() if one.grad is not None])


def parity(small: bool) -> Rows:
    found: dict[tuple[str, str], tuple[Any, Any, Any]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        with tempfile.TemporaryDirectory() as folder:
            sides = Sides(Path(folder), SMALL if small else SMOLLM2, dtype)
            inputs = sides.inputs(64 if small else 1024, 8 if small else 64, 8)
            for side in ("ours", "SDPA"):
                logps, loss = sides.run(side, inputs)
                found[str(dtype), side] = logps.cpu(), loss.cpu(), sides.gradient()
    true = found["torch.float32", "SDPA"]
    rows = []
    for (dtype, side), (logps, loss, gradient) in found.items():
        distance = (gradient - true[2]).norm() / true[2].norm()
        rows.append(
            {
                "dtype": dtype.removeprefix("torch."),
                "side": side,
                "log_prob_difference": (logps - true[0]).abs().max().item(),
                "loss_difference": (loss - true[1]).abs().item(),
                "gradient_difference": distance.item(),
            }
        )
    mine, theirs = (
        next(row for row in rows if row["dtype"] == "bfloat16" and row["side"] == side) for side in ("ours", "SDPA")
    )
    exact = rows[0]["gradient_difference"] < 1e-3
    near = mine["gradient_difference"] <= WITHIN * theirs["gradient_difference"]
    return [*rows, {"passed": exact and near}]


def passes(small: bool) -> Rows:
    rows: Rows = []
    prompts, counts = ((64, 128), (2, 4)) if small else ((512, 1024, 2048, 4096), (8, 16))
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder), SMALL if small else QWEN_HALF, torch.float32 if small else torch.bfloat16)
        for prompt in prompts:
            for count in counts:
                inputs = sides.inputs(prompt, 8 if small else 64, count)
                row: dict[str, Any] = {"prompt": prompt, "group": count}
                for side in ("ours", *ATTENTION):
                    row[side] = measured(lambda side=side, inputs=inputs: sides.run(side, inputs))
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def measured(run: Callable[[], object], runs: int = 3) -> dict[str, float] | str:
    """Median seconds of some runs after one that is not counted, and the largest memory in GiB where there is a GPU."""
    times = []
    try:
        for number in range(runs + 1):
            gc.collect()
            if GPU:
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if GPU:
                torch.cuda.synchronize()
            times += [time.perf_counter() - start] if number else []
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return "out of memory"
    memory = {"gib": torch.cuda.max_memory_allocated() / 2**30} if GPU else {}
    return {"seconds": statistics.median(times), **memory}


def steps(small: bool) -> Rows:
    from ssl4rl.inference.model import ModelFiles
    from ssl4rl.training.recipe import Lora

    rows: Rows = []
    for name, shape in (("3B", SMALL if small else QWEN_3B), ("7B", SMALL if small else QWEN_7B)):
        with tempfile.TemporaryDirectory() as folder:
            task, _ = link_task()
            dtype = torch.float32 if small else torch.bfloat16
            model = save_model(Path(folder) / "model", task, shape, dtype)
            exact = Exactly(task, ModelFiles(str(model)).tokenizer, 128 if small else 1024)
            row: dict[str, Any] = {"model": name}
            size = Shape(8, 8 if small else 64, 8)
            more = {"bf16": not small, "model_init_kwargs": {"dtype": str(dtype).removeprefix("torch.")}}
            for side, make in (("ours", ours), ("TRL", stock)):
                trainer = make(model, exact, size, lora=Lora(r=16), **more)
                trainer.remove_callback(PrinterCallback)
                found = measured(trainer.train, runs=2)
                row[side] = found if isinstance(found, str) else {**found, "an hour": 3600 / found["seconds"]}
                del trainer
                gc.collect()
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    for engine in ("unsloth", "verl"):
        rows.append({"engine": engine, "left out": "not installed" if find_spec(engine) is None else "not timed here"})
    return rows


def images(small: bool) -> Rows:
    from benchmarks.vision_step import SIZE, TESTS, passes, rotations
    from ssl4rl.inference.environment import quieten

    quieten()
    build = runpy.run_path(str(TESTS / "qwen_vl.py"))["build_qwen_vl"]
    task, _ = rotations()
    with tempfile.TemporaryDirectory() as folder:
        model = build(Path(folder) / "model", **(SIZE | ({"num_hidden_layers": 1} if small else {})))
        return [passes(model, task, Shape(4 if small else 8, 8 if small else 32, 4 if small else 8), 1 if small else 5)]


def vllm(small: bool) -> Rows:
    if find_spec("vllm") is None:
        return [{"left out": "vllm is not installed"}]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "sync.json"
        command = ["-m", "benchmarks.vllm_sync", "--steps", "2" if small else "5", "--output", str(output)]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        if not output.is_file():
            raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
        runs = json.loads(output.read_text(encoding="utf-8"))["runs"]
    return [
        {"run": name, "passed": run["passed"], "difference": max(run["mean_difference"])} for name, run in runs.items()
    ]


PARTS: Mapping[str, Callable[[bool], Rows]] = {
    "parity": parity, "passes": passes, "steps": steps, "images": images, "vllm": vllm,
}  # fmt: skip


def run_part(name: str, small: bool) -> dict[str, Any]:
    """One part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, *(["--small"] if small else [])]
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=LIMITS[name])
        lines = done.stdout.strip().splitlines()
        rows = json.loads(lines[-1]) if done.returncode == 0 else [{"failed": f"exit {done.returncode}"}]
    except subprocess.TimeoutExpired:
        rows = [{"failed": f"took longer than {LIMITS[name]} s"}]
    return {"part": name, "seconds": round(time.monotonic() - start, 1), "rows": rows}


def print_table(parts: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    for part in parts:
        table = Table(title=f"{part['part']} ({part['seconds']:.0f} s)", title_justify="left", box=None)
        columns = list(dict.fromkeys(key for row in part["rows"] for key in row))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in part["rows"]:
            table.add_row(*(_cell(row.get(column, "")) for column in columns))
        Console(width=120).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(one)}" for key, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="shapes as small as can be, also on a GPU")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    parser.add_argument("--part", choices=PARTS, help="one part, in this process")
    options = parser.parse_args()
    small = options.small or not GPU
    if options.part:
        print(json.dumps(PARTS[options.part](small)))
        return
    if not GPU:
        print("there is no GPU here: every part runs on the processor, with shapes as small as can be")
    parts = []
    for name in PARTS:
        parts.append(run_part(name, small))
        options.output.parent.mkdir(parents=True, exist_ok=True)
        content = {"environment": environment(), "small": small, "parts": parts}
        options.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print_table(parts)
    if any("failed" in row or row.get("passed") is False for part in parts for row in part["rows"]):
        raise SystemExit("not everything is as it should be: see `failed` and `passed` above")


if __name__ == "__main__":
    main()
