"""A small instruct model learns on a real graph: configs/laptop-graph.yaml on Cora, beside its controls.

    python experiments/make_qwen.py --output QWEN
    python -m experiments.laptop --model QWEN [--arms task-0 random-0 format-0 task-1] [--runs RUNS]

An arm is the recipe with one reward and one seed; nothing else differs. Of each: the held-out score before, of the best
model and of the last (the same examples, paired), the best model on the same prompts with the texts of all shown nodes
blanked, and the node benchmark, which no arm was trained on, before and after. The arms of a seed are compared with
each other, too. Arms that RUNS holds are used as they are, and unfinished ones are resumed. Weights are dequantised
from Q4_K_M. Data: SSL4RL_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ssl4rl
from experiments.asking import scored
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.environment import environment
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.engines import open_engine
from ssl4rl.runs import CONFIG, Run, open_run
from ssl4rl.statistics import Estimate, PairedDifference

RECIPE = Path(__file__).parents[1] / "configs" / "laptop-graph.yaml"
NAME = "Qwen2.5-Coder-0.5B-Instruct, dequantised from Q4_K_M"
ARMS = ("task-0", "random-0", "format-0", "task-1")
ITEMS = 300
ANSWER_TOKENS = 4
KNOBS = {"reasoning": False, "text_budget": 140}
"""Of the node benchmark."""


def started(path: Path) -> bool:
    return (path / CONFIG).is_file()


def train(arm: str, model: str, runs: Path) -> Run:
    """The arm's run, trained as far as it is not."""
    kind, seed = arm.split("-")
    path = runs / arm
    if started(path) and open_run(path).finished:
        return open_run(path)
    return ssl4rl.train(
        RECIPE, path, resume=started(path), model={"path": model}, seed=int(seed), reward={"kind": kind}
    )


def heldout_against(run: Run, step: int, other: Run, other_step: int) -> dict[str, Any]:
    """How much better a run's model was after a step than another's, on the same held-out examples."""
    mine, theirs = (
        [each for each in one.heldout() if each.step == at] for one, at in ((run, step), (other, other_step))
    )
    items = [each.items for each in mine]
    return PairedDifference.of([each.score for each in theirs], [each.score for each in mine], items).as_dict()


def without_texts(run: Run, model: Path, count: int) -> dict[str, Any]:
    """The score of a model on the held-out examples of a run with the texts of the nodes blanked."""
    task, _ = ssl4rl.rebuild(run.heldout()[0].id, run=run)
    blank = task.changed({"corrupt": "text"})
    examples = [blank.example(index) for index in range(count)]
    engine = open_engine("transformers", str(model), dtype="bfloat16", batch_size=16)
    scores = [score for _, score in scored(engine, blank, examples, ANSWER_TOKENS)]
    return Estimate.of(scores, [example.source_items for example in examples]).as_dict()


def node_scores(model: str | Path, path: Path) -> Run:
    """The node benchmark, answer only."""
    recipe = EvalRecipe(
        benchmark="node",
        dataset="cora",
        model=str(model),
        engine="transformers",
        dtype="bfloat16",
        limit=ITEMS,
        max_new_tokens=ANSWER_TOKENS,
        baselines=False,
        knobs=KNOBS,
    )
    if started(path) and open_run(path).finished:
        return open_run(path)
    return evaluate(recipe, None, path, resume=started(path))


def accuracy(run: Run) -> dict[str, Any]:
    scores = run.scores or {}
    return {key: scores[key] for key in ("accuracy", "low", "high", "n", "valid")}


def compared(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    return PairedDifference.of(first, second).as_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--runs", type=Path, default=Path("runs/laptop"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/laptop.json"))
    options = parser.parse_args()
    if not graph_folder("cora").is_dir():
        fetch("cora", options.data / "taglas")
    before = node_scores(options.model, options.runs / "node-before")
    node_before = [one.score for one in before.predictions()]
    rows: dict[str, dict[str, Any]] = {}
    runs: dict[str, Run] = {}
    for arm in options.arms:
        run = runs[arm] = train(arm, options.model, options.runs)
        summary = run.summary or {}
        after = node_scores(run.path / "model", options.runs / f"{arm}-node")
        rows[arm] = {
            **{key: summary[key] for key in ("steps", "seconds", "reward", "heldout")},
            "without texts": without_texts(run, run.path / "model", summary["heldout"]["before"]["n"]),
            "node": {
                "before": accuracy(before),
                "after": accuracy(after),
                "paired": compared(node_before, [one.score for one in after.predictions()]),
            },
        }
        for control, other in runs.items():
            if control != arm and control.split("-")[1] == arm.split("-")[1]:
                # Of both the best model by held-out score, and the last.
                best = [each.summary["heldout"]["best"]["step"] for each in (other, run) if each.summary]
                rows[arm][f"best against {control}"] = heldout_against(run, best[1], other, best[0])
                last = summary["steps"]
                rows[arm][f"last against {control}"] = heldout_against(run, last, other, last)
        result = {"model": NAME, "environment": environment(), "arms": rows}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        held = summary["heldout"]
        print(
            f"{arm}: held out {held['before']['score']:.3f} → best {held['best']['score']:.3f}, "
            f"last {held['after']['score']:.3f}; without texts {rows[arm]['without texts']['score']:.3f}; "
            f"node {accuracy(before)['accuracy']:.3f} → {accuracy(after)['accuracy']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
