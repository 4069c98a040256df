"""Kills training and evaluation with SIGKILL at random moments, resumes them, and compares with uninterrupted ones.

    python -m experiments.kills --kills 50            # half of them in training, half in evaluation
    python -m experiments.kills --kills 50 --engine vllm

A third of the kills in training fall into the writing of a checkpoint. With transformers' sampling, everything that a
resumed run has written has to equal what an uninterrupted one has, bit for bit, but for times; with vLLM, whose batches
depend on the moment, no reply may be lost or be there twice.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssl4rl.checkpoints import STAGING
from ssl4rl.records import read_lines

RESULTS = Path(__file__).parent / "results"
TIMES = {"seconds", "step_time"}
TRAINING = [
    "grpo.max_steps=6",
    "grpo.save_steps=1",
    "grpo.per_device_train_batch_size=16",
    "refill=1",
    "heldout.examples=8",
    "heldout.every=3",
    "log_completions_every=1",
]
ITEMS = 40
SECONDS = 600.0
"""After which a process that should have ended is called hanging."""
IN_WRITE = 1 / 3
"""Share of the kills in training that are aimed at the writing of a checkpoint."""

PRELOADED = ["ssl4rl.training.run", "ssl4rl.training.trainer", "ssl4rl.training.heldout", "ssl4rl.evaluation.run"]
"""Imported once, so that a process is there at once and is killed in what it does."""


def train(folder: Path, engine: str) -> None:
    """Trains, or goes on with it."""
    from ssl4rl.training.recipe_file import load_recipe
    from ssl4rl.training.run import run_recipe

    resume = (folder / "config.yaml").is_file()
    config = folder / "config.yaml" if resume else None
    overrides = [] if resume else [*TRAINING, f"engine={engine}"]
    run_recipe(load_recipe(config, overrides=overrides), folder, resume=resume)


def evaluate(folder: Path, engine: str) -> None:
    """Evaluates, or goes on with it; its replies are kept beside the run alone."""
    from ssl4rl.evaluation.run import evaluate as evaluate_benchmark

    os.environ["SSL4RL_HOME"] = str(folder.with_name(f"{folder.name}-home"))
    settings: dict[str, Any] = {"limit": ITEMS, "baselines": False, "ablate": [], "max_new_tokens": 8}
    resume = (folder / "config.yaml").is_file()
    evaluate_benchmark("link", "tiny", folder, resume=resume, engine=engine, say=lambda line: None, **settings)


WORK: dict[str, Callable[[Path, str], None]] = {"training": train, "evaluation": evaluate}


@dataclass(frozen=True)
class Kill:
    """One kill and what became of it."""

    what: str
    seconds: float
    """After the start of the process."""
    reached: str
    """What the run had written."""
    in_write: bool
    """Whether a checkpoint was being written."""


@dataclass(frozen=True)
class Series:
    """A run that was killed, resumed, perhaps killed again, and finished."""

    kills: list[Kill]
    problem: str
    """Empty if it was resumed each time and ended like an uninterrupted one."""


def _nothing() -> None:
    """What a process does that only has to be there."""


def _quiet(what: str, folder: Path, engine: str, log: Path) -> None:
    """In the process of its own: everything it prints goes to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    WORK[what](folder, engine)


class Harness:
    """Starts and kills runs in ``place``; the reference of each kind is made once."""

    def __init__(self, place: Path, engine: str = "transformers", seed: int = 0) -> None:
        self.place, self.engine = place, engine
        self.random = random.Random(seed)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)
        self._references: dict[str, tuple[Path, float]] = {}
        # The first process waits until everything is imported, which is no part of a run's duration.
        first = self.context.Process(target=_nothing)
        first.start()
        first.join()

    def _start(self, what: str, folder: Path) -> Any:
        arguments = (what, folder, self.engine, folder.with_name(f"{folder.name}.log"))
        process = self.context.Process(target=_quiet, args=arguments)
        process.start()
        return process

    def reference(self, what: str) -> tuple[Path, float]:
        """An uninterrupted run and how long it took."""
        if what not in self._references:
            folder, started = self.place / f"{what}-whole", time.monotonic()
            problem = self._finish(what, folder)
            if problem:
                raise RuntimeError(problem)
            self._references[what] = folder, time.monotonic() - started
        return self._references[what]

    def _finish(self, what: str, folder: Path) -> str:
        """Runs to the end; returns what went wrong."""
        process = self._start(what, folder)
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            return "it hangs"
        log = folder.with_name(f"{folder.name}.log")
        return "" if process.exitcode == 0 else f"it ended with {process.exitcode}: {log.read_text()[-2000:]}"

    def series(self, what: str, number: int, kills: int) -> Series:
        """A run that is killed up to so many times, and then finished and compared."""
        reference, duration = self.reference(what)
        folder = self.place / f"{what}-{number}"
        done: list[Kill] = []
        for _ in range(kills):
            kill = self._kill(what, folder, duration)
            if kill is None:
                break  # it had ended before
            done.append(kill)
        problem = self._finish(what, folder) if not _finished(folder) else ""
        return Series(done, problem or compare(what, reference, folder, exact=self.engine == "transformers"))

    def _kill(self, what: str, folder: Path, duration: float) -> Kill | None:
        aimed = what == "training" and self.random.random() < IN_WRITE
        delay = self.random.uniform(0, duration)
        process, started = self._start(what, folder), time.monotonic()
        if aimed:
            while process.is_alive() and not (folder / STAGING).is_dir():
                time.sleep(0.0005)
            time.sleep(self.random.uniform(0, 0.03))
        else:
            process.join(delay)
        if not process.is_alive():
            return None
        process.kill()
        process.join()
        seconds = round(time.monotonic() - started, 2)
        return Kill(what, seconds, _reached(folder), any((folder / STAGING).glob("checkpoint-*")))


