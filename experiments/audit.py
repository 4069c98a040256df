"""Audit every graph task and benchmark at every level on every source at hand.

    python -m experiments.audit --examples 10000        (make audit-full)

Two questions. Can a reply that never looked at the prompt earn more than its chance? And does a prompt show what it
must not: an edge between the asked nodes, an edge of val or test, or the masked text? The second is answered by
reading the prompt back, not by asking the code that wrote it. Sources are the embedded graph and, where they exist
under SSL4RL_TEST_DATA (default ../shared/data), real graphs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.answers import OPTION_LETTERS, words
from ssl4rl.data import load_graph
from ssl4rl.example import Example
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split
from ssl4rl.graph.task import GraphTask
from ssl4rl.registry import BENCHMARKS, TASKS
from ssl4rl.tasks import Benchmark, NotApplicable

TAGLAS = ("cora", "wn18rr", "fb15k237")
NODE_LINE = re.compile(r"\[(\d+)\] (.*)")
EDGE_LINE = re.compile(r"\[(\d+)\] --.*?-*>? ?\[(\d+)\]")
SHORT_EDGES = re.compile(r"Edges: (.*)\.")


def blind_answers(task: GraphTask[Any]) -> list[str]:
    """Replies that a model could give without looking: nothing, every constant, lists, over-long ones, torn tags."""
    if isinstance(task, Benchmark):
        letters = "".join(label for label in task.choices(task.example(0)) if label in OPTION_LETTERS)
    else:
        letters = OPTION_LETTERS[: getattr(task.knobs, "num_candidates", getattr(task.knobs, "num_options", 4))]
    answers = ["", "yes", "no", "yes, no", *letters, ", ".join(letters), ", ".join(letters[:2]), ", ".join(letters[:3])]
    answers += [", ".join(OPTION_LETTERS), "A, A", "1=A", "2=B", "1=A, 2=B, 3=C", "1=A, 2=A, 3=A, 4=A, 5=A", "the a of"]
    answers += ["1", "2", "10", "200"]
    replies = [f"<answer>{answer}</answer>" for answer in answers]
    torn = ["", "yes", "<answer>yes", "<answer>yes</answer><answer>no</answer>", "<answer><answer>A</answer></answer>"]
    return [*replies, *torn, "<answer>" + "A, " * 200 + "</answer>", "</think><answer>yes</answer></think>"]


def excess(task: GraphTask[Any], examples: Iterable[Example]) -> dict[str, float]:
    """Blind replies that earn more than chance by over three standard errors, with the excess in standard errors."""
    rows = list(examples)
    chance = np.array([task.chance(example) for example in rows])
    found = {}
    for reply in blind_answers(task):
        gain = np.array([task.score(reply, example).value for example in rows]) - chance
        error = max(float(gain.std(ddof=1)) / len(rows) ** 0.5, 1e-9)
        if gain.mean() > 3 * error:
            found[reply] = round(float(gain.mean()) / error, 2)
    return found


def shown_edges(prompt: str) -> Iterator[tuple[int, int]]:
    """The edges that a prompt shows, in local numbers, read from its text."""
    after = prompt[prompt.index("\nEdges:") + 1 :]
    if short := SHORT_EDGES.match(after):
        for pair in short.group(1).split(", "):
            if found := re.fullmatch(r"(\d+)(?:->|-)(\d+)", pair):
                yield int(found[1]), int(found[2])
    for line in after.splitlines()[1:]:
        if found := EDGE_LINE.match(line):
            yield int(found[1]), int(found[2])


class Leaks:
    """Finds what a prompt must not show."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self.graph = graph
        split = edge_split(graph)
        ends = graph.edge_index
        self.linked = {frozenset(pair) for pair in ends.T.tolist()}
        held_out = np.concatenate([split["val"], split["test"]])
        self.held_out = {frozenset(pair) for pair in ends[:, held_out].T.tolist()}

    def of(self, example: Example) -> list[str]:
        meta, prompt = example.meta, example.text
        node_of = {int(number): node for number, node in meta["nodes"].items()}
        pairs = [frozenset(node_of[end] for end in edge) for edge in shown_edges(prompt)]
        problems = []
        if len(pairs) != len(meta["edges"]):
            problems.append("the prompt's edges cannot all be read back")
        if any(pair not in self.linked for pair in pairs):
            problems.append("shows an edge that does not exist")
        if any(pair in self.held_out for pair in pairs):
            problems.append("shows an edge of val or test")
        if "asked" in meta and frozenset(meta["asked"]) in pairs:
            problems.append("shows the asked edge")
        for node in meta.get("hidden", ()):
            if frozenset((meta["target"], node)) in pairs or node in node_of.values():
                problems.append("shows a hidden neighbour")
        shown = {int(found[1]): found[2] for found in map(NODE_LINE.fullmatch, prompt.splitlines()) if found}
        for node in meta.get("masked", ()):
            secret = words(self.graph.texts[node])
            run = f" {' '.join(secret[:8])} "
            if any(run in f" {' '.join(words(text))} " for text in shown.values()):
                problems.append("shows a masked text")
        return problems


