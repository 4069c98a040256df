"""Check the contract of every registered task and benchmark at every level, on every source at hand.

    python -m experiments.audit [SOURCES]               (2,000 examples of each; hours on one core for all)
    python -m experiments.audit --only link --only pair@hard (the rest is kept)
    python -m experiments.audit --examples 10000        (make audit-full)
    python -m experiments.audit --table                 (of what was measured: a table, and whether it is clean)

Three questions. Are the formal rules of ``ssl4rl.audit`` kept, can a reply that never looked at the prompt earn more
than its chance, and does a prompt show what it must not? And, of tasks: can the reward be had without the task, by a
rule that is fitted on what train asks and offers, or by the shape of the graph? Of each source the first three answers
are written to experiments/results/audit/SOURCE.json and the rest to SOURCE.csv, a cell a line; Holm's correction is
over the whole table, so verdicts are worked out when that is read.

Sources are the embedded ones, noise (images without content) and, where they exist under SSL4RL_TEST_DATA (default
../shared/data), real graphs and photographs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.fairness import Cell, judge, measure
from ssl4rl.audit.registered import every_task
from ssl4rl.audit.shortcuts import noise
from ssl4rl.environment import environment
from ssl4rl.errors import NotApplicable
from ssl4rl.registry import SOURCE_KINDS, TASKS
from ssl4rl.source import SPLITS, Source

FETCHED = ("cora", "wn18rr", "fb15k237")
"""Graphs whose raw files may be at hand; they are converted into a temporary SSL4RL_HOME."""
FOLDERS = (
    ("graph", "folder_tag"),
    *(("graph", f"graphs/{name}") for name in ("wikispeedia", "webkb-texas", "umls", "peps", "spack")),
    ("images", "photos"),
)
FAULTS = ("problems", "leaks", "ambiguous", "blind_above_chance")
"""What a row of the contract may hold against a task."""
OTHERS_SHARE = 10
"""Of val and test the contract is checked on a tenth of train's examples, and of what shows images on a tenth again."""


def sources(data: Path, wanted: Sequence[str]) -> Iterator[tuple[str, Source]]:
    """Each source with the name of its kind: the embedded ones and noise, then the real ones that are there."""
    for name in SOURCE_KINDS.names():
        if not wanted or name in wanted:
            yield name, SOURCE_KINDS.get(name).load()
    if not wanted or "noise" in wanted:
        yield "images", noise()
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
    parser.add_argument("--output", type=Path, default=Path("experiments/results/audit"))
    parser.add_argument("--only", action="append", metavar="TASK", help="link or link@hard; may be given again")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("sources", nargs="*", help="names of sources (graph and images are the embedded ones)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for kind, source in () if options.table else sources(options.data, options.sources):
        measure_source(kind, source, options.examples, options.output / source.name, options.only)
    lines, faults = summary(options.output)
    print("\n".join(lines))
    for fault in faults:
        print(fault)
    sys.exit(bool(faults))


def summary(folder: Path) -> tuple[list[str], list[Any]]:
    """Tables and counts of everything that was measured, and what was found: broken contracts and cells of fairness."""
    contracts = [row for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())["rows"]]
    judged = judge([cell for path in sorted(folder.glob("*.csv")) for cell in read_cells(path)])
    broken = [row for row in contracts if any(row[key] for key in FAULTS)]
    found = [cell for cell in judged if cell.verdict == "finding" and not cell.exempt]
    counts = (
        f"{len({row['source'] for row in contracts})} sources, {len(contracts)} combinations of task, level and split, "
        f"{sum(row['examples'] for row in contracts):,} examples: {len(broken)} broken contracts",
        f"{len(judged):,} cells of fairness: {len(found)} findings",
    )
    return [*_tables(judged), *counts], [*broken, *found]


def measure_source(kind: str, source: Source, examples: int, path: Path, only: Sequence[str] | None = None) -> None:
    """Everything about one source, or ``only`` some tasks anew; what is finished is written at once."""
    rows: list[dict[str, Any]] = []
    cells: list[Cell] = []
    content: dict[str, Any] = {"environment": environment()}
    if only:
        kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        content |= {"only": list(only), "others_measured_in": kept["environment"]}
        rows = [row for row in kept["rows"] if not _is_one_of(row["task"], only)]
        cells = [cell for cell in read_cells(path.with_suffix(".csv")) if not _is_one_of(cell.task, only)]
    for split in SPLITS:
        count = examples if split == "train" else examples // OTHERS_SHARE
        for task in every_task(kind, source, split):
            if only and not _is_one_of(task.label, only):
                continue
            # Contract and rules look at the same examples of train: each is built once.
            task.example = lru_cache(maxsize=None)(task.example)  # type: ignore[method-assign]
            findings = check_contract(task, max(1, count if kind == "graph" else count // OTHERS_SHARE))
            rows.append(asdict(findings))
            print(json.dumps(rows[-1]), flush=True)
            if split == "train":
                try:
                    cells += measure(task, examples)
                except NotApplicable as error:
                    print(f"{source.name} {task.label}: {error}", file=sys.stderr)
            task.example.cache_clear()  # images are large, and what refers to itself is freed late
            content["rows"] = rows
            path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, [field.name for field in fields(Cell)])
                writer.writeheader()
                writer.writerows(map(asdict, cells))


def _is_one_of(label: str, names: Sequence[str]) -> bool:
    """Whether a task is named, by its name or with its level."""
    return label in names or label.partition("@")[0] in names


def read_cells(path: Path) -> list[Cell]:
    """The cells of one source, as they were written."""
    with path.open(encoding="utf-8", newline="") as file:
        return TypeAdapter(list[Cell]).validate_python(list(csv.DictReader(file)))


def _tables(cells: Sequence[Cell]) -> Iterator[str]:
    """A row for each task and level, a column for each source: the most that any rule earns above chance, in points.

    Over train and val, of what could have shown an excess of 5 points; a dash where nothing could, and nothing where
    the source cannot carry the task. Two stars are a finding; one star is one at a level of the paper's, leaks and all.
    """
    for kind in SOURCE_KINDS.names():
        asked = [cell for cell in cells if TASKS.get(cell.task.partition("@")[0]).source_kind.name == kind]
        if not asked:
            continue
        sources = list(dict.fromkeys(cell.source for cell in asked))
        yield from (f"| task | {' | '.join(sources)} |", f"|---{'|---' * len(sources)}|")
        for task in sorted({cell.task for cell in asked}):
            own = [cell for cell in asked if cell.task == task and not cell.need]
            row = [_most([cell for cell in own if cell.source == source]) for source in sources]
            yield f"| `{task}` | {' | '.join(row)} |"
        yield ""


def _most(cells: Sequence[Cell]) -> str:
    """The entry of one task on one source."""
    told = [cell for cell in cells if cell.verdict in ("passed", "finding")]
    if not told:
        return "–" if cells else ""
    most = max(told, key=lambda cell: (cell.verdict == "finding", cell.excess))
    star = "" if most.verdict == "passed" else "*" if most.exempt else "**"
    return f"{100 * most.excess:+.1f}{star}"


if __name__ == "__main__":
    main()
