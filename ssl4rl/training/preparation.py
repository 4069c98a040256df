"""What is looked at before a run: its recipe, its tasks, its engine, and the length of its prompts. No weights yet."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ssl4rl import inference
from ssl4rl.errors import UserError
from ssl4rl.inference.model import Measured, ModelFiles
from ssl4rl.training.checks import BatchPlan, check
from ssl4rl.training.recipe import Recipe

if TYPE_CHECKING:
    from ssl4rl.training.trainer import TaskLike

# Prompts measured before the model is loaded; the others are as they are used.
PREFLIGHT_EXAMPLES = 64


@dataclass(frozen=True)
class Tasks:
    """What a run trains on and is judged by."""

    train: TaskLike
    heldout: TaskLike
    dataset: str
    """The names of the datasets, joined by a plus sign."""
    levels: list[str]
    """The levels of a single task from easy to hard; empty for a mixture."""


def build_tasks(recipe: Recipe) -> Tasks:
    """The recipe's task (a mixture of them where it names several) on splits ``train`` and ``val``.

    Raises:
        UserError: for an unknown task, level, knob or dataset, or one that does not fit the other.
    """
    from ssl4rl.data import load_source
    from ssl4rl.mixture import Mixture
    from ssl4rl.registry import TASKS

    kinds = [TASKS.get(entry.name) for entry in recipe.tasks]
    wanted = [(kind.side, entry.dataset) for kind, entry in zip(kinds, recipe.tasks, strict=True)]
    if len({side for side, _ in wanted}) > 1:
        raise UserError("tasks on graphs and tasks on pictures cannot be mixed in one run")
    sources = {key: load_source(*key) for key in dict.fromkeys(wanted)}

    def on(split: str) -> TaskLike:
        built = [
            kind(sources[key], split=split, level=entry.level, knobs=entry.knobs, seed=recipe.seed)
            for kind, key, entry in zip(kinds, wanted, recipe.tasks, strict=True)
        ]
        if len(built) == 1:
            task: TaskLike = built[0]
            return task
        return Mixture(built, [entry.weight for entry in recipe.tasks], recipe.seed)

    levels = list(kinds[0].levels) if len(kinds) == 1 else []
    return Tasks(on("train"), on("val"), "+".join(source.name for source in sources.values()), levels)


def num_processes() -> int:
    """How many processes a launcher (accelerate, torchrun) started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this one writes the run folder and speaks."""
    return int(os.environ.get("RANK", "0")) == 0


def resolve_engine(recipe: Recipe) -> str:
    """``vllm``, ``vllm-in-process`` (no GPU) or ``transformers``.

    Raises:
        UserError: if vLLM is asked for and not installed.
    """
    import torch

    has_gpu, has_vllm = torch.cuda.is_available(), find_spec("vllm") is not None
    if recipe.engine == "transformers" or (recipe.engine == "auto" and not (has_gpu and has_vllm)):
        return "transformers"
    if not has_vllm:
        raise UserError("engine=vllm, but vllm is not installed: pip install 'ssl4rl[vllm]', or engine=transformers")
    if has_gpu or recipe.grpo.get("vllm_mode") == "server":
        return "vllm"
    return "vllm-in-process"


@dataclass(frozen=True)
class Prepared:
    """A run whose recipe was checked, whose tasks were built and whose prompts were measured."""

    plan: BatchPlan
    tasks: Tasks
    files: ModelFiles
    risks: list[str]
    """Settings that are seldom meant, a line each."""
    longest: Measured
    """The longest of the prompts that were measured."""


def prepare(recipe: Recipe, tasks: Tasks | None = None) -> Prepared:
    """Checks the recipe, builds its tasks and measures prompts; ``tasks`` replaces what the recipe names.

    Raises:
        UserError: for whatever the user can put right.
    """
    inference.prepare_environment()
    plan, risks = check(recipe, num_processes())
    tasks = tasks or build_tasks(recipe)
    quieten()
    files = ModelFiles(recipe.model.path, min_pixels=recipe.model.min_pixels, max_pixels=recipe.model.max_pixels)
    if not files.reads_images:
        for name in ("freeze_vision", "min_pixels", "max_pixels"):
            if getattr(recipe.model, name):
                raise UserError(f"model.{name}: model {recipe.model.path!r} reads no pictures")
    return Prepared(plan, tasks, files, risks, _preflight(recipe, files, tasks))


def _preflight(recipe: Recipe, files: ModelFiles, tasks: Tasks) -> Measured:
    """Measures some prompts with the model's tokenizer or processor before the model is loaded; the longest of them.

    Raises:
        UserError: for a prompt that leaves no room for the reply, or pictures that the model does not read.
    """
    limit = files.context_length(recipe.grpo.get("vllm_max_model_length"))
    reply = recipe.grpo.get("max_completion_length", 256)
    heldout = min(PREFLIGHT_EXAMPLES, recipe.heldout.examples)
    examples = itertools.chain(
        (tasks.train.example(index) for index in range(PREFLIGHT_EXAMPLES)),
        (tasks.heldout.example(index) for index in range(heldout)),
    )
    longest = files.check_lengths(examples, reply, limit)
    assert longest is not None
    return longest


def quieten() -> None:
    """Silences what the libraries print about themselves; errors still show."""
    import datasets

    inference.quieten()
    datasets.disable_progress_bars()
    for library in ("trl", "accelerate"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|trl|transformers|peft|accelerate)\b")
    warnings.filterwarnings("ignore", category=FutureWarning)
