"""Which task helps which benchmark? The embedded model on the embedded graph, before and after training on each task.

    python -m experiments.transfer [--runs FOLDER] [--seeds 0 1 2]

Every task is trained for 80 steps of the quickstart's recipe over several seeds (finished runs in FOLDER are used as
they are), and every trained model answers the same items as the untrained one: node classification and link prediction
on the test split. The differences are paired over items (Newcombe's interval, McNemar's mid-p), and their p-values are
also given corrected for the number of comparisons (Holm 1979).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ssl4rl.environment import environment
from ssl4rl.evaluation.compare import compare
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.runs import CONFIG, open_run

STEPS = 80
TASKS = {"link": "medium", "neighbor": "easy", "attribute": "easy"}
BENCHMARKS = ("node", "link")


def train(task: str, seed: int, folder: Path) -> None:
    if (folder / CONFIG).is_file() and open_run(folder).finished:
        return
    command = [sys.executable, "-m", "ssl4rl.cli.main", "graph", "train", "--task", task, "--level", TASKS[task]]
    command += ["--set", f"grpo.max_steps={STEPS}"]
    subprocess.run([*command, "--set", f"seed={seed}", "--output", str(folder)], check=True)


def answer(model: str, folder: Path, items: int, baselines: bool) -> dict[str, dict[str, Any]]:
    """The scores of one model on every benchmark."""
    scores = {}
    opened: Model | None = None
    for benchmark in BENCHMARKS:
        recipe = EvalRecipe(
            benchmark=benchmark,
            model=model,
            limit=items,
            max_new_tokens=64,
            ablate=None if baselines else [],
            baselines=baselines,
        )
        path = folder / benchmark
        started = (path / CONFIG).is_file()
        if not started or not open_run(path).finished:
            opened = opened or Model.open(recipe)
            evaluate(recipe, opened, path, resume=started)
        scores[benchmark] = dict(open_run(path).scores or {})
    return scores


def holm(rows: list[dict[str, Any]]) -> None:
    """Adds ``p_holm`` to every row."""
    worst = 0.0
    for rank, row in enumerate(sorted(rows, key=lambda row: float(row["p"]))):
        worst = max(worst, min(1.0, (len(rows) - rank) * row["p"]))
        row["p_holm"] = worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("experiments/results/transfer.json"))
    options = parser.parse_args()
    before = answer("tiny", options.runs / "eval-tiny", options.items, baselines=True)
    rows: list[dict[str, Any]] = []
    heldout = []
    for task, level in TASKS.items():
        for seed in options.seeds:
            name = f"{task}-{seed}"
            train(task, seed, options.runs / name)
            summary = open_run(options.runs / name).summary or {}
            heldout.append({"task": f"{task}@{level}", "seed": seed, **summary["heldout"]})
            after = answer(str(options.runs / name / "model"), options.runs / f"eval-{name}", options.items, False)
            for benchmark in BENCHMARKS:
                trained = open_run(options.runs / f"eval-{name}" / benchmark)
                comparison = compare(open_run(options.runs / "eval-tiny" / benchmark), trained)
                paired = comparison.paired
                rows.append(
                    {
                        "trained_on": f"{task}@{level}",
                        "seed": seed,
                        "benchmark": benchmark,
                        "n": comparison.shared,
                        "before": comparison.first.score,
                        "after": comparison.second.score,
                        "difference": paired.difference,
                        "low": paired.low,
                        "high": paired.high,
                        "p": paired.p,
                        "lenient_before": before[benchmark]["lenient"]["accuracy"],
                        "lenient_after": after[benchmark]["lenient"]["accuracy"],
                        "parsed_after": after[benchmark]["parsed"],
                    }
                )
    holm(rows)
    untrained = {name: {key: scores[key] for key in ("accuracy", "baselines")} for name, scores in before.items()}
    result = {"environment": environment(), "untrained": untrained, "heldout": heldout, "rows": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['trained_on']:16} seed {row['seed']} on {row['benchmark']:5} "
            f"{row['before']:.3f} → {row['after']:.3f}"
            f"  {100 * row['difference']:+5.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
            f"  p {row['p']:.2g}, corrected {row['p_holm']:.2g}"
        )
    clear = [f"{row['trained_on']} → {row['benchmark']}, seed {row['seed']}" for row in rows if row["p_holm"] < 0.05]
    print(json.dumps({"figure": "paired change on a benchmark, p < 0.05 after Holm's correction", "rows": clear}))


if __name__ == "__main__":
    main()
