"""One training run, from a recipe or a task to a trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.audit.quick import quick_check
from ssl4rl.errors import UserError
from ssl4rl.inference.checks import check_output
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.records import Completion
from ssl4rl.runs import COMPLETIONS, HELDOUT, METRICS, SUMMARY, Run, default_folder
from ssl4rl.tasks import AnyTask, Task, describe_redrawn, is_paper_level
from ssl4rl.training.display import Display
from ssl4rl.training.preparation import Prepared, choose_sampler, is_main_process, num_processes, prepare
from ssl4rl.training.probe import REPLIES, probe
from ssl4rl.training.recipe import CONTROLS, Recipe
from ssl4rl.training.recipe_file import change, read_recipe, validate
from ssl4rl.training.summary import describe_plan, reward_change
from ssl4rl.training.tasks import PartNames, Tasks, build_tasks, describe, reads_images

if TYPE_CHECKING:
    from ssl4rl.training.trainer import TaskTrainer


def train(
    recipe: Recipe | AnyTask | str | Path,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    heldout: AnyTask | Mapping[str, Any] | None = None,
    heldout_examples: int | None = None,
    model: str | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """Trains a model by GRPO and returns the run::

        run = ssl4rl.train(ssl4rl.task("link"), grpo={"max_steps": 3, "save_steps": 3})
        run.summary["heldout"]["after"]["score"]

    Args:
        recipe: a task (a mixture, too), a recipe, or the path of a recipe file.
        output: the run's folder; by default ``runs/<time>-<task>-<dataset>``.
        resume: whether to continue the run in ``output``.
        heldout: the task to evaluate on (by default the same task on its split ``val``), or keys of the recipe's
            ``heldout`` to change.
        heldout_examples: how many of its examples; 0 leaves the evaluation out.
        model: a folder, a hub name, ``tiny`` or ``tiny-vision``; or the keys of the recipe's ``model`` to change.
        settings: further fields of the recipe: ``seed=1``, ``engine="vllm"``, ``reward={"kind": "task"}``. A mapping
            changes the keys that it names: ``grpo={"max_steps": 3}`` leaves all other settings of GRPO as they are.

    Raises:
        UserError: for everything that the user can fix, before training starts if possible.
    """
    if model is not None:
        settings["model"] = {"path": model} if isinstance(model, str) else model
    if isinstance(heldout, Mapping):
        settings["heldout"], heldout = dict(heldout), None
    if heldout_examples is not None:
        settings["heldout"] = {**settings.get("heldout", {}), "examples": heldout_examples}
    resolved = _resolve(recipe, settings)
    tasks = Tasks.of(recipe) if isinstance(recipe, Task) else build_tasks(resolved)
    if heldout is not None:
        tasks = tasks.evaluated_on(heldout)
    return run_recipe(resolved, None if output is None else Path(output), tasks=tasks, resume=resume)


def _resolve(recipe: Recipe | AnyTask | str | Path, settings: Mapping[str, Any]) -> Recipe:
    """The validated recipe of a run, ``settings`` applied."""
    place = "recipe"
    if isinstance(recipe, Task):
        values = describe(recipe)
        if settings.get("seed", recipe.seed) != recipe.seed:
            raise UserError(f"seed={settings['seed']}: the task has seed {recipe.seed}; build it with the same one")
        if "tasks" in settings:
            raise UserError("tasks: the task is given already; give tasks with a recipe only")
        values["model"] = {"path": TINY_VISION if reads_images(recipe) else TINY}
    elif isinstance(recipe, Recipe):
        values = recipe.model_dump()
    else:
        place = str(recipe)
        values = read_recipe(Path(recipe))
    change(values, settings)
    return validate(values, place)


def run_recipe(recipe: Recipe, output: Path | None = None, *, tasks: Tasks | None = None, resume: bool = False) -> Run:
    """Trains as the recipe says; ``tasks`` replaces those that it names.

    Raises:
        UserError: as :func:`train` does.
    """
    if num_processes() > 1 and output is None:
        raise UserError("several processes need to know where the run goes: give --output")
    prepared = prepare(recipe, tasks)
    sampler = choose_sampler(recipe)
    levels = [level for level in prepared.tasks.train.levels if not is_paper_level(level)]
    # A control's rewards are no matter of the task's level.
    display = Display(prepared.plan.max_steps, levels if recipe.reward.kind not in CONTROLS else ())
    run = _open_run(prepared, output, resume)
    if is_main_process():
        for line in [*describe_plan(prepared), f"writing to {run.path}"]:
            display.say(line)
    return Training(prepared, sampler, run, display).complete(resume)


def _open_run(prepared: Prepared, output: Path | None, resume: bool) -> Run:
    if not is_main_process():
        return Run(Path(output or "."))
    if resume:
        if output is None:
            raise UserError("--resume needs the run to continue: --output RUN")
        run = Run.open(output)
        run.check_unchanged(prepared.tasks.sources, prepared.files.fingerprint, prepared.tasks.versions)
        return run
    recipe, tasks = prepared.recipe, prepared.tasks
    name = "+".join(entry.name for entry in recipe.tasks)
    run = Run.create(output or default_folder(name, tasks.train.source.name), recipe.model_dump(mode="json"))
    run.write_environment(tasks.sources, prepared.files.fingerprint, tasks.versions)
    return run


class Training:
    """The steps of one run; an object because they share everything."""

    def __init__(self, prepared: Prepared, sampler: str, run: Run, display: Display) -> None:
        self.recipe, self.plan = prepared.recipe, prepared.plan
        self.tasks, self.files = prepared.tasks, prepared.files
        self.sampler, self.run, self.display = sampler, run, display
        self.started = time.monotonic()
        self.main = is_main_process()

    def complete(self, resume: bool) -> Run:
        """Trains, from the last checkpoint if the run is resumed, and writes the model and the summary."""
        from ssl4rl.training.heldout import Heldout, HeldoutCallback
        from ssl4rl.training.saving import save_best_and_last

        checkpoint = self._rewind() if resume else None
        trainer = self.make_trainer()
        if trainer.sharing is not None and self.recipe.share_prompt and self.main:
            self.display.say(f"prompts are not shared: {trainer.sharing}")
        settings, last = self.recipe.heldout, self.plan.max_steps
        answer = partial(trainer.answer, batch_size=settings.batch_size)
        on_scores = trainer.schedule.evaluated if trainer.schedule else None
        heldout = Heldout(self.run, self.tasks.heldout, settings.examples, self.display, self._seconds, on_scores)
        if checkpoint is None:
            self._probe(trainer)
        heldout.at(0, answer)
        if settings.every:
            # Between two generations, where a checkpoint can be resumed exactly.
            every = math.ceil(settings.every / self.plan.save_multiple) * self.plan.save_multiple
            trainer.add_callback(HeldoutCallback(heldout, answer, every, self.run.path))
        with self.display:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if self.main and (passed_over := describe_redrawn(self.tasks.train.redrawn)):
            self.display.say(passed_over)
        heldout.at(last, answer)
        save_best_and_last(trainer, self.files, self.run.path, heldout.best(), last)
        if self.main:
            self.run.write_json(SUMMARY, self._summary(heldout.summary(last)))
        return self.run

    def _rewind(self) -> Path | None:
        """Cuts the files back to the last checkpoint; None if there is none yet, so that the run starts over."""
        if self.run.finished:
            raise UserError(f"{self.run.path} is finished; nothing is left to resume")
        step, checkpoint = self.run.last_checkpoint() or (0, None)
        if self.main:
            kept = self.run.cut(METRICS, step)
            self.run.cut(COMPLETIONS, step)
            self.run.cut(HELDOUT, step)
            self.started -= kept[-1].get("seconds", 0.0) if kept else 0.0
            self.display.say(f"resuming after step {step} of {self.plan.max_steps}")
        return checkpoint

    def _probe(self, trainer: TaskTrainer) -> None:
        """Tells before the first step how the model replies, and whether the reward can be had without the task."""
        for line in quick_check(self.tasks.train) if self.main else ():
            self.display.say(line)
        if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            check_output(self.files, trainer.accelerator.unwrap_model(trainer.model))
        found = probe(self.tasks.train, partial(trainer.answer, batch_size=REPLIES, sampled=True))
        for line in found.lines if self.main else ():
            self.display.say(line)

    def make_trainer(self) -> TaskTrainer:
        """The trainer, with the model loaded."""
        from transformers import PrinterCallback
        from trl import GRPOConfig

        from ssl4rl.training.trainer import TaskTrainer

        try:
            args = GRPOConfig(**self._grpo_settings())
        except (TypeError, ValueError) as error:
            raise UserError(f"grpo: {error}") from error
        trainer = TaskTrainer(
            task=self.tasks.train,
            recipe=self.recipe,
            files=self.files,
            plan=self.plan,
            args=args,
            vllm_in_process=self.sampler == "vllm-in-process",
            on_step=self._on_step,
            on_generation=self._on_generation,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _grpo_settings(self) -> dict[str, Any]:
        """The recipe's block, our defaults for what it leaves out, and what the recipe says elsewhere."""
        import torch

        grpo = self.recipe.grpo
        model = {"dtype": self.recipe.model.dtype, "trust_remote_code": False}
        if self.recipe.model.attn_implementation is not None:
            model["attn_implementation"] = self.recipe.model.attn_implementation
        generation = dict(grpo.get("generation_kwargs") or {})
        suppressed = self.files.suppressed_tokens
        if self.sampler == "transformers":
            generation.setdefault("suppress_tokens", suppressed or None)
        else:
            generation.setdefault("stop_token_ids", self.files.eos_token_ids)
            if suppressed:
                generation.setdefault("logit_bias", dict.fromkeys(suppressed, -100.0))
        save_steps = math.ceil(100 / self.plan.save_multiple) * self.plan.save_multiple
        defaults = {
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "shuffle_dataset": False,
            "save_steps": save_steps,
            "dataloader_pin_memory": torch.cuda.is_available(),
            # TRL's own default is true, which is an error without a GPU.
            "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            # Without it, mixed precision is refused on a CPU.
            "use_cpu": not torch.accelerator.is_available(),
        }
        return {
            **defaults,
            **grpo,
            "generation_kwargs": generation,
            "chat_template_kwargs": self.recipe.model.chat_template_kwargs or None,
            "model_init_kwargs": model,
            "output_dir": str(self.run.path),
            "seed": self.recipe.seed,
            "use_vllm": self.sampler == "vllm",
        }

    def _on_step(self, step: int, logs: Mapping[str, Any]) -> None:
        # JSON has no NaN: a loss that is not a number is null.
        record = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in logs.items()
        }
        self.run.append(METRICS, {"step": step, "seconds": self._seconds(), **record})
        self.display.step(step, logs)

    def _on_generation(self, step: int, records: Sequence[Completion]) -> None:
        every = self.recipe.log_completions_every
        if self.main and (step == 1 or any(used % every == 0 for used in self.plan.steps_of_generation(step))):
            self.run.append(COMPLETIONS, *records)

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def _summary(self, heldout: dict[str, Any]) -> dict[str, Any]:
        task = self.tasks.train
        return {
            "task": task.label,
            "dataset": task.source.name,
            "model": self.recipe.model.path,
            "steps": self.plan.max_steps,
            "seconds": self._seconds(),
            "reward": reward_change(self.run.metrics(), PartNames(task)),
            "heldout": heldout,
        }
