"""Decorators that give a name to a task, a benchmark, a dataset, an engine or a reward of one's own.

A name registered this way lasts until the process ends. A package that others install uses entry points instead (the
groups are in :mod:`ssl4rl.registry`), and its names are there wherever it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ssl4rl.registry import BENCHMARKS, ENGINES, GRAPHS, IMAGE_SETS, REWARDS, TASKS, Registry

if TYPE_CHECKING:
    from ssl4rl.benchmarks import Benchmark
    from ssl4rl.tasks import Task

T = TypeVar("T")
TaskType = TypeVar("TaskType", bound="type[Task[Any, Any]]")
BenchmarkType = TypeVar("BenchmarkType", bound="type[Benchmark[Any, Any]]")


def register_task(cls: TaskType) -> TaskType:
    """Registers a task class under its ``name``."""
    return _register(TASKS, cls.name, cls)


def register_benchmark(cls: BenchmarkType) -> BenchmarkType:
    """Registers a benchmark class under its ``name``."""
    return _register(BENCHMARKS, cls.name, cls)


def register_graph(name: str) -> Callable[[T], T]:
    """Registers a function without arguments that returns a :class:`TextAttributedGraph`."""
    return lambda load: _register(GRAPHS, name, load)


def register_images(name: str) -> Callable[[T], T]:
    """Registers a function without arguments that returns an :class:`ImageSet`."""
    return lambda load: _register(IMAGE_SETS, name, load)


def register_engine(name: str) -> Callable[[T], T]:
    """Registers a function that opens an engine (see :class:`ssl4rl.inference.engines.EngineFactory`)."""
    return lambda factory: _register(ENGINES, name, factory)


def register_reward(name: str) -> Callable[[T], T]:
    """Registers a function of the reply and the example that returns a reward; ``reward.kind`` names it."""
    return lambda reward: _register(REWARDS, name, reward)


def _register(registry: Registry[Any], name: str, item: T) -> T:
    registry.register(name)(item)
    return item
