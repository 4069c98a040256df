"""Training on the workers of a Ray cluster: each runs the same command, as the processes of torchrun do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError

STORAGE = ".ray"
"""Where Ray Train keeps its records of runs, in the folder that the command was given in."""


def check_command(command: Sequence[str]) -> None:
    """Refuses what cannot be run on several workers.

    Raises:
        UserError: saying what to type.
    """
    if list(command[1:2]) != ["train"]:
        raise UserError("launch starts training: ssl4rl launch ray --workers 2 graph train --task link --output RUN")
    if not any(each == "--output" or each.startswith("--output=") for each in command):
        raise UserError("several processes need to know where the run goes: give --output")
    if find_spec("ray") is None:
        raise UserError("ray is not installed; pip install 'ssl4rl[ray]'")


def launch_on_ray(program: Callable[[list[str]], Any], command: Sequence[str], workers: int) -> int:
    """Calls ``program(command)`` on so many workers, each with a GPU if the cluster has any; returns its exit code.

    The cluster is the one that Ray finds (``RAY_ADDRESS``, or one on this machine), else this machine by itself. The
    folder that the command is given in has to be the same on all of its machines.

    Raises:
        UserError: if the command cannot be run on several workers, the cluster is too small, or from a worker.
    """
    check_command(command)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else a cluster that is started here tells its makers
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from ssl4rl.progress import is_quiet

    ray.init()
    try:
        resources = ray.cluster_resources()
        kind = "GPU" if resources.get("GPU") else "CPU"
        found = resources.get(kind, 0)
        if found < workers:
            raise UserError(f"--workers {workers}: the Ray cluster has {found:g} {kind}s, and each worker needs one")
        folder = Path.cwd()
        trainer = TorchTrainer(
            _work,
            train_loop_config={
                "program": program,
                "command": list(command),
                "folder": folder,
                "quiet": is_quiet(),
            },
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=kind == "GPU"),
            run_config=RunConfig(storage_path=str(folder / STORAGE)),
        )
        code: int = trainer.fit().return_value
    except TrainingFailedError as error:
        for rank, failure in sorted(getattr(error, "worker_failures", {}).items()):
            # A traceback; Ray has printed the whole of it.
            line = str(failure).strip().splitlines()[-1].removeprefix("ssl4rl.errors.UserError: ")
            raise UserError(f"worker {rank}: {line}") from error
        raise
    finally:
        ray.shutdown()
    return code


def _work(settings: dict[str, Any]) -> int:
    """What each worker does. Ray has made them a process group, and set the variables that torchrun sets.

    What is raised ends the other workers, too, which may be waiting for this one.
    """
    from ssl4rl.progress import be_quiet

    os.chdir(settings["folder"])  # Ray has gone to one of its own
    be_quiet(settings["quiet"])
    try:
        settings["program"](settings["command"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
