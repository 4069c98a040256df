"""manifest.json: what an export holds, and from what it was made, so that it can be checked, continued and rebuilt."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.export.rows import clean
from ssl4rl.mixture import Mixture, parts_of
from ssl4rl.runs import UsedSource
from ssl4rl.settings import first_invalid
from ssl4rl.tasks import AnyTask
from ssl4rl.training.tasks import describe

MANIFEST = "manifest.json"
PARTIAL = "manifest.partial.json"
"""Its name until everything has been written."""


class Part(BaseModel):
    """The base of what a manifest is made of."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ExportedTask(Part):
    """A task of the export."""

    name: str
    version: int
    level: str
    knobs: dict[str, Any]
    """Those that differ from the level's."""
    weight: float
    kind: str
    """The kind of its source."""
    source: str
    dataset: str | None
    """The name or absolute path that the source was loaded by; null if it was made in memory."""
    fingerprint: str
    """A hash of the source's content."""


class Longest(Part):
    """The longest prompt, or the one with most images."""

    length: int
    id: str


class WrittenFile(Part):
    """A file of rows."""

    path: str
    rows: int
    bytes: int
    sha256: str
    longest: dict[str, Longest]
    """By the built-in counter (``pieces``, of the texts alone), by ``images``, and by the model's tokenizer
    (``tokens``)."""


class ExportRecipe(Part):
    """What decides every byte of an export."""

    to: str
    split: str
    seed: int
    tasks: list[ExportedTask]
    indices: tuple[int, int] | None
    """The first index, and the one after the last; null for a package that never ends."""
    online: bool
    """Whether examples are built as they are used, so that there are no rows."""
    model: dict[str, str] | None
    """The model whose tokenizer measured the prompts: its ``path`` and ``fingerprint``."""
    versions: dict[str, str]

    @classmethod
    def of(
        cls, task: AnyTask, to: str, count: int | None, online: bool, model: dict[str, str] | None = None
    ) -> ExportRecipe:
        """The recipe of the first ``count`` examples of a task."""
        weights = task.knobs.weights if isinstance(task, Mixture) else (1.0,)
        tasks = []
        for part, weight in zip(parts_of(task), weights, strict=True):
            source = UsedSource.of(part)
            tasks.append(
                ExportedTask(
                    name=part.name,
                    version=part.version,
                    level=part.level,
                    knobs=part.overrides,
                    weight=weight,
                    kind=source.kind,
                    source=clean(source.name),
                    dataset=None if source.dataset is None else clean(source.dataset),
                    fingerprint=source.fingerprint,
                )
            )
        packages = ("numpy", "pillow", "pyarrow")
        return cls(
            to=to,
            split=task.split,
            seed=describe(task)["seed"],
            tasks=tasks,
            indices=None if count is None else (0, count),
            online=online,
            model=model,
            versions={"ssl4rl": ssl4rl.__version__, **{package: version(package) for package in packages}},
        )

    @property
    def count(self) -> int:
        """How many examples it has; 0 where they never end."""
        return 0 if self.indices is None else self.indices[1] - self.indices[0]

    def task(self) -> AnyTask:
        """The task that the examples are of.

        Raises:
            UserError: if the dataset is not here, or if it or the task has changed since.
        """
        from ssl4rl.training.recipe import Recipe, TaskEntry
        from ssl4rl.training.tasks import build_tasks

        for each in self.tasks:
            if each.dataset is None:
                raise UserError(f"{each.source} was made in memory, so that its examples cannot be built again")
        entries = [
            TaskEntry(name=each.name, dataset=each.dataset, level=each.level, knobs=each.knobs, weight=each.weight)
            for each in self.tasks
        ]
        task = build_tasks(Recipe(seed=self.seed, tasks=entries)).train.on_split(self.split)
        for each, part in zip(self.tasks, parts_of(task), strict=True):
            if part.source.fingerprint != each.fingerprint:
                raise UserError(f"the content of {each.dataset} is not what it was when the export was made")
            if part.version != each.version:
                raise UserError(
                    f"task {each.name} was exported at version {each.version} and is at version {part.version} here; "
                    f"install ssl4rl {self.versions['ssl4rl']}, or export again"
                )
        return task


class Manifest(Part):
    """All of manifest.json."""

    recipe: ExportRecipe
    rows: int = 0
    longest: dict[str, Longest] = Field(default_factory=dict)
    """The longest prompt of all files; of the first 1,000 examples where there are none."""
    files: list[WrittenFile] = Field(default_factory=list)
    """The files of rows, in order."""
    scorer: WrittenScorer

    def with_file(self, file: WrittenFile) -> Manifest:
        """The manifest with one more file."""
        return self.model_copy(
            update={
                "rows": self.rows + file.rows,
                "files": [*self.files, file],
                "longest": longer(self.longest, file.longest),
            }
        )

    def text(self) -> str:
        """The content of the file."""
        return self.model_dump_json(indent=2) + "\n"


class WrittenScorer(Part):
    """The file that scores replies."""

    path: str
    sha256: str


def longer(first: dict[str, Longest], second: dict[str, Longest]) -> dict[str, Longest]:
    """The longer prompt of two, by each way of counting; of equal ones the first."""
    merged = dict(first)
    for unit, found in second.items():
        if unit not in merged or merged[unit].length < found.length:
            merged[unit] = found
    return merged


def read_manifest(folder: Path, name: str = MANIFEST) -> Manifest:
    """The manifest of an export.

    Raises:
        UserError: if the folder has none, or it is not one of this program's.
    """
    path = folder / name
    if not path.is_file():
        partial = (folder / PARTIAL).is_file()
        what = "a stopped export; repeat the command that began it to finish it" if partial else "not an export"
        raise UserError(f"{folder} has no {name}: it is {what}")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where, _, why = first_invalid(error)
        raise UserError(f"{path}: {where or 'the file'}: {why}; was it written by another version?") from error


def changed(first: ExportRecipe, second: ExportRecipe) -> str:
    """The first field in which two recipes differ, with both values; empty if they are the same."""
    return _difference("", first.model_dump(mode="json"), second.model_dump(mode="json"))


def _difference(place: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        pairs = [(key, before[key], now[key]) for key in before]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(str(number), *both) for number, both in enumerate(zip(before, now, strict=True))]
    elif before != now:
        return f"{place} was {json.dumps(before)} and is {json.dumps(now)}"
    else:
        return ""
    found = (_difference(f"{place}.{key}".lstrip("."), *both) for key, *both in pairs)
    return next(filter(None, found), "")


def file_sha256(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Manifest.model_rebuild()
