"""Check the contract of every registered task and benchmark at every level, on every source at hand.

    python -m experiments.audit --examples 10000        (make audit-full)

In addition to the formal rules of ``ssl4rl.audit``, this answers two questions. Can a reply that never looked at the
prompt earn more than its chance? And does a prompt show what it must not: an edge between the asked nodes, an edge of
val or test, or the masked text? Sources are the embedded ones and, where they exist under SSL4RL_TEST_DATA (default
../shared/data), real graphs and photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.registered import every_task
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SPLITS, Source

FETCHED = ("cora", "wn18rr", "fb15k237")
"""Graphs whose raw files may be at hand; they are converted into a temporary SSL4RL_HOME."""
FOLDERS = (("graph", "folder_tag"), ("images", "photos"))
OTHERS_SHARE = 10
"""Val and test get a tenth of train's examples, and what shows images a tenth of a graph's."""


def sources(data: Path) -> Iterator[tuple[str, Source]]:
    """Each source with the name of its kind: the embedded ones, then the real ones that are there."""
    for name in SOURCE_KINDS.names():
        yield name, SOURCE_KINDS.get(name).load()
    if not data.is_dir():
        print(f"{data} does not exist: real graphs and photographs are left out", file=sys.stderr)
        return
    for kind, folder in FOLDERS:
        yield kind, SOURCE_KINDS.get(kind).load(str(data / folder))
    from ssl4rl.data.graphs.fetch import fetch

    with tempfile.TemporaryDirectory() as home:
        os.environ["SSL4RL_HOME"] = home
        for name in FETCHED:
            fetch(name, data / "taglas")
            yield "graph", SOURCE_KINDS.get("graph").load(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/audit.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    failed = 0
    for kind, source in sources(options.data):
        for split in SPLITS:
            count = options.examples if split == "train" else options.examples // OTHERS_SHARE
            for task in every_task(kind, source, split):
                findings = check_contract(task, count if kind == "graph" else count // OTHERS_SHARE)
                failed += not findings.passed
                rows.append(asdict(findings))
                print(json.dumps(rows[-1]), flush=True)
                options.output.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    print(f"{len(rows)} combinations, {sum(row['examples'] for row in rows):,} examples, {failed} with a finding")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
