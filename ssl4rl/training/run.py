"""One training run, from a recipe or a task to a trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.audit.quick import quick_check
from ssl4rl.checkpoints import PREFIX, damage, writing
from ssl4rl.errors import UserError
from ssl4rl.inference.checks import check_output
from ssl4rl.lock import locked
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.records import Completion
from ssl4rl.runs import COMPLETIONS, METRICS, SUMMARY, Run, default_folder
from ssl4rl.tasks import AnyTask, Task, describe_redrawn, is_paper_level
from ssl4rl.training.display import Display
from ssl4rl.training.preparation import Prepared, choose_sampler, is_main_process, num_processes, prepare
from ssl4rl.training.probe import REPLIES, probe
from ssl4rl.training.recipe import CONTROLS, Recipe, default_grpo
from ssl4rl.training.recipe_file import change, read_recipe, validate
from ssl4rl.training.resume import (
    begin_again,
    begin_again_command,
    check_unchanged,
    end_with,
    provenance,
    resumable,
    resume_command,
    rewind,
)
from ssl4rl.training.summary import describe_plan, describe_time, reward_change
from ssl4rl.training.tasks import PartNames, Tasks, build_tasks, describe, reads_images

if TYPE_CHECKING:
    from ssl4rl.training.heldout import Heldout
    from ssl4rl.training.trainer import TaskTrainer


def train(
    recipe: Recipe | AnyTask | str | Path,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    max_time: float | None = None,
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
        max_time: seconds after which the run is stopped with a checkpoint, not ``finished``; None sets no limit.
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
    return run_recipe(resolved, None if output is None else Path(output), tasks=tasks, resume=resume, max_time=max_time)


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
        usual = default_grpo(recipe.model.path, lora=recipe.model.lora is not None)
        values = recipe.model_dump(exclude={"grpo"} if recipe.grpo == usual else None)  # another model has others
    else:
        place = str(recipe)
        values = read_recipe(Path(recipe))
    change(values, settings)
    return validate(values, place)


def run_recipe(
    recipe: Recipe,
    output: Path | None = None,
    *,
    tasks: Tasks | None = None,
    resume: bool = False,
    from_start: bool = False,
    max_time: float | None = None,
) -> Run:
    """Trains as the recipe says; ``tasks`` replaces those that it names.

    Where it is stopped, it says how to go on. After a signal it ends as a program does that got one; the run that is
    returned is not ``finished`` if ``max_time`` (seconds) has stopped it.

    Raises:
        UserError: as :func:`train` does.
    """
    if num_processes() > 1 and output is None:
        raise UserError("several processes need to know where the run goes: give --output")
    if resume:
        if output is None:
            raise UserError("--resume needs the run to continue: --output RUN")
        Run.open(output)
    elif output is not None and is_main_process():
        Run.check_new(output)
    started = time.monotonic()
    sampler = choose_sampler(recipe)
    prepared = prepare(recipe, tasks)
    name = "+".join(entry.name for entry in recipe.tasks)
    folder = output or default_folder(name, prepared.tasks.train.source.name)
    from ssl4rl.training.grpo import grpo_config

    grpo_config(prepared, sampler, folder)  # what TRL refuses shows before anything is written
    display = Display(prepared.plan.max_steps, *_other_levels(prepared))
    if is_main_process():
        for line in describe_plan(prepared):
            display.say(line)
    command = resume_command(prepared, folder, max_time)
    main = is_main_process()
    with locked(folder) if main else nullcontext(), display.log.kept(folder if main else None):
        run = _open_run(prepared, folder, resume=resume, from_start=from_start)
        if main:
            display.say(f"writing to {folder}")
        training = Training(prepared, sampler, run, display, started, max_time)
        with resumable(command, training.say):
            stopped = training.complete(resume and not from_start)
            end_with(stopped)
    if stopped is not None:
        training.say(f"continue with: {command}")
    return run


def _other_levels(prepared: Prepared) -> tuple[str, str]:
    """The easiest and the hardest level of the task, empty where the run is at it or another level would not help."""
    task = prepared.tasks.train
    levels = [level for level in task.levels if not is_paper_level(level)]
    # A control's rewards are no matter of the level.
    if task.level not in levels or prepared.recipe.reward.kind in CONTROLS:
        return "", ""
    return "" if task.level == levels[0] else levels[0], "" if task.level == levels[-1] else levels[-1]


def _open_run(prepared: Prepared, folder: Path, *, resume: bool, from_start: bool) -> Run:
    run = Run(folder)
    if not is_main_process():
        return run
    if not resume:
        run = Run.create(folder, prepared.recipe.model_dump(mode="json"))
        provenance(prepared).record(run)
    elif from_start:
        begin_again(run, prepared)
    else:
        check_unchanged(run, prepared)
    return run


class Training:
    """The steps of one run; an object because they share everything."""

    def __init__(
        self,
        prepared: Prepared,
        sampler: str,
        run: Run,
        display: Display,
        began: float | None = None,
        max_time: float | None = None,
    ) -> None:
        self.prepared = prepared
        self.recipe, self.plan = prepared.recipe, prepared.plan
        self.tasks, self.files = prepared.tasks, prepared.files
        self.sampler, self.run, self.display = sampler, run, display
        self.started = time.monotonic()
        self.began = self.started if began is None else began
        self.max_time = max_time
        self.main = is_main_process()

    def complete(self, resume: bool) -> int | None:
        """Trains, from the last checkpoint if the run is resumed, and writes the model and the summary.

        Returns:
            None once all is done, or why it was stopped after a checkpoint: a signal, or 0 for the time limit.
        """
        from ssl4rl.training.callbacks import WholeWindows
        from ssl4rl.training.heldout import Heldout, HeldoutCallback
        from ssl4rl.training.saving import MODEL, describe_rounding, save_best_and_last
        from ssl4rl.training.stopping import Stop

        trainer = self.make_trainer()
        checkpoint = self._rewind(trainer) if resume else None
        if trainer.sharing is not None and self.recipe.share_prompt and self.main:
            self.display.say(f"prompts are not shared: {trainer.sharing}")
        settings, last = self.recipe.heldout, self.plan.max_steps
        answer = partial(trainer.answer, batch_size=settings.batch_size)
        on_scores = trainer.schedule.evaluated if trainer.schedule else None
        heldout = Heldout(self.run, self.tasks.heldout, settings.examples, self.display, self._seconds, on_scores)
        if checkpoint is None:
            self._probe(trainer)
        # Between two generations, where a checkpoint can be resumed exactly.
        every = math.ceil(settings.every / self.plan.save_multiple) * self.plan.save_multiple
        asked = None if heldout.is_answered(0) else time.monotonic()
        heldout.at(0, answer)
        if asked is not None and heldout.examples:
            evaluations = math.ceil(last / every) if every else 1
            self.say(describe_time(self.plan, heldout.examples, time.monotonic() - asked, evaluations))
        if every:
            trainer.add_callback(HeldoutCallback(heldout, answer, every, self.run.path))
        stop = Stop(self.plan.save_multiple, trainer.agree, self.say, self.began, self.max_time)
        trainer.add_callback(stop)
        trainer.add_callback(WholeWindows())
        with self.display, stop:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if stop.stopped:
            self.say(f"stopped after step {trainer.state.global_step} of {last}, with a checkpoint")
            return stop.signal or 0
        if self.main and (passed_over := describe_redrawn(self.tasks.train.redrawn)):
            self.display.say(passed_over)
        heldout.at(last, answer)
        self._pass_over_damaged(heldout)
        best = heldout.best()
        if best is not None and best != last:
            # Where the best one was lost, the trainer still names that.
            trainer.state.best_model_checkpoint = str(self.run.path / f"{PREFIX}{best}")
        with writing(self.run.path):
            save_best_and_last(trainer, self.files, self.run.path, best, last)
        if self.main:
            if (rounding := describe_rounding(trainer, self.run.path / MODEL)) is not None:
                self.say(rounding)
            self.run.write_json(SUMMARY, self._summary(heldout.summary(last)))
        return None

    def say(self, line: str) -> None:
        """Prints a line, on the main process."""
        if self.main:
            self.display.say(line)

    def _pass_over_damaged(self, heldout: Heldout) -> None:
        """Of the steps that scored best, drops those whose checkpoint can no longer be read."""
        from accelerate.utils import broadcast_object_list

        while (best := heldout.best()) is not None and best != self.plan.max_steps:
            problem = damage(self.run.path / f"{PREFIX}{best}") if self.main else None
            [problem] = broadcast_object_list([problem])
            if problem is None:
                return
            self.say(f"the model of step {best} scored best and is lost: {PREFIX}{best}: {problem}")
            heldout.lost.add(best)

    def _rewind(self, trainer: TaskTrainer) -> Path | None:
        """Cuts the files back to the last whole checkpoint; None if there is none yet, so that the run starts over."""
        from accelerate.utils import broadcast_object_list

        found: tuple[int, Path | None, list[str]] = (0, None, [])
        if self.main:
            found = rewind(self.run, self.plan.usual_save_steps, begin_again_command(self.prepared, self.run.path))
            self.started -= max((line.get("seconds", 0.0) for line in self.run.metrics()), default=0.0)
        [found] = broadcast_object_list([found])
        step, checkpoint, lines = found
        for line in (*lines, f"resuming after step {step} of {self.plan.max_steps}"):
            self.say(line)
        return checkpoint

    def _probe(self, trainer: TaskTrainer) -> None:
        """Tells before the first step how the model replies, and whether the reward can be had without the task."""
        for line in quick_check(self.tasks.train) if self.main else ():
            self.display.say(line)
        if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            check_output(self.files, trainer.accelerator.unwrap_model(trainer.model))
        found = probe(
            self.tasks.train, partial(trainer.answer, batch_size=REPLIES, sampled=True), self.recipe.model.path
        )
        for line in found.lines if self.main else ():
            self.display.say(line)

    def make_trainer(self) -> TaskTrainer:
        """The trainer, with the model loaded."""
        from transformers import PrinterCallback

        from ssl4rl.training.grpo import grpo_config
        from ssl4rl.training.trainer import TaskTrainer

        args = grpo_config(self.prepared, self.sampler, self.run.path)
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

    def _on_step(self, step: int, logs: Mapping[str, Any]) -> None:
        self.run.append(METRICS, {"step": step, "seconds": self._seconds(), **logs})
        self.display.step(step, logs)

    def _on_generation(self, step: int, records: Sequence[Completion]) -> None:
        every, last = self.recipe.log_completions_every, self.plan.max_steps
        if step == 1 or any(used % every == 0 or used == last for used in self.plan.steps_of_generation(step)):
            from accelerate.utils import gather_object

            everything = gather_object(list(records))
            if self.main:
                self.run.append(COMPLETIONS, *everything)

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
