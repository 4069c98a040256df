"""A run: the folder that training or evaluation writes, and the one reader and writer of it.

JSON-lines files are appended to, one line per write, and a torn last line is dropped; other files are written under a
temporary name and renamed into place, so that no reader sees half of one.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ssl4rl.environment import environment
from ssl4rl.errors import UserError
from ssl4rl.example import ExampleId
from ssl4rl.files import check_writable, whole
from ssl4rl.records import Completion, HeldoutAnswer, Prediction, ReplyRecord, encode_line, parse_json, read_lines
from ssl4rl.settings import dump_yaml, parse_yaml
from ssl4rl.source import origin_of
from ssl4rl.tally import as_data

if TYPE_CHECKING:
    from ssl4rl.tasks import Task

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
COMPLETIONS = "completions.jsonl"
HELDOUT = "heldout.jsonl"
PREDICTIONS = "predictions.jsonl"
CHOICES = "choices.json"
"""What may be answered to every item, where that is the same; predictions then do not repeat it."""
SUMMARY = "summary.json"
SCORES = "scores.json"


@dataclass(frozen=True)
class UsedSource:
    """A source that a run used, as its environment.json records it."""

    kind: str
    """The name of its kind."""
    name: str
    dataset: str | None
    """The name or absolute path that it was loaded by; None if it was made in memory."""
    fingerprint: str
    reading: Sequence[Mapping[str, Any]] = field(default=(), compare=False)  # the fields of each Tally of its loader

    @classmethod
    def of(cls, task: Task[Any, Any]) -> UsedSource:
        """The source of a task or benchmark."""
        source, reading = task.source, as_data(getattr(task.source, "reading", ()))
        return cls(task.source_kind.name, source.name, origin_of(source), source.fingerprint, reading)


R = TypeVar("R", ReplyRecord, Completion, Prediction, HeldoutAnswer)


class Run:
    """One run's folder. Opening it reads nothing; what is asked for is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> Run:
        """A new run in an empty or new folder, with its config.yaml.

        Raises:
            UserError: if the folder holds anything already, or cannot be written.
        """
        cls.check_new(path)
        check_writable(path)
        run = cls(path)
        run.write_config(config)
        return run

    @classmethod
    def check_new(cls, path: Path) -> None:
        """Refuses a folder that holds anything already.

        Raises:
            UserError: if it does.
        """
        # What is hidden is the lock, or was left by a process that was killed before it had written anything.
        if not path.exists() or (path.is_dir() and all(file.name.startswith(".") for file in path.iterdir())):
            return
        if (path / CONFIG).is_file():
            if any((path / name).is_file() for name in (SUMMARY, SCORES)):
                raise UserError(f"{path} exists already, and is finished; choose another --output")
            raise UserError(f"{path} exists already; add --resume to continue it, or choose another --output")
        raise UserError(f"{path} exists already, and is not a run; choose another --output")

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run.

        Raises:
            UserError: if there is none.
        """
        if not (path / CONFIG).is_file():
            reason = f"is not a run: it has no {CONFIG}" if path.is_dir() else "does not exist"
            raise UserError(f"{path} {reason}")
        return cls(path)

    # Reading.

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.yaml.

        Raises:
            UserError: if it cannot be read.
        """
        path = self.path / CONFIG
        try:
            content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({type(error).__name__}); is {self.path} a run?") from error
        if not isinstance(content, dict) or not content.keys() & {"tasks", "benchmark"}:
            raise UserError(f"{path} holds no settings of a run: neither tasks nor a benchmark; is {self.path} one?")
        return content

    @property
    def is_evaluation(self) -> bool:
        """Whether it evaluated a model, rather than trained one."""
        return "benchmark" in self.config

    @property
    def is_warmup(self) -> bool:
        """Whether it trained on gold answers, rather than by reinforcement."""
        return "warmup" in self.config

    @property
    def environment(self) -> dict[str, Any]:
        """The content of environment.json: versions, hardware, fingerprints."""
        return self._json(ENVIRONMENT) or {}

    @property
    def summary(self) -> dict[str, Any] | None:
        """The content of summary.json; None while training is not finished."""
        return self._json(SUMMARY)

    @property
    def scores(self) -> dict[str, Any] | None:
        """The content of scores.json; None while the evaluation is not finished."""
        return self._json(SCORES)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return (self.path / (SCORES if self.is_evaluation else SUMMARY)).is_file()

    @property
    def has_records(self) -> bool:
        """Whether anything was replied or trained yet."""
        files = (self.path / name for name in (METRICS, COMPLETIONS, HELDOUT, PREDICTIONS))
        return any(file.is_file() and file.stat().st_size for file in files)

    @property
    def used_sources(self) -> list[UsedSource]:
        """The sources that it used, as they were; what a later version adds is left out."""
        known = {each.name for each in fields(UsedSource)}
        sources = self.environment.get("sources", ())
        return [UsedSource(**{key: source[key] for key in known & source.keys()}) for source in sources]

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl, each of which has ``step``."""
        return read_lines(self.path / METRICS)

    def completions(self) -> list[Completion]:
        """The recorded completions of training, oldest first.

        Raises:
            UserError: for a line that is broken or lacks a field.
        """
        return list(self._records(COMPLETIONS, Completion))

    def heldout(self) -> list[HeldoutAnswer]:
        """The answers to the held-out examples so far, in the order of the steps.

        Raises:
            UserError: for a line that is broken or lacks a field.
        """
        return list(self._records(HELDOUT, HeldoutAnswer))

    def answered(self, variant: str | None = None) -> list[Prediction]:
        """All replies so far of an evaluation, or of one of its ablations or restatements, as they were written.

        Raises:
            UserError: if a line is broken or lacks a field, or an item occurs twice (with the same number of a sample).
        """
        path = self.path / predictions_file(variant)
        shared = self._json(CHOICES)
        records: dict[tuple[str, int], Prediction] = {}
        for number, record in enumerate(self._records(path.name, Prediction), start=1):
            key = record.item, record.sample
            if key in records:
                raise UserError(f"{path} line {number}: item {record.item} occurs twice; remove one of its lines")
            records[key] = record if shared is None else record.with_shared_choices(shared)
        return list(records.values())

    def predictions(self, variant: str | None = None, *, every: bool = False) -> list[Prediction]:
        """The first reply to each item, or ``every`` one where several were drawn; none at all is an error.

        Raises:
            UserError: if there are none, a line is broken or lacks a field, or an item occurs twice.
        """
        path = self.path / predictions_file(variant)
        if not path.is_file():
            if not self.is_evaluation:
                raise UserError(f"{self.path} is a training run; evaluate its model first: {self.path / 'model'}")
            raise UserError(f"{self.path} has no {path.name}; nothing was answered yet")
        records = self.answered(variant)
        if not records:
            raise UserError(f"{path} is empty; nothing was answered yet")
        return [record for record in records if every or record.sample == 0]

    def replies(self) -> list[ReplyRecord]:
        """Everything that was replied: to the items of an evaluation, or in training."""
        return [*self.predictions(every=True)] if self.is_evaluation else [*self.completions()]

    def replies_to(self, example: ExampleId) -> list[ReplyRecord]:
        """The recorded replies to one example, those of an evaluation's ablations and restatements included."""
        files: list[tuple[str, type[ReplyRecord]]] = [(COMPLETIONS, Completion)]
        files += [(path.name, Prediction) for path in sorted(self.path.glob(PREDICTIONS.replace(".", "*.")))]
        return [record for name, kind in files for record in self._records(name, kind) if record.id == example]

    def _json(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        if not path.is_file():
            return None
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error})") from error
        return content if isinstance(content, dict) else None

    def _records(self, name: str, kind: type[R]) -> Iterator[R]:
        path = self.path / name
        for number, line in enumerate(read_lines(path), start=1):
            try:
                yield kind.model_validate(line)
            except ValidationError as error:
                missing = ", ".join(str(each["loc"][0]) for each in error.errors())
                raise UserError(
                    f"{path} line {number}: {missing} cannot be read; was it written by another version?"
                ) from error

    # Writing.
    def write(self, name: str, text: str) -> None:
        """Writes a file of which no reader sees half."""
        with whole(self.path / name) as path:
            # The names of files may hold what is no text.
            path.write_text(text, encoding="utf-8", errors="replace", newline="\n")

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file, whole."""
        self.write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes config.yaml."""
        self.write(CONFIG, dump_yaml(config))

    def write_environment(
        self, sources: Sequence[UsedSource], model: str | None, task_versions: Mapping[str, int], **about: Any
    ) -> None:
        """Writes environment.json: this machine, what the recipe, data and model are by content, and ``about``."""
        contents = {"sources": [asdict(source) for source in sources], "model": model, "task_versions": task_versions}
        self.write_json(ENVIRONMENT, {**environment(), **contents, **about, "recipe": self.config_hash})

    @property
    def config_hash(self) -> str:
        """SHA-256 of config.yaml as it is now."""
        return hashlib.sha256((self.path / CONFIG).read_bytes()).hexdigest()

    def append(self, name: str, *records: Mapping[str, Any] | ReplyRecord) -> None:
        """Appends one line per record, one write each; of one that cannot be written whole nothing is left.

        Raises:
            OSError: if it cannot be written.
        """
        with (self.path / name).open("ab", buffering=0) as file:
            for record in records:
                line = encode_line(record.line() if isinstance(record, ReplyRecord) else record)
                end = file.seek(0, os.SEEK_END)
                try:
                    if file.write(line) != len(line):  # a full disk takes a part first
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / name))
                except OSError:
                    file.truncate(end)
                    raise

    def rewrite(self, name: str, records: Sequence[Mapping[str, Any] | ReplyRecord]) -> None:
        """Replaces a JSON-lines file by these records."""
        lines = [record.line() if isinstance(record, ReplyRecord) else record for record in records]
        self.write(name, "".join(encode_line(line).decode("utf-8") for line in lines))

    def cut(self, name: str, step: int) -> list[dict[str, Any]]:
        """Drops the lines past ``step`` and a torn last line; returns the kept ones."""
        kept = [record for record in read_lines(self.path / name) if record["step"] <= step]
        self.rewrite(name, kept)
        return kept


def predictions_file(variant: str | None = None) -> str:
    """The file that holds an evaluation's predictions, or those of an ablation or a restatement."""
    return PREDICTIONS if variant is None else f"predictions.{hyphened(variant)}.jsonl"


def hyphened(variant: str) -> str:
    """The name of an ablation or a restatement as one word, for files and options."""
    return variant.replace(" ", "-")


def default_folder(task: str, dataset: str, now: datetime | None = None) -> Path:
    """``runs/<time>-<task>-<dataset>`` below the working folder, and ``-2``, ``-3``, … where that exists already.

    Runs that a script starts together may begin within one second.
    """
    safe = "".join(char if char.isalnum() or char in "-_+" else "-" for char in f"{task}-{dataset}")
    first = Path("runs") / f"{(now or datetime.now()):%Y%m%d-%H%M%S}-{safe}"
    others = (first.with_name(f"{first.name}-{count}") for count in itertools.count(2))
    return next(folder for folder in itertools.chain([first], others) if not folder.exists())


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        UserError: if the folder is not a run.
    """
    return Run.open(Path(path))
