"""A graph of a hundred million edges, mapped from files: how fast it opens, and how much of it stays in memory.

    python -m benchmarks.large_graph [--nodes 10000000] [--folder FOLDER] [--runs 3]

The graph (ten edges a node, texts of 20 words) is converted once; FOLDER keeps it for the next time, otherwise it is
deleted when the benchmark ends. Each run is a process of its own. Cold means that the system was asked to drop the
files from its cache before. Opening is timed until the first `link` examples are built, of a pair that is linked and of
one that is not. Memory is the peak that the system reports for the process, including mapped pages and Python itself,
after 1,000 and after 10,000 examples. The conversion takes about 9 GB of memory, and the files 6.5 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import figure, report, seconds
from benchmarks.random_graph import random_graph
from ssl4rl.data.graphs.store import open_folder, write_graph
from ssl4rl.graph.tasks.link import Link

FEW, MANY = 1_000, 10_000


def peak_mib() -> float:
    """The most that this process had resident so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def sample(folder: Path) -> dict[str, float]:
    """One run: opens the graph and cuts examples; printed as JSON."""
    start = time.perf_counter()
    task = Link(open_folder(folder))
    # The first unlinked pair needs the degrees of all nodes, which nothing later does.
    next(index for index in range(MANY) if task.example(index).gold == "no")
    opened = time.perf_counter() - start
    found = {"open_s": opened, "open_mib": peak_mib()}
    start = time.perf_counter()
    for index in range(MANY):
        task.example(index)
        if index + 1 == FEW:
            found["few_mib"] = peak_mib()
    return found | {"many_mib": peak_mib(), "per_second": MANY / (time.perf_counter() - start)}


def run(folder: Path, *, cold: bool) -> dict[str, float]:
    for path in folder.iterdir():
        with path.open("rb") as file:
            if cold:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while file.read(1 << 24):
                    pass
    command = [sys.executable, "-m", "benchmarks.large_graph", "--sample", "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def build(folder: Path, num_nodes: int) -> dict[str, float]:
    """Converts the graph; in a process of its own too, whose peak is the memory that the conversion takes."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as texts:
        graph = random_graph(num_nodes, 10 * num_nodes, Path(texts) / "texts")
        print(f"drawn: {graph.num_nodes:,} nodes, {graph.num_edges:,} edges; converting", file=sys.stderr, flush=True)
        taken = seconds(lambda: write_graph(graph, {}, folder))
    return {"write_s": taken, "peak_mib": peak_mib()}


def measure(folder: Path, options: argparse.Namespace) -> None:
    built: dict[str, Any] = {}
    if not (folder / "graph.json").is_file():
        command = [sys.executable, "-m", "benchmarks.large_graph", "--build", "--nodes", str(options.nodes)]
        done = subprocess.run([*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True)
        built = json.loads(done.stdout)
        print(f"converted in {built['write_s']:.0f} s, at most {built['peak_mib']:,.0f} MiB resident", flush=True)
    graph = open_folder(folder)
    on_disk = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    size = f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges"
    print(f"{size}: {on_disk:,.0f} MiB on disk", flush=True)
    cold = [run(folder, cold=True) for _ in range(options.runs)]
    warm = [run(folder, cold=False) for _ in range(options.runs)]

    def of(key: str, rows: list[dict[str, float]]) -> list[float]:
        return [row[key] for row in rows]

    figures = [
        figure(f"opening, cold; {size}", of("open_s", cold), at_most=2.0),
        figure(f"opening, warm; {size}", of("open_s", warm), at_most=2.0),
        figure("peak memory after 10,000 examples, cold", of("many_mib", cold), unit="MiB", at_most=1024.0),
        figure("peak memory after 10,000 examples, warm", of("many_mib", warm), unit="MiB", at_most=1024.0),
        figure(
            "peak memory, 10,000 examples over 1,000, warm",
            of("few_mib", warm),
            of("many_mib", warm),
            unit="MiB",
            at_most=1.1,
        ),
        figure("link examples per second, cold", of("per_second", cold), unit="examples/s"),
        figure("link examples per second, warm", of("per_second", warm), unit="examples/s"),
    ]
    report("large_graph", figures, mib_on_disk=on_disk, building=built)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sample", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        print(json.dumps(sample(options.folder)))
    elif options.build:
        print(json.dumps(build(options.folder, options.nodes)))
    elif options.folder is not None:
        measure(options.folder, options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "graph", options)


if __name__ == "__main__":
    main()
