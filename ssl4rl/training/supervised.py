"""TRL's SFT trainer on the gold replies of a task's examples, for a warm start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.checks import end_of_turn
from ssl4rl.inference.engines.transformers import load
from ssl4rl.inference.lengths import REPLY_SETTING, check_example
from ssl4rl.inference.model import ModelFiles
from ssl4rl.tasks import AnyTask
from ssl4rl.training import trainable
from ssl4rl.training.callbacks import StepCallback
from ssl4rl.training.preparation import Prepared
from ssl4rl.training.whole import WholeCheckpoints

if TYPE_CHECKING:
    from ssl4rl.training.warmup import Settings

IGNORED = -100
"""The label of a token that the loss leaves out."""
SAVE_STEPS = 50
"""Optimiser steps from a checkpoint to the next; the last step has one, too."""
TOKENS = "ssl4rl.tokens"
"""Key of a checkpoint's trainer_state.json: the tokens seen, which TRL (1.16) counts from 0 when it is resumed."""


def gold_reply(example: Example) -> str:
    """The reply that scores 1, in the form that the prompt asks for."""
    return example.gold_reply if example.is_bare else f"<think></think>{example.gold_reply}"


class SupervisedTrainer(WholeCheckpoints, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, whose checkpoints are whole or absent."""

    _total_train_tokens: int

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.state.stateful_callbacks[TOKENS] = {"seen": self._total_train_tokens}
        super()._save_checkpoint(model, trial)

    def _load_callback_state(self) -> None:
        super()._load_callback_state()
        self._total_train_tokens = self.state.stateful_callbacks.get(TOKENS, {}).get("seen", self._total_train_tokens)


def make_trainer(
    prepared: Prepared, settings: Settings, folder: Path, on_step: Callable[[int, Mapping[str, Any]], None]
) -> SupervisedTrainer:
    """TRL's trainer with the model loaded; a row of its data is the number of an example."""
    recipe, files = prepared.recipe, prepared.files
    model = load(files, recipe.model.dtype)
    if recipe.model.attn_implementation is not None:
        model.set_attn_implementation(recipe.model.attn_implementation)
    trainer = SupervisedTrainer(
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
            save_strategy="steps",
            save_steps=SAVE_STEPS,
            save_total_limit=2,
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
