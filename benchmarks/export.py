"""Exports for another trainer: how long they take, how large they are, and whether memory stays bounded.

    python -m benchmarks.export [--rows 100000] [--images 10000]

`link` on Cora where SSL4RL_TEST_DATA (default ../shared/data) has it, else on the embedded graph, and `rotation` on
drawn scenes, for verl, with the default levels; each in a process of its own, and once more with a tenth of the rows,
to compare the memory. Memory is the peak that the system reports for the process, Python and all libraries included.
Then the export is checked: hashes, and five replies to each row with the exported scorer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import figure, report, seconds
from benchmarks.large_graph import peak_mib
from ssl4rl.build import task
from ssl4rl.export.run import export
from ssl4rl.export.verify import verify


def sample(name: str, dataset: str, count: int, folder: Path) -> dict[str, float]:
    """One export; printed as JSON."""
    asked = task(name, dataset)
    asked.example(0)
    start, computing = time.perf_counter(), time.process_time()
    manifest = export(asked, "verl", count, folder)
    taken, computing = time.perf_counter() - start, time.process_time() - computing
    size = sum(file.bytes for file in manifest.files) / 2**20
    return {"seconds": taken, "cpu": computing, "mib": size, "peak_mib": peak_mib(), "files": len(manifest.files)}


def run(name: str, dataset: str, count: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.export", "--sample", name, "--dataset", dataset, "--rows", str(count)]
    done = subprocess.run([*command, "--folder", str(folder)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(f"{name}, {count:,} rows: {found}", flush=True)
    return found


def measure(name: str, dataset: str, count: int, folder: Path) -> list[dict[str, Any]]:
    few, many = run(name, dataset, count // 10, folder / "few"), run(name, dataset, count, folder / "many")
    rows = f"{count:,} `{name}` rows"
    figures = [
        figure(f"{rows}: written", [many["seconds"]]),
        figure(f"{rows}: written, seconds of processor time", [many["cpu"]]),
        figure(f"{rows}: rows per second of processor time", [count / many["cpu"]], unit="rows/s"),
        figure(f"{rows}: size", [many["mib"]], unit="MiB", files=many["files"]),
        figure(f"{rows}: peak memory", [many["peak_mib"]], unit="MiB"),
        figure(
            f"{rows}: peak memory, over that of a tenth", [few["peak_mib"]], [many["peak_mib"]], unit="MiB", at_most=1.3
        ),
    ]
    checked = []

    def check() -> None:
        checked.append(verify(folder / "many"))

    figures.append(figure(f"{rows}: checked again", [seconds(check)], replies=checked[0].replies))
    if checked[0].mismatches:
        raise SystemExit("\n".join(checked[0].lines()))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sample", help=argparse.SUPPRESS)
    parser.add_argument("--dataset", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        print(json.dumps(sample(options.sample, options.dataset, options.rows, options.folder)))
        return
    # The processes that are measured do without the libraries that this needs.
    from benchmarks.prompts import cora

    graph = "citations" if cora() is None else "cora"
    with tempfile.TemporaryDirectory() as folder:
        figures = measure("link", graph, options.rows, Path(folder) / "link")
        figures += measure("rotation", "scenes", options.images, Path(folder) / "rotation")
    report("export", figures, ("pyarrow", "pillow"), graph=graph)


if __name__ == "__main__":
    main()