def _finished(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("summary.json", "scores.json"))


def _reached(folder: Path) -> str:
    if not (folder / "config.yaml").is_file():
        return "nothing"
    if (folder / "predictions.jsonl").is_file():
        return f"{len(list(read_lines(folder / 'predictions.jsonl')))} replies"
    steps = [line["step"] for line in read_lines(folder / "metrics.jsonl")]
    return f"step {max(steps)}" if steps else "settings"


def compare(what: str, reference: Path, folder: Path, *, exact: bool) -> str:
    """The first difference between what two runs have written; empty if there is none."""
    lines = {path: list(_replies(what, path)) for path in (reference, folder)}
    keys = {path: [key for key, _ in found] for path, found in lines.items()}
    if len(set(keys[folder])) < len(keys[folder]):
        return "a reply is there twice"
    if set(keys[folder]) != set(keys[reference]) and (exact or what == "evaluation"):
        return f"{len(set(keys[reference]) ^ set(keys[folder]))} replies are lost or are others"
    if not exact:
        return ""
    if sorted(lines[folder], key=lambda line: line[0]) != sorted(lines[reference], key=lambda line: line[0]):
        return "a reply differs"
    if what == "evaluation":
        return _compared("scores.json", reference, folder)
    if [key for key, _ in lines[folder]] != [key for key, _ in lines[reference]]:
        return "the order of the replies differs"
    for name in ("metrics.jsonl", "heldout.jsonl"):
        found = [[_timeless(line) for line in read_lines(path / name)] for path in (reference, folder)]
        if found[0] != found[1]:
            return f"{name} differs"
    if (reference / "model/model.safetensors").read_bytes() != (folder / "model/model.safetensors").read_bytes():
        return "the weights differ"
    return _compared("summary.json", reference, folder)


def _replies(what: str, folder: Path) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Each recorded reply under a key of its own."""
    if what == "evaluation":
        for line in read_lines(folder / "predictions.jsonl"):
            yield (line["index"], line.get("sample", 0)), line
        return
    seen: dict[tuple[Any, ...], int] = {}
    for line in read_lines(folder / "completions.jsonl"):
        key = (line["step"], line["id"])
        seen[key] = seen.get(key, 0) + 1
        yield (*key, seen[key]), line


def _timeless(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in TIMES}


def _compared(name: str, reference: Path, folder: Path) -> str:
    one, other = (_timeless(json.loads((path / name).read_text())) for path in (reference, folder))
    return "" if one == other else f"{name} differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="by default experiments/results/kills_ENGINE.json")
    options = parser.parse_args()
    found: list[Series] = []
    with tempfile.TemporaryDirectory() as scratch:
        harness = Harness(Path(scratch), options.engine, options.seed)
        for what, wanted in (("training", options.kills - options.kills // 2), ("evaluation", options.kills // 2)):
            number = done = 0
            while done < wanted:
                series = harness.series(what, number, min(harness.random.randint(1, 4), wanted - done))
                number, done = number + 1, done + len(series.kills)
                found.append(series)
                for kill in series.kills:
                    place = "in a write" if kill.in_write else ""
                    print(f"{kill.what:<10}  {kill.seconds:6.2f} s  {kill.reached:<12}  {place}")
                print(f"  {'ended like the uninterrupted run' if not series.problem else series.problem}", flush=True)
    kills = [kill for series in found for kill in series.kills]
    good = sum(len(series.kills) for series in found if not series.problem)
    about = {"engine": options.engine, "seed": options.seed, "kills": len(kills), "resumed_and_equal": good}
    about["in_write"] = sum(kill.in_write for kill in kills)
    output = options.output or RESULTS / f"kills_{options.engine}.json"
    output.write_text(json.dumps({**about, "series": [asdict(series) for series in found]}, indent=1) + "\n")
    print(f"{good} of {len(kills)} kills: resumed, and equal at the end; {about['in_write']} of them in a write")


if __name__ == "__main__":
    main()
