"""A real instruct model on real graphs, with vLLM on the CPU: SmolLM2-135M-Instruct on Cora, WN18RR and FB15k-237.

    python experiments/make_smollm2.py --output FOLDER
    python -m experiments.smollm2_graph --model FOLDER [--runs RUNS]

Prompts of at most 512 tokens, replies of at most 64, greedy; 500 items where a reply is written (and 200 again with
the graph removed), 100 where labels are scored by their likelihood (and all again with the graph removed). Weights are
dequantised from Q4_1. Data: SSL4RL_TEST_DATA (default ../shared/data). Finished evaluations in RUNS are used as they
are, and unfinished ones are resumed.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.environment import environment
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.plan import build_benchmark
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.model import ModelFiles
from ssl4rl.runs import CONFIG, open_run

ASKED = (("node", "cora"), ("link", "cora"), ("relation", "wn18rr"), ("relation", "fb15k237"))
ITEMS = {"generate": 500, "likelihood": 100}
LONGEST_PROMPT = 512
NAME = "SmolLM2-135M-Instruct"


def prompt_lengths(recipe: EvalRecipe, model: str) -> dict[str, int]:
    """Tokens of the prompts: the median and the longest."""
    benchmark, files = build_benchmark(recipe), ModelFiles(model)
    lengths = sorted(len(files.prompt_ids(benchmark.example(i).messages())) for i in range(recipe.limit or 0))
    return {"median": lengths[len(lengths) // 2], "longest": lengths[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/smollm2"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/smollm2_graph.json"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    model: Model | None = None
    for scoring, items in ITEMS.items():
        for benchmark, dataset in ASKED:
            if not graph_folder(dataset).is_dir():
                fetch(dataset, options.data / "taglas")
            recipe = EvalRecipe(
                benchmark=benchmark,
                dataset=dataset,
                model=options.model,
                engine="vllm",
                scoring=scoring,  # type: ignore[arg-type]
                limit=items,
                max_new_tokens=64 if scoring == "generate" else None,
                knobs={"text_budget": 140},
            )
            path = options.runs / f"{benchmark}-{dataset}-{scoring}"
            started = (path / CONFIG).is_file()
            if not started or not open_run(path).finished:
                model = model or Model.open(recipe)
                evaluate(recipe, model, path, resume=started)
            lengths = prompt_lengths(recipe, options.model)
            if lengths["longest"] > LONGEST_PROMPT:
                raise SystemExit(f"{path}: a prompt has {lengths['longest']} tokens")
            run = open_run(path)
            scores = {**(run.scores or {}), "model": NAME}
            # A class's name is the data's; 237 of them say little here.
            scores.pop("confusion"), scores.pop("per_class")
            rows.append(
                {
                    "recipe": {**run.config, "model": NAME},
                    "prompt_tokens": lengths,
                    "packages": run.environment["packages"],
                    "scores": scores,
                }
            )
            options.output.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
            print(
                f"{path.name}: {scores['accuracy']:.3f}, lenient {scores['lenient']['accuracy']:.3f}, n={scores['n']}"
            )
    print(json.dumps({"figure": f"{NAME}, evaluations finished", "ours": len(rows), "peer": None}))


if __name__ == "__main__":
    main()
