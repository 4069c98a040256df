"""One ``generate(messages) -> replies`` over whatever runs the model."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ssl4rl.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl4rl.inference.engines.base import Engine
    from ssl4rl.inference.model import ModelFiles

# What torch's threads and vLLM read when they are imported (TRL imports vLLM wherever it is installed). Threads that
# spin while they wait make a step eight times slower when another program wants a core. For vLLM: GiB for its
# key-value cache on the CPU; the engine in this process, where the trainer's weights are; its own thread binding would
# pin torch's other threads too; neither log is the user's concern.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}

ENGINES = ("auto", "transformers", "vllm")
"""Besides the address of a server."""
DTYPES = ("auto", "float32", "bfloat16", "float16")


def prepare_environment() -> None:
    """Sets what vLLM and torch read, unless the user did; to be called before either is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def quieten() -> None:
    """Silences what transformers and vLLM print about themselves; errors still show."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("vllm").setLevel(logging.ERROR)


def is_address(name: str) -> bool:
    """Whether an engine's name is a server's address."""
    return name.startswith(("http://", "https://"))


def choose_engine(name: str) -> str:
    """What ``auto`` stands for here: vLLM where there is a GPU and it is installed, else transformers.

    Raises:
        UserError: for an unknown engine, or if vLLM is asked for and not installed.
    """
    if is_address(name):
        return name
    if name not in ENGINES:
        raise unknown("engine", name, [*ENGINES, "http://HOST:PORT/v1"])
    has_vllm = find_spec("vllm") is not None
    if name == "vllm" and not has_vllm:
        raise UserError("engine vllm, but vllm is not installed: pip install 'ssl4rl[vllm]', or take transformers")
    if name == "auto":
        prepare_environment()
        import torch

        return "vllm" if has_vllm and torch.cuda.is_available() else "transformers"
    return name


def open_engine(
    name: str,
    model: ModelFiles | str | None,
    *,
    dtype: str = "auto",
    context_length: int | None = None,
    batch_size: int = 16,
) -> Engine:
    """The engine ``name`` with the model loaded.

    Args:
        name: ``auto``, ``transformers``, ``vllm``, or a server's address, ``http://HOST:PORT/v1``.
        model: a folder, a hub name or ``tiny``; for a server its name there (None: the only one).
        dtype: of the weights; ``auto`` is float32 on the CPU and the checkpoint's on a GPU.
        context_length: most tokens of prompt and reply; the model's where None.
        batch_size: texts that transformers runs at once, or requests that a server is sent at once.

    Raises:
        UserError: for an unknown engine or dtype, or a model that cannot be loaded.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    from ssl4rl.inference.model import ModelFiles

    name = choose_engine(name)
    if is_address(name):
        from ssl4rl.inference.engines.server import ServerEngine

        return ServerEngine(name, model.name if isinstance(model, ModelFiles) else model, concurrency=batch_size)

    quieten()
    if model is None:
        raise UserError(f"engine {name} needs a model: a folder, a hub name or tiny")
    files = model if isinstance(model, ModelFiles) else ModelFiles(model)
    if name == "vllm":
        from ssl4rl.inference.engines.vllm import VLLMEngine

        return VLLMEngine(files, dtype=_dtype(files, dtype), context_length=context_length)
    from ssl4rl.inference.engines.transformers import TransformersEngine, load

    return TransformersEngine(
        load(files, _dtype(files, dtype)), files, batch_size=batch_size, context_length=context_length
    )


def _dtype(files: ModelFiles, dtype: str) -> str:
    import torch

    if dtype != "auto":
        return dtype
    if not torch.cuda.is_available():
        return "float32"
    return str(files.config.dtype or torch.bfloat16).removeprefix("torch.")
