"""One training run, from a recipe to a folder with a better model."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.runs import (
    COMPLETIONS,
    CONFIG,
    METRICS,
    SUMMARY,
    RunFolder,
    default_folder,
    environment,
    read_lines,
)
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.display import Display
from ssl4rl.training.preparation import Tasks, is_main_process, num_processes, prepare, resolve_engine
from ssl4rl.training.recipe import Recipe

if TYPE_CHECKING:
    from ssl4rl.training.trainer import TaskTrainer


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

        from ssl4rl.training.trainer import VISION_TOWER, TaskTrainer

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
