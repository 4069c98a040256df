"""A supervised warm start: TRL's SFT trainer on the gold answers of a task's examples, those that GRPO then trains on.

It teaches the form of a reply and what the answers are, but no reasoning, of which there is no gold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.checkpoints import writing
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.lengths import REPLY_SETTING, check_example
from ssl4rl.inference.model import ModelFiles
from ssl4rl.lock import locked
from ssl4rl.models import EMBEDDED
from ssl4rl.runs import METRICS, SUMMARY, Run, default_folder
from ssl4rl.tasks import AnyTask
from ssl4rl.training.display import Display, as_minutes
from ssl4rl.training.preparation import Prepared, num_processes, prepare
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.resume import provenance
from ssl4rl.training.tasks import Tasks

if TYPE_CHECKING:
    from trl import SFTTrainer

IGNORED = -100
"""The label of a token that the loss leaves out."""


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


def gold_reply(example: Example) -> str:
    """The reply that scores 1, in the form that the prompt asks for."""
    return example.gold_reply if example.is_bare else f"<think></think>{example.gold_reply}"


def warm_up(
    recipe: Recipe, output: Path | None = None, settings: Settings | None = None, *, tasks: Tasks | None = None
) -> Run:
    """Trains the recipe's model on gold answers and returns the run; ``tasks`` replaces those that the recipe names.

    Of the recipe, ``seed``, ``tasks``, ``model`` and ``heldout`` count, and of ``grpo`` what bounds a reply and memory:
    ``max_completion_length`` and ``gradient_checkpointing``.

    Raises:
        UserError: for everything that the user can fix, before training starts if possible.
    """
    if num_processes() > 1:
        raise UserError("a warm start runs in one process; start it without a launcher")
    settings = (settings or Settings()).resolved(recipe)
    if output is not None:
        Run.check_new(output)
    recipe = recipe.model_copy(update={"difficulty": "fixed", "mixing": "weights", "corrupt": None})
    prepared = prepare(recipe, tasks)
    described = recipe.model_dump(mode="json", include={"seed", "tasks", "model", "heldout"})
    name = "warmup-" + "+".join(entry.name for entry in recipe.tasks)
    source = prepared.tasks.train.source.name
    folder = output or default_folder(name, source)
    display = Display(settings.steps)
    with locked(folder), display.log.kept(folder):
        run = Run.create(folder, {**described, "warmup": asdict(settings)})
        provenance(prepared).record(run)
        return _train(prepared, settings, run, display)


def _train(prepared: Prepared, settings: Settings, run: Run, display: Display) -> Run:
    from ssl4rl.inference.engines import Sampling, generate
    from ssl4rl.inference.engines.transformers import TransformersEngine
    from ssl4rl.training.heldout import Heldout
    from ssl4rl.training.saving import MODEL, save_model

    recipe, files = prepared.recipe, prepared.files
    started = time.monotonic()

    def seconds() -> float:
        return round(time.monotonic() - started, 3)

    losses: list[float] = []
    since = started

    def on_step(step: int, logs: Mapping[str, Any]) -> None:
        losses.append(logs["loss"])
        run.append(METRICS, {"step": step, "seconds": seconds(), **logs})
        if step % 10 == 0 or step in (1, settings.steps):
            accuracy, left = logs["mean_token_accuracy"], (time.monotonic() - since) / step * (settings.steps - step)
            display.say(
                f"step {step}/{settings.steps}  loss {logs['loss']:.4f}  tokens right {accuracy:.0%}  "
                f"left {as_minutes(left)}"
            )

    trainer = make_trainer(prepared, settings, run.path, on_step)
    engine = TransformersEngine(
        trainer.accelerator.unwrap_model(trainer.model), files, batch_size=recipe.heldout.batch_size
    )
    sampling = Sampling(max_new_tokens=recipe.grpo.get("max_completion_length", 256))

    def answer(examples: Sequence[Example]) -> list[str]:
        return [reply.text for reply in generate(engine, [files.messages(one) for one in examples], sampling)]

    for line in (*prepared.notes, f"longest prompt measured: {prepared.longest}"):
        display.say(line)
    heldout = Heldout(run, prepared.tasks.heldout, recipe.heldout.examples, display, seconds)
    heldout.at(0, answer)
    since = time.monotonic()
    trainer.train()
    heldout.at(settings.steps, answer)
    with writing(run.path):
        save_model(trainer, files, run.path / MODEL)
    tenth = max(1, len(losses) // 10)
    task = prepared.tasks.train
    run.write_json(
        SUMMARY,
        {
            "task": task.label,
            "dataset": task.source.name,
            "model": recipe.model.path,
            "steps": settings.steps,
            "seconds": seconds(),
            "loss": {"first": sum(losses[:tenth]) / tenth, "last": sum(losses[-tenth:]) / tenth},
            "heldout": heldout.summary(settings.steps),
        },
    )
    return run


def make_trainer(
    prepared: Prepared, settings: Settings, folder: Path, on_step: Callable[[int, Mapping[str, Any]], None]
) -> SFTTrainer:
    """TRL's trainer with the model loaded; a row of its data is the number of an example."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from ssl4rl.inference.engines.transformers import load
    from ssl4rl.training import trainable
    from ssl4rl.training.callbacks import StepCallback

    recipe, files = prepared.recipe, prepared.files
    model = load(files, recipe.model.dtype)
    if recipe.model.attn_implementation is not None:
        model.set_attn_implementation(recipe.model.attn_implementation)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=recipe.seed,
            # The first examples come first, as in GRPO.
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            save_strategy="no",
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            gradient_checkpointing=recipe.grpo.get("gradient_checkpointing", True),
            bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        ),
        train_dataset=Dataset.from_dict({"index": list(range(settings.steps * settings.batch_size))}),
        data_collator=partial(collate, prepared.tasks.train, files, recipe.grpo.get("max_completion_length", 256)),
        processing_class=files.processor,
        callbacks=[StepCallback(on_step)],
        peft_config=trainable.adapters(recipe.model),
    )
    if recipe.model.freeze_vision:
        trainable.freeze_vision(model)
    trainer.remove_callback(PrinterCallback)
    return trainer


