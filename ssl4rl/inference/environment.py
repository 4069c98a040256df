"""The process around torch and vLLM: environment variables that they read, and log messages that nobody needs."""

from __future__ import annotations

import logging
import os
import platform

VARIABLES = {
    # Threads that spin while they wait make a step eight times slower when another program wants a core.
    "OMP_WAIT_POLICY": "PASSIVE",
    # GiB for vLLM's key-value cache on the CPU.
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # The engine has to be in this process, where the trainer's weights are.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # vLLM's own thread binding would pin torch's other threads too.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def prepare_environment() -> None:
    """Sets the variables that the user has not set.

    Call it before torch and vLLM are imported, which is when they read them; TRL imports vLLM wherever it is installed.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


def slow_in_16_bits() -> bool:
    """Whether models run on a processor that computes in bfloat16 and float16 several times slower than in float32.

    So do those of PCs without AVX-512 instructions; of others (Arm's), torch does not tell.
    """
    import torch

    if torch.accelerator.is_available() or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return not torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def quieten() -> None:
    """Silences what transformers and vLLM print about themselves; errors still show."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("vllm").setLevel(logging.ERROR)
