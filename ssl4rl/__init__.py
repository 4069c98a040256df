"""ssl4rl: reinforcement learning for language and vision-language models on self-supervised rewards.

Corrupt an input, ask the model to undo or recognise the corruption, compare its answer with the target that the data
itself provides, and optimise with GRPO. Importing this package imports nothing heavy; names are loaded when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssl4rl.version import __version__

if TYPE_CHECKING:
    from ssl4rl.build import benchmark, load, mix, rebuild, task
    from ssl4rl.errors import UserError
    from ssl4rl.evaluation.run import evaluate
    from ssl4rl.registration import (
        register_benchmark,
        register_engine,
        register_graph,
        register_images,
        register_reward,
        register_task,
    )
    from ssl4rl.runs import open_run
    from ssl4rl.training.run import train

_HOME = {
    **dict.fromkeys(("task", "benchmark", "load", "rebuild", "mix"), "ssl4rl.build"),
    "train": "ssl4rl.training.run",
    "evaluate": "ssl4rl.evaluation.run",
    "open_run": "ssl4rl.runs",
    "UserError": "ssl4rl.errors",
    **dict.fromkeys(
        (
            "register_task",
            "register_benchmark",
            "register_graph",
            "register_images",
            "register_engine",
            "register_reward",
        ),
        "ssl4rl.registration",
    ),
}

__all__ = [
    "UserError",
    "__version__",
    "benchmark",
    "evaluate",
    "load",
    "mix",
    "open_run",
    "rebuild",
    "register_benchmark",
    "register_engine",
    "register_graph",
    "register_images",
    "register_reward",
    "register_task",
    "task",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ssl4rl' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
