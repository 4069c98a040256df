"""Feeds made-up inputs to everything that reads texts and files from outside, guided by the branches that they reach.

    python -m experiments.fuzz                              # all targets: hours on two cores
    python -m experiments.fuzz --target answers --runs 1000000

Atheris (libFuzzer) makes the bytes; `experiments.fuzz_texts` and `experiments.fuzz_files` turn them into inputs and say
what has to hold. A failure does not end the fuzzing: each kind of failure, by its error and place, is recorded once,
with the bytes that it came from. Each target runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "fuzz.json"
RUNS = {
    "answers": 1_000_000,
    "lenient": 1_000_000,
    "example_id": 1_000_000,
    "recipe": 100_000,
    "blind": 100_000,
    "graph_folder": 100_000,
    "triples": 100_000,
    "pt": 100_000,
    "tables": 100_000,
}
"""Inputs of each target."""
TEXTS = ("answers", "lenient", "example_id", "recipe", "blind")
SLOW = 5.0
"""Seconds of processor time from which one input is a failure."""


MEMORY = Path("/dev/shm")
"""A folder that is no disk, where the system has one: a hundred thousand inputs are written there."""


class Recorder:
    """Runs a target on each input, and ends the process after the last one."""

    def __init__(self, name: str, target: Callable[[bytes], None], options: argparse.Namespace) -> None:
        self.name, self.target, self.runs, self.output = name, target, options.runs, options.output
        self.seconds = 60 * options.minutes
        self.inputs, self.slowest, self.started = 0, 0.0, time.monotonic()
        self.failures: dict[str, dict[str, Any]] = {}

    def __call__(self, data: bytes) -> None:
        started = time.process_time()
        try:
            self.target(data)
        except Exception as error:
            self.record(f"{type(error).__name__} in {_place(error)}", str(error), data)
        seconds = time.process_time() - started
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOW:
            self.record("slow", f"{seconds:.1f} s", data)
        self.inputs += 1
        if self.inputs >= self.runs or time.monotonic() - self.started > self.seconds:
            self.write()
            os._exit(0)  # libFuzzer has no other way to stop after a number of inputs that it did not choose

    def record(self, kind: str, message: str, data: bytes) -> None:
        if kind not in self.failures:
            print(f"{self.name}: {kind}: {message[:300]}", flush=True)
        found = self.failures.setdefault(kind, {"message": message[:300], "input": data.hex(), "count": 0})
        found["count"] += 1

    def write(self) -> None:
        about = {"inputs": self.inputs, "asked": self.runs, "seconds": round(time.monotonic() - self.started)}
        self.output.write_text(json.dumps({**about, "slowest": round(self.slowest, 3), "failures": self.failures}))


def _place(error: BaseException) -> str:
    """The last line of ours on the way to an error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/ssl4rl/" in frame.filename]
    frames = frames or traceback.extract_tb(error.__traceback__)[-1:]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"


def fuzz(options: argparse.Namespace) -> None:
    """Fuzzes one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["ssl4rl"]):
        from experiments import fuzz_texts

        targets: Any = fuzz_texts
        if options.target not in TEXTS:
            from experiments import fuzz_files as targets
        if options.target == "blind":
            targets.pools()  # minutes, which are no part of the first input's time
    recorder = Recorder(options.target, getattr(targets, options.target), options)
    atheris.Setup(
        [
            sys.argv[0],
            f"-seed={options.seed}",
            "-max_len=600",
            "-len_control=0",
            "-rss_limit_mb=0",
            "-print_final_stats=0",
        ],
        recorder,
    )
    try:
        atheris.Fuzz()
    finally:
        recorder.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=RUNS, help="one target; default: all")
    parser.add_argument("--runs", type=int, help="inputs, if not the usual number")
    parser.add_argument("--minutes", type=float, default=600, help="for each target at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        fuzz(options)
        return
    for name in [options.target] if options.target else RUNS:
        runs = options.runs or RUNS[name]
        command = [sys.executable, "-m", "experiments.fuzz", "--here", "--target", name, "--runs", str(runs)]
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
            part = Path(scratch) / "found.json"
            environment = {**os.environ, "TMPDIR": scratch}
            command += ["--output", str(part), "--seed", str(options.seed), "--minutes", str(options.minutes)]
            subprocess.run(command, check=True, env=environment)
            found = json.loads(options.output.read_text()) if options.output.is_file() else {}
            found[name] = {"seed": options.seed, **json.loads(part.read_text())}
        options.output.write_text(json.dumps(found, indent=1) + "\n")
        kinds = len(found[name]["failures"])
        print(f"{name}: {found[name]['inputs']:,} inputs, {kinds} kinds of failure, {found[name]['seconds']} s")


if __name__ == "__main__":
    main()
