"""Decorators that give a name to a task, a benchmark, a dataset, an engine or a reward of one's own.

A name registered this way lasts until the process ends. A package that others install uses entry points instead (the
groups are in :mod:`ssl4rl.registry`), and its names are there wherever it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ssl4rl.errors import UserError
from ssl4rl.registry import BENCHMARKS, ENGINES, GRAPHS, IMAGE_SETS, REWARDS, TASKS, Registry

if TYPE_CHECKING:
    from ssl4rl.benchmarks import Benchmark
    from ssl4rl.tasks import Task

T = TypeVar("T")
TaskType = TypeVar("TaskType", bound="type[Task[Any, Any]]")
BenchmarkType = TypeVar("BenchmarkType", bound="type[Benchmark[Any, Any]]")


def register_task(cls: TaskType) -> TaskType:
    """Registers a task class under its ``name``."""
    return _register(TASKS, _name_of(cls), cls)


def register_benchmark(cls: BenchmarkType) -> BenchmarkType:
    """Registers a benchmark class under its ``name``."""
    return _register(BENCHMARKS, _name_of(cls), cls)


def register_graph(name: str) -> Callable[[T], T]:
    """Registers a function without arguments that returns a :class:`TextAttributedGraph`."""
    return _registering(GRAPHS, name)


def register_images(name: str) -> Callable[[T], T]:
    """Registers a function without arguments that returns an :class:`ImageSet`."""
    return _registering(IMAGE_SETS, name)


def register_engine(name: str) -> Callable[[T], T]:
    """Registers a function that opens an engine (see :class:`ssl4rl.inference.engines.EngineFactory`)."""
    return _registering(ENGINES, name)


def register_reward(name: str) -> Callable[[T], T]:
    """Registers a function of the reply and the example that returns a reward; ``reward.kind`` names it."""
    return _registering(REWARDS, name)


def _name_of(cls: type) -> str:
    name = getattr(cls, "name", None)
    if not isinstance(name, str):
        raise UserError(f'{getattr(cls, "__name__", cls)} has no name; it needs a line such as `name = "my-task"`')
    return name


def _registering(registry: Registry[Any], name: str) -> Callable[[T], T]:
    if not isinstance(name, str):
        raise UserError(f'a {registry.noun} is registered under a name; write it in brackets: ("my-name")')
    return lambda item: _register(registry, name, item)


def _register(registry: Registry[Any], name: str, item: T) -> T:
    registry.register(name)(item)
    return item
