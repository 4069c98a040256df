"""Evaluation with all prompts given to the engine at once, against the same engine given one prompt at a time.

    python -m benchmarks.eval_throughput [--repeat 3]

A model of SmolLM2-135M's shape with random weights, on vLLM, in float32; the end token is never written, so every
reply has its full length. Three cases: prompts of 450 tokens with 32 new tokens (the prompt dominates), short prompts
with 256 new tokens (the reply dominates), and prompts that share a long few-shot prefix. Within a repeat both ways
answer the same fresh prompts, one way after the other, with an empty prefix cache before each. Where one at a time
would take long, only the first few are answered that way; seconds are per prompt.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.inference.environment import prepare_environment

SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
CASES = {
    "450-token prompts, 32 new": {"prompt": 450, "shared": 0, "new": 32, "count": 16, "alone": 16, "at_least": 2.5},
    "short prompts, 256 new": {"prompt": 24, "shared": 0, "new": 256, "count": 32, "alone": 4, "at_least": 5.0},
    "shared few-shot prefix, 32 new": {
        "prompt": 450,
        "shared": 416,
        "new": 32,
        "count": 32,
        "alone": 8,
        "at_least": 5.0,
    },
}


def build(folder: Path) -> str:
    """The model with random weights, and a tokenizer with a token per word."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<end>": 0, "<user>": 1, "<reply>": 2, **{f"w{i}": i for i in range(3, SHAPE["vocab_size"])}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<user>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    fast.chat_template = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}<reply>"
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE, eos_token_id=0)).save_pretrained(folder)
    return str(folder)


def conversations(case: dict[str, Any], seed: int) -> list[list[dict[str, str]]]:
    rng = np.random.default_rng(seed)

    def words(count: int) -> list[str]:
        return [f"w{i}" for i in rng.integers(3, SHAPE["vocab_size"], size=count)]

    shared = words(case["shared"])
    own = case["prompt"] - case["shared"] - 2
    return [[{"role": "user", "content": " ".join([*shared, *words(own)])}] for _ in range(case["count"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/eval_throughput.json"))
    options = parser.parse_args()
    prepare_environment()
    from ssl4rl.environment import environment
    from ssl4rl.inference.engines import Sampling, generate, open_engine
    from ssl4rl.inference.model import ModelFiles

    figures = []
    with tempfile.TemporaryDirectory() as folder:
        files = ModelFiles(build(Path(folder)))
        engine = open_engine("vllm", files, dtype="float32")
        # No token ends a reply: random weights would end some of them early.
        files.eos_token_ids = []
        for name, case in CASES.items():
            ratios, ours, peer = [], [], []
            for repeat in range(options.repeat):
                sampling = Sampling(case["new"])
                asked = conversations(case, 2 * repeat)
                start = time.perf_counter()
                together = generate(engine, asked, sampling)
                ours.append((time.perf_counter() - start) / case["count"])
                engine.llm.reset_prefix_cache()  # type: ignore[attr-defined]
                start = time.perf_counter()
                alone = [generate(engine, [one], sampling)[0] for one in asked[: case["alone"]]]
                peer.append((time.perf_counter() - start) / case["alone"])
                engine.llm.reset_prefix_cache()  # type: ignore[attr-defined]
                if any(reply.num_tokens != case["new"] for reply in (*together, *alone)):
                    raise SystemExit(f"{name}: a reply does not have {case['new']} tokens")
                ratios.append(peer[-1] / ours[-1])
                print(
                    f"{name}: {ours[-1]:.2f} s a prompt at once, {peer[-1]:.2f} s one by one: {ratios[-1]:.2f}x",
                    flush=True,
                )
            figures.append(
                {
                    "figure": name,
                    "ours": statistics.median(ours),
                    "peer": statistics.median(peer),
                    "ratio": statistics.median(ratios),
                    "low": min(ratios),
                    "high": max(ratios),
                    "at_least": case["at_least"],
                }
            )
            print(json.dumps(figures[-1]), flush=True)
            options.output.write_text(json.dumps({"environment": environment(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
