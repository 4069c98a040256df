"""Checks of a recipe before any model is loaded: impossible settings are errors, risky ones a line each.

The arithmetic is TRL's. A *generation batch* of completions is sampled at once and used for ``steps_per_generation``
micro-batches (times ``num_iterations``); ``gradient_accumulation_steps`` micro-batches make an optimiser step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ssl4rl.errors import UserError, unknown
from ssl4rl.models import EMBEDDED
from ssl4rl.training.recipe import Recipe

VLLM_MODES = ("colocate", "server")
LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")

TRACKERS = {
    name: name
    for name in ("wandb", "tensorboard", "mlflow", "comet_ml", "trackio", "clearml", "codecarbon", "dvclive", "swanlab")
}
"""What ``grpo.report_to`` may name, and the package that it needs."""
UNCHECKED = ("none", "all", "azure_ml", "dagshub", "flyte", "kubeflow", "neptune")
"""What else transformers (5.17) takes there."""
ATTENTION = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
"""The same for ``model.attn_implementation``; one with a slash is a kernel of the hub."""

# trl.GRPOConfig's defaults (1.16) of the settings that the arithmetic needs.
_DEFAULTS = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "num_generations": 8}


@dataclass(frozen=True)
class BatchPlan:
    """How a recipe's batches divide, over all processes."""

    num_generations: int
    """Completions per prompt, the group."""
    generation_batch_size: int
    """Completions sampled at once, over all processes."""
    steps_per_generation: int
    """Micro-batches (per process) that a generation batch is cut into."""
    gradient_accumulation_steps: int
    """Micro-batches per optimiser step."""
    num_iterations: int
    """Times a generation batch is used."""
    max_steps: int
    """Optimiser steps of the run."""

    @property
    def completions_per_step(self) -> int:
        """Completions that an optimiser step learns from."""
        return self.generation_batch_size // self.steps_per_generation * self.gradient_accumulation_steps

    @property
    def prompts_per_generation(self) -> int:
        return self.generation_batch_size // self.num_generations

    @property
    def generation_period(self) -> int:
        """Micro-batches from one sampling to the next."""
        return self.steps_per_generation * self.num_iterations

    @property
    def save_multiple(self) -> int:
        """A checkpoint falls on a generation boundary after each multiple of this many optimiser steps."""
        period = self.generation_period
        return math.lcm(period, self.gradient_accumulation_steps) // self.gradient_accumulation_steps

    @property
    def num_prompts(self) -> int:
        """Prompts that the whole run uses."""
        generations = math.ceil(self.max_steps * self.gradient_accumulation_steps / self.generation_period)
        return generations * self.prompts_per_generation

    def warmup(self, wanted: float) -> float:
        """The steps in which the learning rate rises, or their share of all: ``wanted``, but at most a tenth of all.

        In the first of them it is 0, so that a trial of a few steps would change nothing.
        """
        return wanted if wanted < 1 else min(wanted, self.max_steps // 10)

    @property
    def usual_save_steps(self) -> int:
        """The steps from a checkpoint to the next where the recipe does not say."""
        return math.ceil(100 / self.save_multiple) * self.save_multiple

    def steps_of_generation(self, step: int) -> range:
        """The optimiser steps that use the completions sampled just before step ``step`` (counted from 1)."""
        period, accumulation = self.generation_period, self.gradient_accumulation_steps
        last = (step * accumulation - 1) // period  # the last generation that is sampled in this step
        return range(step, ((last + 1) * period - 1) // accumulation + 2)


def _integer(grpo: dict[str, Any], name: str, default: int | None = None) -> int:
    value = grpo.get(name, _DEFAULTS.get(name, default))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"grpo.{name}={value!r}: give a whole number of at least 1")
    return value


def _number(grpo: dict[str, Any], name: str, default: float) -> float:
    value = grpo.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"grpo.{name}={value!r}: give a number")
    return float(value)