def audit(task: GraphTask[Any], count: int) -> dict[str, Any]:
    """One row of the report: what was found in ``count`` examples of one task on one source."""
    leaks = Leaks(task.source)
    # A benchmark has so many items and no more; half of them are kept to look again.
    count = min(count, getattr(task, "size", 2 * count) // 2)
    start = time.perf_counter()
    examples = [task.example(index) for index in range(count)]
    seconds = time.perf_counter() - start
    gold = [task.score(f"<think>?</think><answer>{task.gold(e)}</answer>", e).value for e in examples]
    found = [problem for example in examples for problem in leaks.of(example)]
    suspects = excess(task, examples)
    if suspects:
        # About one in 700 honest constants exceeds three standard errors: an excess has to show on fresh examples too.
        again = excess(task, (task.example(count + index) for index in range(count)))
        suspects = {reply: again[reply] for reply in suspects if reply in again}
    return {
        "source": task.source.name,
        "task": task.label,
        "split": task.split,
        "examples": count,
        "distinct": len({example.text for example in examples}),
        "gold_below_1": sum(value < 1 for value in gold),
        "leaks": sorted(set(found)),
        "blind_above_chance": suspects,
        "ms_per_example": round(1000 * seconds / count, 2),
    }


def sources(data: Path) -> Iterator[TextAttributedGraph]:
    """The embedded graph, then the real ones that are there (converted into a temporary SSL4RL_HOME)."""
    yield load_graph(None)
    if not data.is_dir():
        print(f"{data} is not there: real graphs are left out", file=sys.stderr)
        return
    yield load_graph(str(data / "folder_tag"))
    from ssl4rl.data.graphs.fetch import fetch

    with tempfile.TemporaryDirectory() as home:
        os.environ["SSL4RL_HOME"] = home
        for name in TAGLAS:
            fetch(name, data / "taglas")
            yield load_graph(name)


def every_task(graph: TextAttributedGraph, split: str) -> Iterator[GraphTask[Any]]:
    """All graph tasks at all levels that apply to the graph; on split ``test`` all benchmarks."""
    if split == "test":
        kinds = [BENCHMARKS.get(name) for name in ("node", "link", "relation")]
    else:
        kinds = [TASKS.get(name) for name in ("attribute", "neighbor", "link")]
    for kind in kinds:
        for level in kind.levels:
            try:
                yield kind(graph, level=level, split=split)
            except NotApplicable:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/audit.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for graph in sources(options.data):
        for split in ("train", "val", "test"):
            for task in every_task(graph, split):
                row = audit(task, options.examples if split == "train" else options.examples // 10)
                rows.append(row)
                print(json.dumps(row), flush=True)
                options.output.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    bad = [row for row in rows if row["leaks"] or row["gold_below_1"] or row["blind_above_chance"]]
    print(f"{len(rows)} combinations, {sum(row['examples'] for row in rows):,} examples, {len(bad)} with a finding")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
