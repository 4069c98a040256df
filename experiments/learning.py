"""Does the embedded model learn? The quickstart over several seeds, held out before and after.

    python -m experiments.learning [--task link] [--level LEVEL] [--seeds 0 1 2 3 4]

Each seed is one run of the command line in a process of its own, with that seed's examples and sampling. The scores are
reported with the chance level and, for `link`, with what the generator's own posterior would score on the same held-out
examples: the best possible with the subgraph that a prompt shows, and with the two texts alone. The first two seeds are
run again as if the processor could do less (ATEN_CPU_CAPABILITY): another order of rounding is another run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ssl4rl.data.graphs.citations import default_graph, link_posterior
from ssl4rl.environment import environment
from ssl4rl.registry import TASKS
from ssl4rl.runs import open_run


def train(task: str, level: str, seed: int, capability: str | None, folder: Path) -> dict[str, Any]:
    """The summary of one run."""
    variables = {**os.environ, **({"ATEN_CPU_CAPABILITY": capability} if capability else {})}
    command = [sys.executable, "-m", "ssl4rl.cli.main", "graph", "train", "--task", task, "--level", level]
    subprocess.run([*command, "--set", f"seed={seed}", "--output", str(folder)], check=True, env=variables)
    return dict(open_run(folder).summary or {})


def ceiling(level: str, seed: int, count: int) -> dict[str, float]:
    """Accuracy of the exact posterior on the held-out `link` examples of that seed."""
    graph = default_graph()
    task = TASKS.get("link")(graph, split="val", level=level, seed=seed)
    right = {"shown_subgraph": 0, "two_texts": 0}
    for index in range(count):
        example = task.example(index)
        texts = {node: graph.texts[node] for node in example.meta["nodes"].values()}
        pair, yes = example.meta["asked"], example.gold == "yes"
        right["shown_subgraph"] += (link_posterior(pair, texts, example.meta["edges"]) > 0.5) == yes
        right["two_texts"] += (link_posterior(pair, {node: texts[node] for node in pair}, []) > 0.5) == yes
    return {name: value / count for name, value in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="link")
    parser.add_argument("--level")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--capabilities", nargs="*", default=["avx2", "default"], help="for the first two seeds")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    kind = TASKS.get(options.task)
    level = options.level or kind.default_level
    output = options.output or Path(f"experiments/results/learning-{options.task}-{level}.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    runs = []
    asked = [(seed, None) for seed in options.seeds]
    asked += [(seed, capability) for capability in options.capabilities for seed in options.seeds[:2]]
    for seed, capability in asked:
        with tempfile.TemporaryDirectory() as folder:
            summary = train(options.task, level, seed, capability, Path(folder) / "run")
        task = kind(default_graph(), split="val", level=level, seed=seed)
        count = summary["heldout"]["before"]["n"]
        chance = sum(task.example(index).chance for index in range(count)) / count
        row = {"seed": seed, "capability": capability, "chance": round(chance, 4), **summary}
        if options.task == "link":
            row["best_possible"] = ceiling(level, seed, count)
        runs.append(row)
        output.write_text(json.dumps({"environment": environment(), "runs": runs}, indent=1) + "\n")
    gains = [run["heldout"]["after"]["score"] - run["heldout"]["before"]["score"] for run in runs]
    largest_p = max(run["heldout"]["paired"]["p"] for run in runs)
    print(json.dumps({"figure": f"held-out gain, {options.task}@{level}", "gains": gains, "largest_p": largest_p}))


if __name__ == "__main__":
    main()
