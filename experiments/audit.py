"""Check the contract of every registered task and benchmark at every level, on every source at hand.

    python -m experiments.audit                         (2,000 examples of each)
    python -m experiments.audit --examples 10000        (make audit-full)

Three questions. Are the formal rules of ``ssl4rl.audit`` kept, can a reply that never looked at the prompt earn more
than its chance, and does a prompt show what it must not? And, of tasks: can the reward be had without the task, by a
rule that is fitted on what train asks and offers, or by the shape of the graph? The answers are written to
experiments/results/audit.json and experiments/results/fairness.json; what is a finding is printed.

Sources are the embedded ones and, where they exist under SSL4RL_TEST_DATA (default ../shared/data), real graphs and
photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.fairness import Cell, judge, measure
from ssl4rl.audit.registered import every_task
from ssl4rl.errors import NotApplicable
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SPLITS, Source

FETCHED = ("cora", "wn18rr", "fb15k237")
"""Graphs whose raw files may be at hand; they are converted into a temporary SSL4RL_HOME."""
FOLDERS = (
    ("graph", "folder_tag"),
    *(("graph", f"graphs/{name}") for name in ("wikispeedia", "webkb-texas", "umls", "peps", "spack")),
    ("images", "photos"),
)
OTHERS_SHARE = 10
"""Of val and test the contract is checked on a tenth of train's examples, and of what shows images on a tenth again."""


def sources(data: Path, wanted: Sequence[str]) -> Iterator[tuple[str, Source]]:
    """Each source with the name of its kind: the embedded ones, then the real ones that are there."""
    for name in SOURCE_KINDS.names():
        if not wanted or name in wanted:
            yield name, SOURCE_KINDS.get(name).load()
    if not data.is_dir():
        print(f"{data} does not exist: real graphs and photographs are left out", file=sys.stderr)
        return
    for kind, folder in FOLDERS:
        if (data / folder).is_dir() and (not wanted or Path(folder).name in wanted):
            yield kind, SOURCE_KINDS.get(kind).load(str(data / folder))
    from ssl4rl.data.graphs.fetch import fetch

    with tempfile.TemporaryDirectory() as home:
        os.environ["SSL4RL_HOME"] = home
        for name in FETCHED:
            if not wanted or name in wanted:
                fetch(name, data / "taglas")
                yield "graph", SOURCE_KINDS.get("graph").load(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results"))
    parser.add_argument("sources", nargs="*", help="names of sources (graph and images are the embedded ones)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    cells: list[Cell] = []
    failed = 0
    for kind, source in sources(options.data, options.sources):
        for split in SPLITS:
            count = options.examples if split == "train" else options.examples // OTHERS_SHARE
            for task in every_task(kind, source, split):
                findings = check_contract(task, max(1, count if kind == "graph" else count // OTHERS_SHARE))
                failed += not findings.passed
                rows.append(asdict(findings))
                print(json.dumps(rows[-1]), flush=True)
                _write(options.output / "audit.json", rows)
                if split == "train":
                    try:
                        cells += measure(task, options.examples)
                    except NotApplicable as error:
                        print(f"{source.name} {task.label}: {error}", file=sys.stderr)
                    # Holm's correction is over the whole table, so every verdict may change with a new row.
                    _write(options.output / "fairness.json", [asdict(cell) for cell in judge(cells)])
    judged = judge(cells)
    found = [cell for cell in judged if cell.verdict == "finding" and not cell.exempt]
    _print_table(judged)
    print(f"{len(rows)} combinations, {sum(row['examples'] for row in rows):,} examples, {failed} with a finding")
    print(f"{len(judged)} cells of fairness, {len(found)} of them findings")
    sys.exit(bool(failed or found))


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")


def _print_table(cells: Sequence[Cell]) -> None:
    """A line for each task and split: chance, the rule that earns most, and how many cells say nothing."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.source, cell.task, cell.split), []).append(cell)
    print("| source | task | split | chance | best rule | score | verdict |\n|---|---|---|---|---|---|---|")
    for (source, task, split), group in groups.items():
        order = ("finding", "passed", "not testable", "reported")
        best = min(group, key=lambda cell: (order.index(cell.verdict), -cell.excess))
        silent = sum(cell.verdict == "not testable" for cell in group)
        verdict = best.verdict + (" (exempt: the paper's level)" if best.exempt else "")
        verdict += f", {silent} of {len(group)} not testable" if silent and best.verdict != "not testable" else ""
        print(f"| {source} | {task} | {split} | {best.chance:.3f} | {best.rule} | {best.score:.3f} | {verdict} |")


if __name__ == "__main__":
    main()
