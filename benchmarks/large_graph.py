"""Graphs of a hundred thousand to a hundred million edges: converting tables, and examples from the mapped files.

    python -m benchmarks.large_graph [--nodes 10000 100000 1000000 10000000] [--format csv] [--folder FOLDER] [--advice]

Of each size, a graph of ten edges a node with texts of 20 words is written as tables and converted as `ssl4rl data
convert` does, in a process of its own. FOLDER keeps what was converted for the next time; otherwise it is deleted.

Then each task is timed in a process of its own, cold (the system was asked to drop the files from its cache) and warm.
Opening ends with the first example, a `link` of an unlinked pair or any other. Memory is what the system reports for
the process: `held`, what its own memory grew by from before the graph was opened (a worker holds that for itself), and
`mapped`, the most that pages of the files took (all workers share them). Tables, conversion and what it writes take
about 200 bytes of disk an edge.

With --advice, examples are timed cold under each advice about the files that the system can be given.
"""

from __future__ import annotations

import argparse
import csv
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import figure, report
from benchmarks.random_graph import random_texts
from ssl4rl.data.graphs import opened
from ssl4rl.data.graphs.store import convert, open_folder
from ssl4rl.graph.arrays import release
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor

TASKS = {"link": (Link, "medium"), "neighbor": (Neighbor, "medium"), "attribute": (Attribute, "medium")}
TASKS |= {"link@paper": (Link, "paper"), "neighbor@paper": (Neighbor, "paper")}
SECONDS, MOST = 10.0, 5_000
"""How long examples are built, and how many at most."""
ADVICE = {"normal": "MADV_NORMAL", "random": "MADV_RANDOM", "willneed": "MADV_WILLNEED"}
ROWS = 1 << 18


def status() -> dict[str, float]:
    """Memory of this process in MiB, as Linux reports it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("Rss", "VmHWM"))}


def write_tables(folder: Path, num_nodes: int, kind: str) -> None:
    """A graph as csv or parquet."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    texts = random_texts(num_nodes, folder / ".texts", rng)
    parts = range(0, num_nodes, ROWS)
    nodes = ((list(range(first, min(first + ROWS, num_nodes))), texts[first : first + ROWS]) for first in parts)
    edges = (
        rng.integers(num_nodes, size=(2, min(ROWS, 10 * num_nodes - first))) for first in range(0, 10 * num_nodes, ROWS)
    )
    for stem, columns, blocks in (("nodes", ("id", "text"), nodes), ("edges", ("source", "target"), edges)):
        if kind == "csv":
            with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                for block in blocks:
                    writer.writerows(zip(*(np.asarray(each).tolist() for each in block), strict=True))
        else:
            import pyarrow
            import pyarrow.parquet

            writer = None
            for block in blocks:
                table = pyarrow.table(dict(zip(columns, block, strict=True)))
                writer = writer or pyarrow.parquet.ParquetWriter(folder / f"{stem}.parquet", table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()
    release(texts.content)  # type: ignore[arg-type]
    (folder / ".texts").unlink()


def converted(tables: Path, folder: Path) -> dict[str, float]:
    """One conversion, in this process."""
    start, used = time.perf_counter(), time.process_time()
    convert(str(tables), folder)
    taken = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return taken | {"peak_mib": status()["VmHWM"]}


def sample(folder: Path, name: str, advice: str) -> dict[str, float]:
    """One run: opens the graph and cuts examples."""
    before, read = status(), read_bytes()
    start = time.perf_counter()
    graph = open_folder(folder)
    if advice:
        advise(graph, advice)
    kind, level = TASKS[name]
    task: Any = kind(graph, level=level)
    next(index for index in range(MOST) if name != "link" or task.example(index).gold == "no")
    found = {"open_s": time.perf_counter() - start, "most_mapped": status()["RssFile"]}
    start, used, index = time.perf_counter(), time.process_time(), 0
    while index < MOST and time.perf_counter() - start < SECONDS:
        task.example(100 + index)
        index += 1
        if index % 10 == 0:
            found["most_mapped"] = max(found["most_mapped"], status()["RssFile"])
    found["per_second"] = index / (time.perf_counter() - start)
    found["per_cpu_second"] = index / (time.process_time() - used)
    found["mapped"] = found.pop("most_mapped") - before["RssFile"]
    return found | {"held": status()["RssAnon"] - before["RssAnon"], "read_mib": (read_bytes() - read) / 2**20}


def read_bytes() -> int:
    """Bytes that this process had read from disk."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def advise(graph: Any, advice: str) -> None:
    """Gives the system one advice about all files of a graph."""
    for array in graph.stored.keep.__self__._pages.maps:
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            base.madvise(getattr(mmap, ADVICE[advice]))


def in_process(*arguments: str) -> dict[str, float]:
    """The same module in another process, which prints JSON."""
    command = [sys.executable, "-m", "benchmarks.large_graph", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(folder: Path, name: str, *, cold: bool, advice: str = "") -> dict[str, float]:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            if cold:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while file.read(1 << 24):
                    pass
    return in_process("--sample", name, "--of", str(folder), *(["--with", advice] if advice else []))


def measure(place: Path, num_nodes: int, options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    folder, built = place / f"graph{num_nodes}", {}
    if not (folder / "graph.json").is_file():
        tables = place / f"tables{num_nodes}"
        write_tables(tables, num_nodes, options.format)
        built = in_process("--convert", str(tables), "--of", str(folder))
        built["tables_mib"] = sum(path.stat().st_size for path in tables.iterdir()) / 2**20
        shutil.rmtree(tables)
    built["mib"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    size = f"{10 * num_nodes:,} edges"
    print(f"{size}: {json.dumps({key: round(value, 1) for key, value in built.items()})}", flush=True)
    figures, rows = [], {}
    for name in TASKS:
        if options.advice:
            by_advice = {
                advice: [run(folder, name, cold=True, advice=advice) for _ in range(options.runs)] for advice in ADVICE
            }
            for advice, found in by_advice.items():
                title = f"{name}, {size}, cold, {ADVICE[advice]}"
                figures.append(figure(title, [row["per_second"] for row in found], unit="examples/s"))
                print(f"  read {statistics.median(row['read_mib'] for row in found):.0f} MiB", flush=True)
            continue
        cold, warm = ([run(folder, name, cold=cold) for _ in range(options.runs)] for cold in (True, False))
        for temperature, found in (("cold", cold), ("warm", warm)):
            title = f"{name}, {size}, {temperature}"
            figures.append(figure(title, [row["per_second"] for row in found], unit="examples/s"))
            figures.append(figure(f"opening, {title}", [row["open_s"] for row in found]))
        held = figure(f"{name}, {size}, held by each worker", [row["held"] for row in [*cold, *warm]], unit="MiB")
        figures.append(held)
        rows[name] = {key: [statistics.median(row[key] for row in found) for found in (cold, warm)] for key in cold[0]}
    return figures, {"edges": 10 * num_nodes, "built": built, "cold_and_warm": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--advice", action="store_true")
    parser.add_argument("--sample", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--with", dest="given", choices=list(ADVICE), default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample or options.convert:
        opened.KEPT_FROM = opened.KEPT_FROM if options.given == "" else 0
        found = (
            sample(options.of, options.sample, options.given)
            if options.sample
            else converted(options.convert, options.of)
        )
        return print(json.dumps(found))
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        measured = [measure(place, num_nodes, options) for num_nodes in options.nodes]
    figures = [row for rows, _ in measured for row in rows]
    report("large_graph_advice" if options.advice else "large_graph", figures, sizes=[facts for _, facts in measured])


if __name__ == "__main__":
    main()