def collate(task: AnyTask, files: ModelFiles, reply_length: int, rows: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """The inputs of a batch: prompts as they are asked, each with its gold reply, on which alone the loss is.

    Raises:
        UserError: for a prompt that leaves no room for ``reply_length`` tokens, or a gold reply that has more.
    """
    import numpy as np
    import torch

    from ssl4rl.inference.checks import end_of_turn

    end = end_of_turn(files.encoder)
    ids, labels, prompts = [], [], []
    for row in rows:
        example = task.example(row["index"])
        prompt = files.encoder.encode([files.messages(example)])
        reply = files.tokenizer(gold_reply(example), add_special_tokens=False)["input_ids"]
        reply = [*reply, files.tokenizer.eos_token_id if end is None else end]
        check_example(files, example, len(prompt.ids[0]), reply_length, files.context_length())
        if len(reply) > reply_length:
            raise UserError(
                f"the right reply to example {example.id} has {len(reply)} tokens, more than the {reply_length} that "
                f"a reply may have; raise {REPLY_SETTING}"
            )
        prompts.append(prompt)
        ids.append([*prompt.ids[0], *reply])
        labels.append([IGNORED] * len(prompt.ids[0]) + reply)
    width = max(map(len, ids))

    def padded(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
        return torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])

    inputs = {
        "input_ids": padded(ids, files.tokenizer.pad_token_id),
        "attention_mask": padded([[1] * len(row) for row in ids], 0),
        "labels": padded(labels, IGNORED),
    }
    for name in dict.fromkeys(name for prompt in prompts for name in prompt.marks):
        inputs[name] = padded([prompt.marks[name][0] if name in prompt.marks else [] for prompt in prompts], 0)
    for name in dict.fromkeys(name for prompt in prompts for name in prompt.pixels):
        shown = [np.asarray(prompt.pixels[name]) for prompt in prompts if name in prompt.pixels]
        inputs[name] = torch.cat([torch.as_tensor(pixels) for pixels in shown])
    return inputs
