"""Does the embedded vision-language model learn? The vision quickstart over several seeds, held out before and after.

    python -m experiments.vision_learning [--tasks rotation position] [--seeds 0 1 2]

Each seed is one run of the command line in a process of its own, with that seed's examples and sampling. Runs that
the results file already holds are not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.environment import environment
from ssl4rl.registry import TASKS
from ssl4rl.runs import open_run

RESULTS = Path("experiments/results/vision_learning.json")


def train(task: str, seed: int) -> dict[str, Any]:
    """The summary of one run, with the chance level of its held-out examples."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "ssl4rl.cli.main", "vision", "train", "--task", task]
        subprocess.run([*command, "--set", f"seed={seed}", "--output", str(run)], check=True)
        summary = dict(open_run(run).summary or {})
    heldout = TASKS.get(task)(default_scenes(), split="val", seed=seed)
    count = summary["heldout"]["before"]["n"]
    chance = sum(heldout.example(index).chance for index in range(count)) / count
    return {"seed": seed, "chance": round(chance, 4), **summary}


def gained(run: dict[str, Any], suffix: str) -> tuple[float, bool]:
    """The held-out gain, and whether the intervals are apart; suffix ``_parsed``: of the parsed replies alone."""
    before, after = run["heldout"]["before"], run["heldout"]["after"]
    gain = after[f"score{suffix}"] - before[f"score{suffix}"]
    return round(gain, 4), after[f"low{suffix}"] > before[f"high{suffix}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["rotation", "position"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    if options.output.is_file():
        runs = json.loads(options.output.read_text(encoding="utf-8"))["runs"]
    for task in options.tasks:
        for seed in options.seeds:
            label = TASKS.get(task)(default_scenes()).label
            if any((run["task"], run["seed"]) == (label, seed) for run in runs):
                continue
            runs.append(train(task, seed) | {"environment": environment()})
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    for label in dict.fromkeys(run["task"] for run in runs):
        of_task = [run for run in runs if run["task"] == label]
        figure: dict[str, Any] = {"figure": f"held-out gain, {label}", "seconds": [run["seconds"] for run in of_task]}
        for suffix in ("", "_parsed"):
            gains = [gained(run, suffix) for run in of_task]
            figure |= {
                f"gains{suffix}": [gain for gain, _ in gains],
                f"apart{suffix}": all(apart for _, apart in gains),
            }
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
