"""Runs a function in several processes that find each other as those of torchrun do.

They are forked from one that has imported everything: that takes longer than what the tests do.
"""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

TIMEOUT = 600


def run_processes(count: int, function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function of a module in each process; what it raises in any of them fails the test."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ssl4rl.training.run", "ssl4rl.training.trainer", "ssl4rl.training.saving", "peft"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = context.SimpleQueue()
    group = [
        context.Process(target=_one, args=(rank, count, port, errors, function, arguments)) for rank in range(count)
    ]
    for process in group:
        process.start()
    left = {process.sentinel: process for process in group}
    try:
        # One that has failed leaves the others waiting for it.
        while left and all(process.exitcode in (None, 0) for process in group):
            ended = wait(left, TIMEOUT)
            assert ended, f"{len(left)} of {count} processes are still running"
            for sentinel in ended:
                left.pop(sentinel).join()
    finally:
        for process in left.values():
            process.kill()
    assert errors.empty(), errors.get()
    assert [process.exitcode for process in group] == [0] * count


def _one(rank: int, count: int, port: int, errors: Any, function: Callable[..., None], arguments: Any) -> None:
    import torch

    torch.set_num_threads(1)
    if count > 1:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in places.items()}, MASTER_ADDR="127.0.0.1")
    try:
        function(*arguments)
    except BaseException:
        errors.put(traceback.format_exc())
        raise
