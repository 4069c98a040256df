"""Does vLLM on the CPU sample from the trainer's current weights? ``python -m benchmarks.vllm_sync``

Ten GRPO steps in float32 with a learning rate that visibly moves the weights; after each sync, vLLM's and the
trainer's log-probabilities of the sampled tokens are compared (TRL's ``sampling/sampling_logp_difference``): once with
a head that is tied to the embeddings, once with one of its own, once with LoRA. ``weights_moved`` shows that the test
is not empty: it is the mean change of a token's log-probability over the whole run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "vllm_sync.json"
LIMIT = 1e-3


def untied_copy(model: Path, target: Path) -> Path:
    """The same model with a head of its own (equal to the embeddings at first)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    copy = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    head = copy.get_input_embeddings().weight.detach().clone()
    copy.config.tie_word_embeddings = False
    copy.lm_head.weight = type(copy.lm_head.weight)(head)
    copy.save_pretrained(target)
    AutoTokenizer.from_pretrained(model).save_pretrained(target)
    return target


def moved(before: Path, after: Path, texts: list[str]) -> float:
    """Mean absolute change of the log-probability of the texts' tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(before)
    models = [AutoModelForCausalLM.from_pretrained(path, dtype="float32") for path in (before, after)]
    changes = []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            first, second = (model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]) for model in models)
            changes.append((first - second).abs().mean().item())
    return sum(changes) / len(changes)


def measure(model: Path, name: str, steps: int, learning_rate: float, overrides: list[str]) -> dict[str, Any]:
    """One run; the differences of each of its steps."""
    from ssl4rl.training.recipe_file import load_recipe
    from ssl4rl.training.run import train

    settings = {
        "engine": "vllm",
        "heldout.examples": 0,
        "grpo.max_steps": steps,
        "grpo.learning_rate": learning_rate,
        "grpo.lr_scheduler_type": "constant",
        "grpo.per_device_train_batch_size": 64,
        "grpo.gradient_accumulation_steps": 1,
        "grpo.bf16": "false",
        "grpo.gradient_checkpointing": "false",
        "grpo.save_strategy": "'no'",
        "grpo.max_completion_length": 64,
    }
    recipe = load_recipe(model=str(model), overrides=[*(f"{k}={v}" for k, v in settings.items()), *overrides])
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, Path(folder) / "run")
        lines = [line for line in run.metrics() if line["step"] > 0]
        replies = [completion.reply for completion in run.completions()][:32]
        change = moved(model, run.path / "model", [reply for reply in replies if len(reply) > 8])
    differences = [line["sampling/sampling_logp_difference/mean"] for line in lines]
    largest = [line["sampling/sampling_logp_difference/max"] for line in lines]
    print(f"{name}: mean difference {max(differences):.1e} at worst, largest {max(largest):.1e}, moved {change:.3f}")
    return {
        "mean_difference": differences,
        "max_difference": largest,
        "weights_moved": change,
        "learning_rate": learning_rate,
        "passed": max(differences) < LIMIT,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()

    from ssl4rl.environment import environment
    from ssl4rl.inference.model import resolve

    model = Path(resolve(arguments.model))
    with tempfile.TemporaryDirectory() as folder:
        untied = untied_copy(model, Path(folder) / "untied")
        runs = {
            "tied head": measure(model, "tied head", arguments.steps, 1e-3, []),
            "own head": measure(untied, "own head", arguments.steps, 1e-3, []),
            "LoRA": measure(model, "LoRA", arguments.steps, 1e-2, ["model.lora.r=8"]),
        }
        shutil.rmtree(untied)
    found = environment()
    machine = {key: found[key] for key in ("time", "python", "platform", "packages", "cpus", "threads", "git")}
    result = {"model": arguments.model, "steps": arguments.steps, "limit": LIMIT, "runs": runs, "machine": machine}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {arguments.output}")
    if not all(run["passed"] for run in runs.values()):
        raise SystemExit(f"vLLM's log-probabilities differ from the trainer's by {LIMIT} or more")


if __name__ == "__main__":
    main()
