"""Memory of a GRPO training step above its start, with the prompt run once. ``python -m benchmarks.memory``

Forward and backward pass of one group of 8 completions of 64 tokens behind a prompt of 1,024, a model of SmolLM2-135M's
shape in float32, against TRL's own method; without gradient checkpointing, and with it. Each measurement is a process
of its own: the largest resident memory during the step less that before it (the gradients, which a step's start does
not have, are in both).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import figure, paired, report
from benchmarks.prompts import group, link_task, save_model
from benchmarks.shared_prompt import stock

GIB = 2**30


def resident(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (the largest since it was reset) in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure_here(folder: Path, side: str, options: argparse.Namespace) -> float:
    """GiB that one step of this process takes above its start."""
    from ssl4rl.training import shared_prompt

    task, _ = link_task()
    trainer = stock(folder, folder.parent / "run")
    model = trainer.model.train()
    if options.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if side == "ours":
        shared_prompt.prepare(model)

    def step(prompt: int, completion: int) -> None:
        inputs = group(trainer.processing_class, task, prompt, completion, options.group)
        if side == "ours":
            logps, _ = shared_prompt.logps_and_entropies(model, *inputs, temperature=1.0)
        else:
            logps, _, _ = trainer._get_per_token_logps_and_entropies(model, *inputs, compute_entropy=True)
        logps.sum().backward()
        model.zero_grad()

    # Warm-up: what a process allocates once does not count.
    step(16, 2)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    start = resident("VmRSS")
    step(options.prompt, options.completion)
    return (resident("VmHWM") - start) / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--completion", type=int, default=64)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--side", choices=("ours", "stock TRL"), help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        print(json.dumps(measure_here(options.model, options.side, options)))
        return

    task, source = link_task()
    print(f"{source}; {options.group} completions of {options.completion} tokens, prompt {options.prompt}")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(Path(folder) / "model", task)
        shape = [f"--{name}={getattr(options, name)}" for name in ("prompt", "completion", "group")]

        def measure(side: str, checkpointing: bool) -> float:
            command = [sys.executable, "-m", "benchmarks.memory", "--side", side, "--model", str(model), *shape]
            command += ["--checkpointing"] if checkpointing else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return float(output.splitlines()[-1])

        for checkpointing in (False, True):
            ours, theirs = paired(
                lambda: "ours",
                lambda: "stock TRL",
                options.runs,
                warmup=0,
                measure=lambda side, checkpointing=checkpointing: measure(str(side()), checkpointing),
            )
            name = "memory of a training step" + (", gradient checkpointing" if checkpointing else "")
            figures.append(figure(name, ours, theirs, unit="GiB", at_least=None if checkpointing else 2.0))
    report("memory", figures, data=source, prompt=options.prompt, completion=options.completion, group=options.group)


if __name__ == "__main__":
    main()
