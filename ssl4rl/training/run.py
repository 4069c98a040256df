"""One training run, from a recipe to a folder with a better model."""

from __future__ import annotations

import itertools
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ssl4rl import inference
from ssl4rl.errors import UserError
from ssl4rl.inference.model import Measured, ModelFiles
from ssl4rl.records import (
    COMPLETIONS,
    CONFIG,
    METRICS,
    SUMMARY,
    RunFolder,
    default_folder,
    environment,
    read_lines,
)
from ssl4rl.training.checks import BatchPlan, check
from ssl4rl.training.config import Recipe
from ssl4rl.training.display import Display

if TYPE_CHECKING:
    from ssl4rl.training.grpo import TaskLike, TaskTrainer

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
    return Prepared(plan, tasks, files, risks, preflight(recipe, files, tasks))


def train(recipe: Recipe, output: Path | None = None, *, resume: bool = False, tasks: Tasks | None = None) -> RunFolder:
    """Trains as the recipe says and returns the run's folder; ``tasks`` replaces what the recipe names.

    Raises:
        UserError: for whatever the user can put right, before training starts wherever that is possible.
    """
    if num_processes() > 1 and output is None:
        raise UserError("with several processes, say where the run goes: --output")
    run = prepare(recipe, tasks)
    engine = resolve_engine(recipe)
    display = Display(run.plan.max_steps, run.tasks.levels)
    if is_main_process():
        for line in run.risks:
            display.say(f"risky: {line}")
        display.say(f"longest prompt measured: {run.longest}")
    folder = _open_folder(recipe, run.tasks, output, resume)
    return _Run(recipe, run.plan, run.tasks, run.files, engine, folder, display).go(resume)


def preflight(recipe: Recipe, files: ModelFiles, tasks: Tasks) -> Measured:
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


def _open_folder(recipe: Recipe, tasks: Tasks, output: Path | None, resume: bool) -> RunFolder:
    if not is_main_process():
        return RunFolder(Path(output or "."))
    if resume:
        if output is None:
            raise UserError("--resume needs the run to go on with: --output RUN")
        return RunFolder.open(output)
    folder = RunFolder.create(output or default_folder("+".join(e.name for e in recipe.tasks), tasks.dataset))
    folder.write(CONFIG, yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True))
    folder.write_json("environment.json", environment())
    return folder


def quieten() -> None:
    """Silences what the libraries print about themselves; errors still show."""
    import datasets

    inference.quieten()
    datasets.disable_progress_bars()
    for library in ("trl", "accelerate"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|trl|transformers|peft|accelerate)\b")
    warnings.filterwarnings("ignore", category=FutureWarning)


