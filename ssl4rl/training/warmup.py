"""A supervised warm start: TRL's SFT trainer on the gold answers of a task's examples, those that GRPO then trains on.

It teaches the form of a reply and what the answers are, but no reasoning, of which there is no gold.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.checkpoints import writing
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.lock import locked
from ssl4rl.models import EMBEDDED
from ssl4rl.runs import CONFIG, METRICS, SUMMARY, Run, default_folder
from ssl4rl.training.display import Display, as_minutes
from ssl4rl.training.preparation import Prepared, num_processes, prepare
from ssl4rl.training.recipe import Recipe, default_grpo
from ssl4rl.training.recipe_file import validate
from ssl4rl.training.resume import end_with, provenance, refuse_changes, resumable, resume_command, rewind
from ssl4rl.training.tasks import Tasks

if TYPE_CHECKING:
    from ssl4rl.training.heldout import Answer
    from ssl4rl.training.supervised import SupervisedTrainer

COUNTED = ("seed", "tasks", "model", "heldout", "max_broken")
BOUNDS = ("max_completion_length", "gradient_checkpointing")
"""What counts of a recipe, and of its ``grpo``."""
AGAIN = "give another --output"
"""How to begin again where a run cannot be gone on with."""


@dataclass(frozen=True)
class Settings:
    """How a warm start trains."""

    steps: int = 100
    """Optimiser steps."""
    batch_size: int = 16
    """Examples per step."""
    learning_rate: float | None = None
    """None is 3e-4 for an embedded model, 1e-4 with LoRA and 1e-5 otherwise."""

    def resolved(self, recipe: Recipe) -> Settings:
        """The settings with the learning rate that suits the model.

        Raises:
            UserError: for a number that cannot be.
        """
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: give a whole number of at least 1")
        rate = self.learning_rate
        if rate is None:
            rate = 1e-4 if recipe.model.lora is not None else 1e-5
            rate = 3e-4 if recipe.model.path in EMBEDDED and recipe.model.lora is None else rate
        if not rate > 0:
            raise UserError(f"learning_rate={rate}: give a number above 0")
        return Settings(self.steps, self.batch_size, rate)


def warm_up(
    recipe: Recipe,
    output: Path | None = None,
    settings: Settings | None = None,
    *,
    tasks: Tasks | None = None,
    resume: bool = False,
) -> Run:
    """Trains the recipe's model on gold answers and returns the run; ``tasks`` replaces those that the recipe names.

    Of the recipe, ``seed``, ``tasks``, ``model``, ``heldout`` and ``max_broken`` count, and of ``grpo`` what bounds a
    reply and memory: ``max_completion_length`` and ``gradient_checkpointing``. With ``resume``, the run in ``output``
    is gone on with, which is of the same recipe and settings.

    Raises:
        UserError: for everything that the user can fix, before training starts if possible.
    """
    if num_processes() > 1:
        raise UserError("a warm start runs in one process; start it without a launcher")
    settings = (settings or Settings()).resolved(recipe)
    if resume:
        if output is None:
            raise UserError("--resume needs the run to continue: --output RUN")
        Run.open(output)
    elif output is not None:
        Run.check_new(output)
    config = {**_counted(recipe), "warmup": asdict(settings)}
    prepared = prepare(_recipe_of(config, "recipe"), tasks)
    name = "warmup-" + "+".join(entry.name for entry in recipe.tasks)
    folder = output or default_folder(name, prepared.tasks.train.source.name)
    display = Display(settings.steps)
    command = resume_command(prepared, folder, command="warmup")
    with locked(folder), display.log.kept(folder), resumable(command, display.say):
        if resume:
            run = Run(folder)
            refuse_changes(run, run.config, config, prepared, AGAIN)
        else:
            run = Run.create(folder, config)
            provenance(prepared).record(run)
        end_with(_WarmUp(prepared, settings, run, display).complete(resume))
    return run


def read_warm_up(run: Run) -> tuple[Recipe, Settings]:
    """What a warm start was started with.

    Raises:
        UserError: if its config.yaml was edited to something else.
    """
    place = str(run.path / CONFIG)
    recipe, settings = _recipe_of(run.config, place), run.config["warmup"]
    try:
        return recipe, Settings(**settings).resolved(recipe)
    except TypeError as error:
        raise UserError(f"{place}: warmup={settings} are not the settings of a warm start") from error


def _counted(recipe: Recipe) -> dict[str, Any]:
    """What counts of a recipe, as its run records it."""
    bounds = {name: recipe.grpo[name] for name in BOUNDS if name in recipe.grpo}
    return {**recipe.model_dump(mode="json", include=set(COUNTED)), **({"grpo": bounds} if bounds else {})}


def _recipe_of(config: Mapping[str, Any], place: str) -> Recipe:
    """The recipe of a warm start: what counts, and all else as it usually is."""
    values = {name: config[name] for name in config if name != "warmup"}
    model = values["model"]
    usual = default_grpo(model["path"], lora=model.get("lora") is not None)
    values["grpo"] = {**{name: usual[name] for name in usual if name not in BOUNDS}, **values.get("grpo", {})}
    return validate(values, place)


class _WarmUp:
    """The steps of one warm start; an object because they share everything."""

    def __init__(self, prepared: Prepared, settings: Settings, run: Run, display: Display) -> None:
        self.prepared, self.settings, self.run, self.display = prepared, settings, run, display
        self.began = self.started = time.monotonic()
        self.first = 0
        """The step after which it began, or was gone on with."""

    def complete(self, resume: bool) -> int | None:
        """Trains, from the last checkpoint if the run is resumed, and writes the model and the summary.

        Returns:
            None once all is done, or the signal at which it was stopped after a checkpoint.
        """
        from ssl4rl.training.heldout import Heldout
        from ssl4rl.training.saving import MODEL, save_model
        from ssl4rl.training.stopping import Stop
        from ssl4rl.training.supervised import make_trainer

        last, say = self.settings.steps, self.display.say
        trainer = make_trainer(self.prepared, self.settings, self.run.path, self._on_step)
        checkpoint = self._rewind() if resume else None
        for line in (*self.prepared.notes, f"longest prompt measured: {self.prepared.longest}"):
            say(line)
        answer = self._answers(trainer)
        examples = self.prepared.recipe.heldout.examples
        heldout = Heldout(self.run, self.prepared.tasks.heldout, examples, self.display, self._seconds)
        heldout.at(0, answer)
        self.began = time.monotonic()
        stop = Stop(1, trainer.agree, say, self.began)
        trainer.add_callback(stop)
        with stop:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if stop.stopped:
            say(f"stopped after step {trainer.state.global_step} of {last}, with a checkpoint")
            return stop.signal
        heldout.at(last, answer)
        with writing(self.run.path):
            save_model(trainer, self.prepared.files, self.run.path / MODEL)
        self.run.write_json(SUMMARY, self._summary(heldout.summary(last)))
        return None

    def _rewind(self) -> Path | None:
        """Cuts the files back to the last whole checkpoint; None if there is none yet, so that the run starts over."""
        from ssl4rl.training.supervised import SAVE_STEPS

        self.first, checkpoint, lines = rewind(self.run, SAVE_STEPS, AGAIN)
        self.started -= max((line.get("seconds", 0.0) for line in self.run.metrics()), default=0.0)
        for line in (*lines, f"resuming after step {self.first} of {self.settings.steps}"):
            self.display.say(line)
        return checkpoint

    def _answers(self, trainer: SupervisedTrainer) -> Answer:
        """The greedy replies of the model that is trained."""
        from ssl4rl.inference.engines import Sampling, generate
        from ssl4rl.inference.engines.transformers import TransformersEngine

        recipe, files = self.prepared.recipe, self.prepared.files
        model = trainer.accelerator.unwrap_model(trainer.model)
        engine = TransformersEngine(model, files, batch_size=recipe.heldout.batch_size)
        sampling = Sampling(max_new_tokens=recipe.grpo.get("max_completion_length", 256))

        def answer(examples: Sequence[Example]) -> list[str]:
            return [reply.text for reply in generate(engine, [files.messages(one) for one in examples], sampling)]

        return answer

    def _on_step(self, step: int, logs: Mapping[str, Any]) -> None:
        last = self.settings.steps
        self.run.append(METRICS, {"step": step, "seconds": self._seconds(), **logs})
        if step % 10 == 0 or step in (1, last):
            pace = (time.monotonic() - self.began) / (step - self.first)
            self.display.say(
                f"step {step}/{last}  loss {logs['loss']:.4f}  tokens right {logs['mean_token_accuracy']:.0%}  "
                f"left {as_minutes(pace * (last - step))}"
            )

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def _summary(self, heldout: dict[str, Any]) -> dict[str, Any]:
        losses = [line["loss"] for line in self.run.metrics() if "loss" in line]
        tenth = max(1, len(losses) // 10)
        task = self.prepared.tasks.train
        return {
            "task": task.label,
            "dataset": task.source.name,
            "model": self.prepared.recipe.model.path,
            "steps": self.settings.steps,
            "seconds": self._seconds(),
            "loss": {"first": sum(losses[:tenth]) / tenth, "last": sum(losses[-tenth:]) / tenth},
            "heldout": heldout,
        }
