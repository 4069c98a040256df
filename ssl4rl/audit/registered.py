"""Every registered task and benchmark, for checks that must not miss one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssl4rl.registry import BENCHMARKS, SOURCE_KINDS, TASKS
from ssl4rl.source import Source
from ssl4rl.tasks import Task


def kinds_on(source_kind: str, split: str = "train") -> list[type[Task[Any, Any]]]:
    """The tasks on a kind of source; on split ``test`` the benchmarks."""
    registry = BENCHMARKS if split == "test" else TASKS
    return [kind for kind in registry.all()[0].values() if kind.source_kind.name == source_kind]


def every_task(source_kind: str, source: Source | None = None, split: str = "train") -> Iterator[Task[Any, Any]]:
    """All tasks on a kind of source (on split ``test`` all benchmarks), at all levels that apply to the source.

    The source is by default the one that the kind uses where none is named.
    """
    source = SOURCE_KINDS.get(source_kind).load() if source is None else source
    for kind in kinds_on(source_kind, split):
        yield from kind.at_every_level(source, split=split)
