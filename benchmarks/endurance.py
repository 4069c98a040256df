"""Long runs without a model: memory, open files and time an item, from the first to the last; and workers that agree.

    python -m benchmarks.endurance [--train 10000] [--items 100000]

A graph of 200,000 nodes and 1,200,000 edges. Training draws so many `link` examples, four replies to each, scores them
and writes the records, as a run does; the evaluation is a whole one, of so many `link` items, with a stub for the
engine. A figure is taken at the start, in the middle and at the end: what is resident, and how many files are open.
Last, 1, 2 and 8 processes draw the same examples; a digest says whether they are equal.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.common import report
from benchmarks.random_graph import random_graph
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.run import evaluate
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.inference.messages import Messages
from ssl4rl.runs import COMPLETIONS, Run
from ssl4rl.training.recipe import Reward
from ssl4rl.training.rewards import RewardFunction

NODES, EDGES = 200_000, 1_200_000
REPLIES = (
    "<answer>yes</answer>",
    "<answer>no</answer>",
    "no idea",
    "<think>They share words.</think><answer>yes</answer>",
)
PROMPTS = 8
"""Examples of a step."""
SHARED = 400
"""Examples that each number of workers draws."""


class Watch:
    """Memory and open files of this process at moments of a run."""

    def __init__(self, what: str) -> None:
        self.what, self.started = what, time.perf_counter()
        self.rows: list[dict[str, float]] = []

    def look(self, done: int) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        files = sum(1 for _ in Path("/proc/self/fd").iterdir())
        seconds, cpu = time.perf_counter() - self.started, time.process_time()
        row = {
            "done": done,
            "mib": round(resident, 1),
            "files": files,
            "seconds": round(seconds, 1),
            "cpu_s": round(cpu, 1),
        }
        self.rows.append(row)
        print(self.what, row, flush=True)


def train(graph: TextAttributedGraph, examples: int, folder: Path) -> list[dict[str, float]]:
    """What training does besides the model: examples, scores, records."""
    task = Link(graph)
    run = Run.create(folder, {"tasks": [{"name": task.name}]})
    reward = RewardFunction(task, Reward(), lambda ids: REPLIES[ids[0]])
    watch = Watch("training")
    for step, start in enumerate(range(0, examples, PROMPTS)):
        if step in (examples // PROMPTS // 10, examples // PROMPTS // 2):
            watch.look(start)
        indices = [index for index in range(start, min(start + PROMPTS, examples)) for _ in REPLIES]
        reward.load(indices)
        records = reward.score([[n % len(REPLIES)] for n in range(len(indices))], indices, step)
        run.append(COMPLETIONS, *records)
    watch.look(examples)
    return watch.rows


class Stub:
    """An engine that answers at once, by the length of the prompt."""

    files = None
    identity: ClassVar = {"engine": "stub", "model": "stub"}

    def __init__(self, total: int, watch: Watch) -> None:
        self.total, self.watch, self.done = total, watch, 0

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        for index, messages in enumerate(conversations):
            if self.done in (self.total // 10, self.total // 2):
                self.watch.look(self.done)
            self.done += 1
            yield index, Reply(REPLIES[len(str(messages)) % len(REPLIES)], num_tokens=5, truncated=False)

    def likelihoods(self, conversations: Any, choices: Any) -> Iterator[tuple[int, list[float]]]:
        raise NotImplementedError


def run_evaluation(graph: TextAttributedGraph, items: int, folder: Path) -> list[dict[str, float]]:
    """A whole evaluation, with a stub for the engine; baselines are left out."""
    watch = Watch("evaluation")
    engine = Stub(items, watch)
    settings: dict[str, Any] = {"limit": items, "baselines": False, "ablate": []}
    run = evaluate(LinkPrediction(graph), Model(engine, ReplyCache(None)), folder, say=lambda line: None, **settings)
    watch.look(items)
    if run.scores is None or run.scores["n"] != items:
        raise RuntimeError(f"the evaluation scored {run.scores and run.scores['n']} items of {items}")
    return watch.rows


_task: Link | None = None


def _open(graph: TextAttributedGraph) -> None:
    global _task
    _task = Link(graph)


def _draw(index: int) -> str:
    assert _task is not None
    example = _task.example(index)
    return json.dumps([str(example.id), example.text, example.gold, example.scoring])


def digests(graph: TextAttributedGraph, workers: Sequence[int], examples: int) -> dict[int, str]:
    """The digest of the same examples, drawn by so many processes."""
    found = {}
    for count in workers:
        with multiprocessing.get_context("fork").Pool(count, _open, (graph,)) as pool:
            drawn = pool.map(_draw, range(examples), chunksize=7)
        found[count] = hashlib.sha256("\n".join(drawn).encode()).hexdigest()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        os.environ["SSL4RL_HOME"] = str(Path(scratch) / "home")
        graph = random_graph(NODES, EDGES, Path(scratch) / "texts")
        rows = {"training": train(graph, options.train, Path(scratch) / "train")}
        rows["evaluation"] = run_evaluation(graph, options.items, Path(scratch) / "eval")
        same = digests(graph, (1, 2, 8), SHARED)
    print("1, 2 and 8 workers agree:", len(set(same.values())) == 1)
    report("endurance", [], rows=rows, workers_agree=len(set(same.values())) == 1)


if __name__ == "__main__":
    main()
