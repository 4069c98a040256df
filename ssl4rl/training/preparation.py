"""What happens before a run: its recipe is checked, its tasks are built, its prompts are measured. No weights yet."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from dataclasses import dataclass

from ssl4rl.errors import UserError
from ssl4rl.hub_names import check_hub_name
from ssl4rl.inference import environment
from ssl4rl.inference.checks import check_weights
from ssl4rl.inference.engines import resolve_engine
from ssl4rl.inference.lengths import Measured, measure
from ssl4rl.inference.model import ModelFiles, resolve, unfamiliar
from ssl4rl.mixture import parts_of
from ssl4rl.source import describe_broken
from ssl4rl.training.checks import BatchPlan, check
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.schedule import on_ladders
from ssl4rl.training.tasks import Tasks, build_tasks, num_examples, without_support

PREFLIGHT_EXAMPLES = 64
"""Prompts measured before the model is loaded; the others are measured as they are used."""


def num_processes() -> int:
    """How many processes a launcher (accelerate, torchrun) started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that writes the run and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def shared_out(count: int) -> range:
    """The numbers from 0 that fall to this process where the processes take turns; the last may be ``count`` or more.

    Each gets as many: an engine that spans several processes gives them the replies to equal parts of all prompts, and
    waits for every one of them.
    """
    from accelerate import PartialState

    state = PartialState()
    rounds = -(-count // state.num_processes)
    return range(state.process_index, rounds * state.num_processes, state.num_processes)


def choose_sampler(recipe: Recipe) -> str:
    """What samples the completions: ``vllm``, ``vllm-in-process`` (without a GPU) or ``transformers``.

    Raises:
        UserError: if vLLM is named and not installed, or the engine cannot take the weights of a model in training.
    """
    is_server = recipe.grpo.get("vllm_mode") == "server"
    engine = resolve_engine(recipe.engine)
    if engine == "transformers":
        if is_server:
            raise UserError(
                f"grpo.vllm_mode=server: with engine={recipe.engine}, transformers samples here; set engine=vllm"
            )
        return engine
    if engine != "vllm":
        raise UserError(
            f"engine {engine} cannot be used for training: it does not take weights; use vllm or transformers"
        )
    import torch

    return engine if torch.cuda.is_available() or is_server else "vllm-in-process"


@dataclass(frozen=True)
class Prepared:
    """A run whose recipe was checked, whose tasks were built and whose prompts were measured."""

    recipe: Recipe
    plan: BatchPlan
    tasks: Tasks
    files: ModelFiles
    risks: list[str]
    """Settings that are rarely intended, a line each."""
    longest: Measured
    """The longest of the measured prompts."""
    notes: list[str]
    """What else to tell the user, a line each."""
    processes: int
    """That the run is made for."""
    num_weights: int | None
    """Of the model; None for quantised ones."""


def prepare(recipe: Recipe, tasks: Tasks | None = None, processes: int | None = None) -> Prepared:
    """Checks the recipe, builds its tasks and measures prompts; ``tasks`` replaces those that the recipe names.

    It is prepared for so many ``processes``, by default those that a launcher started.

    Raises:
        UserError: for everything that the user can fix.
    """
    from ssl4rl.training.trainable import check_adapters

    environment.prepare_environment()
    processes = processes or num_processes()
    plan, risks = check(recipe, processes)
    check_hub_name(resolve(recipe.model.path), "model")  # before anything that takes time
    tasks = tasks or build_tasks(recipe)
    used = {id(part.source): part.source for part in (*parts_of(tasks.train), *parts_of(tasks.heldout))}
    broken = [line for source in used.values() for line in describe_broken(source, recipe.max_broken)]
    if recipe.corrupt is not None:
        tasks = tasks.corrupted(recipe.corrupt)
    if recipe.reward.margin:
        without_support(tasks.train)  # which says if it cannot be taken away
    tasks = on_ladders(tasks, recipe)
    quieten()
    model = recipe.model
    files = ModelFiles(
        model.path,
        min_pixels=model.min_pixels,
        max_pixels=model.max_pixels,
        chat_template_kwargs=model.chat_template_kwargs,
    )
    if model.freeze_vision and not files.reads_images:
        raise UserError(f"model.freeze_vision: model {model.path!r} reads no images")
    num_weights = check_weights(files)
    if getattr(files.config, "quantization_config", None) is not None and model.lora is None:
        raise UserError(f"the weights of model {model.path!r} are quantised and cannot be trained; set model.lora.r=16")
    check_adapters(files, model)
    longest = _longest_prompt(recipe, files, tasks)
    sources = [(part.source_kind, part.source.name) for part in parts_of(tasks.train)]
    lines = (*files.notes, unfamiliar(model.path, sources), _slow_dtype(recipe), _rounded_updates(recipe, files))
    notes = [*broken, *(line for line in lines if line)]
    return Prepared(recipe, plan, tasks, files, risks, longest, notes, processes, num_weights)


def _longest_prompt(recipe: Recipe, files: ModelFiles, tasks: Tasks) -> Measured:
    """Measures prompts with the model's tokenizer or processor, before its weights are loaded.

    Raises:
        UserError: for a prompt that leaves no room for the reply, or images that the model does not read.
    """
    limit = files.context_length(recipe.grpo.get("vllm_max_model_length"))
    reply_length = recipe.grpo.get("max_completion_length", 256)
    heldout = num_examples(tasks.heldout, min(PREFLIGHT_EXAMPLES, recipe.heldout.examples))
    examples = itertools.chain(
        (tasks.train.example(index) for index in range(PREFLIGHT_EXAMPLES)),
        # The first examples of a mixture need not have one of each task.
        (part.example(0) for part in parts_of(tasks.train)),
        (tasks.heldout.example(index) for index in range(heldout)),
    )
    return max(measure(files, examples, reply_length, limit), key=lambda prompt: prompt.tokens)


def _slow_dtype(recipe: Recipe) -> str | None:
    """That the recipe asks for 16-bit numbers where they are slow, a line if so."""
    dtype = recipe.model.dtype
    asked = {f"model.dtype={dtype}": dtype in ("bfloat16", "float16"), "grpo.bf16=true": recipe.grpo.get("bf16")}
    settings = [setting for setting, is_asked in asked.items() if is_asked]
    if not (settings and environment.slow_in_16_bits()):
        return None
    return (
        f"{' and '.join(settings)}: without AVX-512, this processor is several times faster in float32, whose weights "
        "take twice the memory: --set model.dtype=float32 --set grpo.bf16=false"
    )


def _rounded_updates(recipe: Recipe, files: ModelFiles) -> str | None:
    """That weights of 16 bits are trained, a line if so: at a usual learning rate they hardly change."""
    dtype = recipe.model.dtype
    stored = str(getattr(files.config, "dtype", None) if dtype == "auto" else dtype).removeprefix("torch.")
    if recipe.model.lora is not None or stored not in ("bfloat16", "float16"):
        return None
    return (
        f"model.dtype={dtype}: most updates are too small for weights of 16 bits and are rounded away; train LoRA "
        "(--set model.lora.r=16), or weights of 32 bits (--set model.dtype=float32, with grpo.bf16=true for speed)"
    )


def quieten() -> None:
    """Silences what the libraries print about themselves; errors still show."""
    import datasets

    environment.quieten()
    datasets.disable_progress_bars()
    for library in ("trl", "accelerate"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|trl|transformers|peft|accelerate)\b")
    warnings.filterwarnings("ignore", category=FutureWarning)
