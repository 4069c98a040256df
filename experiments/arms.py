"""Arms of an experiment: what each model answered to the same questions is stored, a file of answers an arm.

An arm is ``KIND-SEED``; ``base`` is the untrained model. FOLDER/ARM.jsonl.gz has the answers, a line each, and
FOLDER/ARM.json, which is written last, what else is known of the arm.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from experiments.asking import scored
from ssl4rl.environment import environment
from ssl4rl.example import Example
from ssl4rl.inference.engines import Engine
from ssl4rl.runs import Run
from ssl4rl.tasks import AnyTask

BASE = "base"
ANSWERS = ".jsonl.gz"
METRICS = ("step", "seconds", "reward", "flat/before", "valid", "entropy", "answers/commonest", "heldout")
"""What is kept of each step's metrics."""


class Asked(NamedTuple):
    """A set of questions."""

    name: str
    task: AnyTask
    """What scores the replies."""
    examples: Sequence[Example]

    @classmethod
    def first(cls, name: str, task: AnyTask, count: int) -> Asked:
        """The first examples of a task, or as many as a benchmark has."""
        return cls(name, task, [task.example(index) for index in range(min(count, getattr(task, "size", count)))])


def ask(engine: Engine, questions: Iterable[Asked], most_tokens: int) -> Iterator[dict[str, Any]]:
    """The answers of a model, a line each."""
    for name, task, examples in questions:
        for example, (reply, score) in zip(examples, scored(engine, task, examples, most_tokens), strict=True):
            line = {"asked": name, "id": str(example.id), "items": list(example.source_items)}
            yield {**line, "reply": reply.text, "outcome": score.outcome, "score": score.value}


def check_model(folder: Path, fingerprint: str) -> None:
    """Refuses to add arms of a model to those of another."""
    for path in sorted(folder.glob("*.json")):
        known = json.loads(path.read_text(encoding="utf-8")).get("sha256", {}).get("model", fingerprint)
        if known != fingerprint:
            raise SystemExit(f"{path} is of another model ({known[:12]}, not {fingerprint[:12]}); give other --results")


def is_stored(folder: Path, arm: str) -> bool:
    """Whether an arm need not be run again."""
    return (folder / f"{arm}.json").is_file()


def steps_of(folder: Path, arm: str) -> int:
    """The steps that a stored arm was trained for."""
    return int(json.loads((folder / f"{arm}.json").read_text(encoding="utf-8"))["recipe"]["grpo"]["max_steps"])


def stored(folder: Path, arm: str) -> list[dict[str, Any]]:
    """The answers of an arm."""
    lines = gzip.decompress((folder / f"{arm}{ANSWERS}").read_bytes()).decode()
    return [json.loads(line) for line in lines.splitlines()]


def store(folder: Path, arm: str, lines: Iterable[Mapping[str, Any]], run: Run | None = None, **about: Any) -> None:
    """Writes an arm's answers, and what is known of its run but for where that and its model were."""
    content: dict[str, Any] = {"arm": arm, "environment": environment()}
    command = content["environment"]["command"]
    content["environment"]["command"] = [Path(word).name if Path(word).is_absolute() else word for word in command]
    if run is not None:
        metrics = [{key: value for key, value in line.items() if key in METRICS} for line in run.metrics()]
        content |= {"recipe": deepcopy(dict(run.config)), "summary": deepcopy(run.summary or {}), "metrics": metrics}
        # The untrained weights and the data that was trained on; of what was asked, each id has a hash.
        data = {source.name: source.fingerprint for source in run.used_sources}
        content["sha256"] = {"model": run.environment["model"], **data}
        recipe, datasets = content["recipe"], ((entry, "dataset") for entry in content["recipe"]["tasks"])
        for section, key in ((recipe["model"], "path"), (content["summary"], "model"), *datasets):
            section[key] = section.get(key) and Path(section[key]).name
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    # Without the time in it, equal answers are equal files.
    (folder / f"{arm}{ANSWERS}").write_bytes(gzip.compress(text.encode(), mtime=0))
    (folder / f"{arm}.json").write_text(json.dumps({**content, **about}, indent=1) + "\n")
    print(f"{arm} is stored", flush=True)
