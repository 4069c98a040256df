"""Forward and backward pass of a GRPO micro-batch, with the prompt run once. ``python -m benchmarks.shared_prompt``

One group of 8 completions of 32 tokens behind a prompt of 512, a model of SmolLM2-135M's shape in float32. There are
two peers, in the same process on the same micro-batch: TRL's own method, whose fused head scores every prompt position
without a GPU; and the same batch with logits only where they are needed. Our log-probabilities and gradients are
compared with TRL's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import figure, paired, report
from benchmarks.prompts import group, link_task, save_model


def stock(folder: Path, output: Path) -> Any:
    """TRL's trainer with the timing model; only its log-prob method is used."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    arguments = GRPOConfig(
        output_dir=str(output), bf16=False, use_cpu=True, report_to="none", gradient_checkpointing=False
    )
    rows = Dataset.from_dict({"prompt": ["?"]})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return GRPOTrainer(str(folder), lambda **_: [0.0], arguments, rows, processing_class=tokenizer)


def needed_logits(model: Any, ids: Tensor, mask: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The stock batch with logits for the completions alone: log-probabilities and entropies."""
    logits = model(ids, attention_mask=mask, logits_to_keep=keep + 1, use_cache=False).logits[:, :-1]
    logps = logits.log_softmax(-1)
    with torch.no_grad():
        entropies = -(logps.exp() * logps).sum(-1)
    return logps.gather(2, ids[:, -keep:, None])[..., 0], entropies


def gradients(model: Any) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--completion", type=int, default=32)
    parser.add_argument("--group", type=int, default=8)
    options = parser.parse_args()

    from ssl4rl.training import shared_prompt

    with tempfile.TemporaryDirectory() as folder:
        task, source = link_task()
        trainer = stock(save_model(Path(folder) / "model", task), Path(folder) / "run")
    model = trainer.model
    inputs = group(trainer.processing_class, task, options.prompt, options.completion, options.group)
    print(f"{source}; {options.group} completions of {options.completion} tokens, prompt {options.prompt}")
    weights = torch.linspace(-1, 1, options.group * options.completion).view(options.group, -1)
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def step(name: str) -> None:
        model.zero_grad()
        # The peers run with what transformers chose; `prepare` changes it for ours.
        model.config._attn_implementation = "sdpa"
        if name == "ours":
            shared_prompt.prepare(model)
            logps, _ = shared_prompt.logps_and_entropies(model, *inputs, temperature=1.0)
        elif name == "stock TRL":
            logps, _, _ = trainer._get_per_token_logps_and_entropies(model, *inputs, compute_entropy=True)
        else:
            logps, _ = needed_logits(model, *inputs)
        (logps * weights).sum().backward()
        if name not in found:
            found[name] = (logps.detach(), gradients(model))

    figures = []
    for peer, at_least in (("stock TRL", 4.0), ("logits where needed", 3.5)):
        ours, theirs = paired(lambda: step("ours"), lambda peer=peer: step(peer), options.runs)
        (logps, gradient), (wanted, true) = found["ours"], found[peer]
        more = {
            "largest_log_prob_difference": (logps - wanted).abs().max().item(),
            "relative_gradient_difference": ((gradient - true).norm() / true.norm()).item(),
        }
        if more["largest_log_prob_difference"] > 1e-4 or more["relative_gradient_difference"] > 1e-4:
            raise SystemExit(f"not what {peer} gives: {more}")
        print(more)
        figures.append(figure(f"forward and backward against {peer}", ours, theirs, at_least=at_least, **more))
    shape = {"prompt": options.prompt, "completion": options.completion, "group": options.group}
    report("shared_prompt", figures, data=source, threads=torch.get_num_threads(), **shape)


if __name__ == "__main__":
    main()