def plan_batches(recipe: Recipe, processes: int = 1) -> BatchPlan:
    """The batches of a recipe on ``processes`` devices.

    Raises:
        UserError: where they do not divide; the message proposes numbers that do.
    """
    grpo = recipe.grpo
    if "max_steps" not in grpo:
        raise UserError("examples are unlimited, so the recipe must say how long to train: set grpo.max_steps")
    _integer(grpo, "max_steps")
    group = _integer(grpo, "num_generations")
    if group < 2:
        raise UserError("grpo.num_generations=1: GRPO compares the completions of a group, so it needs at least 2")
    per_step = _integer(grpo, "per_device_train_batch_size") * processes
    accumulation = _integer(grpo, "gradient_accumulation_steps")
    if "generation_batch_size" in grpo and "steps_per_generation" in grpo:
        raise UserError("grpo.generation_batch_size and grpo.steps_per_generation say the same: set one of them")
    if "generation_batch_size" in grpo:
        completions = _integer(grpo, "generation_batch_size")
        if completions % per_step:
            raise UserError(
                f"grpo.generation_batch_size={completions} is not divisible by the {per_step} completions of a "
                f"micro-batch (per_device_train_batch_size x {processes} processes)"
            )
        steps = completions // per_step
    else:
        steps = _integer(grpo, "steps_per_generation", accumulation)
        completions = steps * per_step
    if completions % group:
        nearest = max(1, round(completions / group)) * group
        raise UserError(
            f"a generation batch of {completions} completions (per_device_train_batch_size x processes x "
            f"steps_per_generation) is not divisible by groups of grpo.num_generations={group}; {nearest} would be"
        )
    return BatchPlan(group, completions, steps, accumulation, _integer(grpo, "num_iterations", 1), grpo["max_steps"])


def keep_global_batch(recipe: Recipe, processes: int) -> Recipe:
    """The recipe with as many completions an optimiser step on ``processes`` devices as it has on one.

    Raises:
        UserError: if they do not divide.
    """
    grpo = dict(recipe.grpo)
    left = processes
    for name in ("gradient_accumulation_steps", "per_device_train_batch_size"):
        value = _integer(grpo, name)
        shared = math.gcd(value, left)
        grpo[name], left = value // shared, left // shared
    if grpo.pop("steps_per_generation", None) is not None:
        # That counts the micro-batches of a process; this counts completions, whoever samples them.
        grpo["generation_batch_size"] = plan_batches(recipe).generation_batch_size
    if left > 1:
        completions = plan_batches(recipe).completions_per_step
        raise UserError(
            f"--keep-global-batch: the {completions} completions of an optimiser step cannot be divided among "
            f"{processes} processes; change grpo.per_device_train_batch_size or grpo.gradient_accumulation_steps"
        )
    return recipe.model_copy(update={"grpo": grpo})


def check(recipe: Recipe, processes: int = 1) -> tuple[BatchPlan, list[str]]:
    """The recipe's batches, and one line for each risky setting.

    Raises:
        UserError: for settings that cannot work.
    """
    plan = plan_batches(recipe, processes)
    grpo = recipe.grpo
    _check_packages(recipe)
    for name, plain in (("eval_strategy", "no"), ("eval_on_start", False)):
        if grpo.get(name, plain) != plain:
            raise UserError(
                f"grpo.{name}={grpo[name]}: held-out scores come from the recipe's own `heldout` (heldout.every); "
                "leave it out"
            )
    for name, known in (("logging_strategy", ["steps"]), ("save_strategy", ["no", "steps"])):
        if grpo.get(name, "steps") not in known:
            raise UserError(f"grpo.{name}={grpo[name]}: give {' or '.join(known)}; endless examples have no epochs")
    if grpo.get("remove_unused_columns"):
        raise UserError("grpo.remove_unused_columns: examples are no columns of a dataset; leave it out")
    if "warmup_steps" in grpo:
        _number(grpo, "warmup_steps", 0)
    for name in ("save_only_model", "ignore_data_skip", "sync_ref_model"):
        if grpo.get(name):
            raise UserError(f"grpo.{name}: a run could not be resumed exactly; leave it out")
    if grpo.get("shuffle_dataset") and (recipe.difficulty != "fixed" or recipe.mixing != "weights"):
        raise UserError("grpo.shuffle_dataset: difficulty and mixing decide which example comes when; leave it out")
    _integer(grpo, "max_completion_length", 256)
    if _number(grpo, "temperature", 1.0) <= 0:
        raise UserError(f"grpo.temperature={grpo['temperature']}: sampling needs a temperature above 0")
    if _number(grpo, "learning_rate", 1e-6) < 0:
        raise UserError(f"grpo.learning_rate={grpo['learning_rate']}: it cannot be negative")
    loss = grpo.get("loss_type", "dapo")
    if loss not in LOSS_TYPES:
        raise unknown("grpo.loss_type", str(loss), LOSS_TYPES)
    mode = grpo.get("vllm_mode", "colocate")
    if mode not in VLLM_MODES:
        raise unknown("grpo.vllm_mode", str(mode), VLLM_MODES)
    if grpo.get("save_strategy", "steps") == "steps" and "save_steps" in grpo:
        save = _integer(grpo, "save_steps")
        if save % plan.save_multiple:
            nearest = max(1, round(save / plan.save_multiple)) * plan.save_multiple
            raise UserError(
                f"grpo.save_steps={save}: a checkpoint between two generations cannot be resumed exactly; "
                f"give a multiple of {plan.save_multiple}, such as {nearest}"
            )
    risks = _risks(recipe)
    # A launcher's processes each hold a share of the batch.
    is_split = plan.generation_batch_size // processes % plan.num_generations > 0
    alone = {
        f"reward.kind={recipe.reward.kind}": recipe.reward.kind in ("majority", "random"),
        f"reward.margin={recipe.reward.margin:g}": recipe.reward.margin > 0,
        f"difficulty={recipe.difficulty}": recipe.difficulty != "fixed",
        f"mixing={recipe.mixing}": recipe.mixing != "weights",
    }
    for setting, needs_whole in alone.items():
        if is_split and needs_whole:
            raise UserError(
                f"{setting} looks at whole groups, and groups of {plan.num_generations} do not divide the "
                f"{plan.generation_batch_size // processes} completions that each process samples; raise "
                "grpo.per_device_train_batch_size"
            )
    if recipe.refill and is_split:
        risks.append(
            f"refill={recipe.refill}: flat groups are not refilled, because groups of {plan.num_generations} do not "
            f"divide the {plan.generation_batch_size // processes} completions that each process samples"
        )
    return plan, risks