class _Run:
    """The steps of one run; an object because they share everything."""

    def __init__(
        self,
        recipe: Recipe,
        plan: BatchPlan,
        tasks: Tasks,
        files: ModelFiles,
        engine: str,
        folder: RunFolder,
        display: Display,
    ) -> None:
        self.recipe, self.plan, self.tasks, self.files = recipe, plan, tasks, files
        self.engine, self.folder, self.display = engine, folder, display
        self.started = time.monotonic()
        self.main = is_main_process()

    def go(self, resume: bool) -> RunFolder:
        checkpoint = self._rewind() if resume else None
        trainer = self._trainer()
        if trainer.sharing is not None and self.recipe.share_prompt and self.main:
            self.display.say(f"prompts are not shared: {trainer.sharing}")
        before = self._before(trainer)
        with self.display:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        after = self._heldout(trainer)
        self._save(trainer)
        if self.main:
            self.folder.write_json(SUMMARY, self._summary(before, after))
        return self.folder

    def _rewind(self) -> Path | None:
        """Brings the files back to the last checkpoint; None to start anew where there is none yet."""
        if (self.folder.path / SUMMARY).is_file():
            raise UserError(f"{self.folder.path} is finished; nothing is left to resume")
        step, checkpoint = self.folder.last_checkpoint() or (0, None)
        if self.main:
            kept = self.folder.cut(METRICS, step)
            self.folder.cut(COMPLETIONS, step)
            self.started -= kept[-1].get("seconds", 0.0) if kept else 0.0
            self.display.say(f"going on after step {step} of {self.plan.max_steps}")
        return checkpoint

    def _trainer(self) -> TaskTrainer:
        from transformers import PrinterCallback
        from trl import GRPOConfig

        from ssl4rl.training.grpo import VISION_TOWER, TaskTrainer

        try:
            args = GRPOConfig(**self._grpo_settings())
        except (TypeError, ValueError) as error:
            raise UserError(f"grpo: {error}") from error
        lora = None
        if self.recipe.model.lora is not None:
            from peft import LoraConfig

            settings = self.recipe.model.lora
            lora = LoraConfig(
                r=settings.r,
                lora_alpha=settings.alpha,
                lora_dropout=settings.dropout,
                target_modules=settings.target_modules,
                exclude_modules=VISION_TOWER.pattern if self.recipe.model.freeze_vision else None,
                task_type="CAUSAL_LM",
            )
        trainer = TaskTrainer(
            task=self.tasks.train,
            files=self.files,
            plan=self.plan,
            args=args,
            freeze_vision=self.recipe.model.freeze_vision,
            share_prompt=self.recipe.share_prompt,
            vllm_in_process=self.engine == "vllm-in-process",
            peft_config=lora,
            on_step=self._on_step,
            on_generation=self._on_generation,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _grpo_settings(self) -> dict[str, Any]:
        """The recipe's block, our defaults for what it does not say, and what is said elsewhere."""
        import torch

        grpo = self.recipe.grpo
        model = {"dtype": self.recipe.model.dtype}
        if self.recipe.model.attn_implementation is not None:
            model["attn_implementation"] = self.recipe.model.attn_implementation
        generation = dict(grpo.get("generation_kwargs") or {})
        suppressed = self.files.suppressed_tokens
        if self.engine == "transformers":
            generation.setdefault("suppress_tokens", suppressed or None)
        elif suppressed:
            generation.setdefault("logit_bias", dict.fromkeys(suppressed, -100.0))
        save_steps = math.ceil(100 / self.plan.save_multiple) * self.plan.save_multiple
        defaults = {
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "shuffle_dataset": False,
            "save_steps": save_steps,
            "dataloader_pin_memory": torch.cuda.is_available(),
            # TRL's own default is true, and an error without a GPU.
            "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        }
        return {
            **defaults,
            **grpo,
            "generation_kwargs": generation,
            "model_init_kwargs": model,
            "output_dir": str(self.folder.path),
            "seed": self.recipe.seed,
            "use_vllm": self.engine == "vllm",
        }

    def _on_step(self, step: int, logs: Mapping[str, Any]) -> None:
        # A loss that is not a number would not be JSON either.
        record = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in logs.items()
        }
        self.folder.append(METRICS, {"step": step, "seconds": self._seconds(), **record})
        self.display.step(step, logs)

    def _on_generation(self, step: int, records: list[dict[str, Any]]) -> None:
        every = self.recipe.log_completions_every
        if self.main and (step == 1 or any(used % every == 0 for used in self.plan.steps_of_generation(step))):
            self.folder.append(COMPLETIONS, *({"step": step, **record} for record in records))

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def _before(self, trainer: TaskTrainer) -> dict[str, Any] | None:
        """The held-out score before training; a resumed run reads its own."""
        for record in read_lines(self.folder.path / METRICS):
            if record["step"] == 0 and "heldout" in record:
                stored: dict[str, Any] = record["heldout"]
                return stored
        estimate = self._heldout(trainer)
        if estimate is not None and self.main:
            self.folder.append(METRICS, {"step": 0, "seconds": self._seconds(), "heldout": estimate})
        return estimate

    def _heldout(self, trainer: TaskTrainer) -> dict[str, Any] | None:
        from ssl4rl.training.heldout import evaluate

        settings = self.recipe.heldout
        if settings.examples == 0:
            return None
        answer = partial(trainer.answer, batch_size=settings.batch_size)
        found = evaluate(self.tasks.heldout, answer, settings.examples)
        if self.main:
            self.display.say(f"held out: {describe(found.as_dict())}")
        return found.as_dict()

    def _save(self, trainer: TaskTrainer) -> None:
        """The trained model as a normal Hugging Face folder, adapters merged."""
        unfinished, final = self.folder.path / ".model.tmp", self.folder.path / "model"
        if self.recipe.model.lora is not None:
            if self.main:
                trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().save_pretrained(unfinished)
        else:
            trainer.save_model(str(unfinished))
            (unfinished / "training_args.bin").unlink(missing_ok=True)
        if self.main:
            self.files.save(unfinished)
            # A run that was stopped between this and its summary has one already.
            shutil.rmtree(final, ignore_errors=True)
            unfinished.replace(final)

    def _summary(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
        rewards = [record["reward"] for record in read_lines(self.folder.path / METRICS) if "reward" in record]
        tenth = max(1, len(rewards) // 10)
        return {
            "task": self.tasks.train.label,
            "dataset": self.tasks.dataset,
            "model": self.recipe.model.path,
            "steps": self.plan.max_steps,
            "seconds": self._seconds(),
            "reward": {"first": _mean(rewards[:tenth]), "last": _mean(rewards[-tenth:])},
            "heldout": {"before": before, "after": after},
        }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def describe(estimate: Mapping[str, Any]) -> str:
    """An estimate in words: ``0.638 (0.595 to 0.679, n=500, 99% parsed)``."""
    return (
        f"{estimate['score']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f}, "
        f"n={estimate['n']}, {estimate['parsed']:.0%} parsed)"
    )