def _check_packages(recipe: Recipe) -> None:
    """Refuses what needs a package that is not here, which else would show after the model was loaded.

    Raises:
        UserError: naming the package.
    """
    reports = recipe.grpo.get("report_to") or []
    trackers = [reports] if isinstance(reports, str) else reports
    if not isinstance(trackers, list):
        raise UserError(f"grpo.report_to={reports!r}: give the name of a tracker, or a list of them")
    for name in trackers:
        if name not in (*TRACKERS, *UNCHECKED):
            raise unknown("grpo.report_to", str(name), (*TRACKERS, *UNCHECKED))
    needed = {f"grpo.report_to={name}": TRACKERS.get(name) for name in trackers}
    attention = recipe.model.attn_implementation or ""
    needed[f"model.attn_implementation={attention}"] = "kernels" if "/" in attention else ATTENTION.get(attention)
    for setting, package in needed.items():
        if package is not None and find_spec(package) is None:
            raise UserError(
                f"{setting} needs the package {package}, which is not installed; install it, or leave the setting out"
            )


def _risks(recipe: Recipe) -> list[str]:
    grpo, lora = recipe.grpo, recipe.model.lora
    rate = _number(grpo, "learning_rate", 1e-6)
    # LoRA needs about ten times the rate of full fine-tuning (Schulman et al., "LoRA without regret", 2025); `tiny`
    # learns at 3e-4, and a model like it collapsed at 5e-4.
    if lora is not None:
        kind, low, high = "LoRA", 5e-6, 1e-3
    elif recipe.model.path in EMBEDDED:
        kind, low, high = "a tiny model", 1e-5, 4e-4
    else:
        kind, low, high = "full fine-tuning", 1e-7, 2e-5
    lines = []
    if not low <= rate <= high:
        word = "low" if rate < low else "high"
        lines.append(f"grpo.learning_rate={rate:g} is {word} for {kind}; {low:g} to {high:g} is usual")
    for name, plain in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0), ("min_p", None), ("repetition_penalty", 1)):
        value = grpo.get(name, plain)
        if value != plain and not (name in ("top_k", "min_p") and not value):
            lines.append(f"grpo.{name}={value}: completions are not sampled from the policy that is trained")
    if _integer(grpo, "num_generations") < 4:
        lines.append(
            f"grpo.num_generations={grpo['num_generations']}: in small groups, often all completions score the same"
        )
    if lora is not None and lora.dropout > 0:
        lines.append(f"model.lora.dropout={lora.dropout}: the trained policy differs from the sampled one")
    return lines
