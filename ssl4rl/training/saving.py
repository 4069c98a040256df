"""Writing a trained model as a normal Hugging Face folder; adapters are merged, and kept beside it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

from ssl4rl.inference import adapters
from ssl4rl.inference.checks import make_savable
from ssl4rl.inference.model import ModelFiles
from ssl4rl.training.preparation import is_main_process

WORTH_SAYING = 0.1
"""Share of what adapters add that is rounded away when they are merged."""

MODEL, LAST = "model", "last"
"""The folders of a run: of the model that it made, and of the last one where that is another."""


def adapter_folder(folder: Path) -> Path:
    """Where the adapter of the model in ``folder`` is kept."""
    return folder.with_name("adapter" if folder.name == MODEL else f"{folder.name}-adapter")


def save_model(trainer: Any, files: ModelFiles, folder: Path) -> None:
    """Writes the trainer's model to ``folder``; every process has to call it."""
    unfinished = folder.with_name(f".{folder.name}.tmp")
    if is_main_process():
        shutil.rmtree(unfinished, ignore_errors=True)  # what a process that was killed has left there
    trainer.accelerator.wait_for_everyone()
    model = trainer.accelerator.unwrap_model(trainer.model)
    make_savable(model)
    if trainer.is_fsdp_enabled:
        _save_sharded(model, files, folder, unfinished)
    elif not hasattr(model, "peft_config"):
        trainer.save_model(str(unfinished))
        (unfinished / "training_args.bin").unlink(missing_ok=True)
    elif is_main_process():
        adapters.save_adapter(model, adapter_folder(folder), files)
        # A copy, as unmerging would round the weights, and those of another step may have to be written after these.
        copy.deepcopy(model).merge_and_unload().save_pretrained(unfinished)
    if is_main_process():
        files.save(unfinished)
        # There is one already if the run was stopped between this and its summary.
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)


def describe_rounding(trainer: Any, folder: Path) -> str | None:
    """What merging adapters rounded away in the model in ``folder``, a line if it is worth one."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled or not hasattr(model, "peft_config"):
        return None
    lost = adapters.rounded_away(model)
    if lost < WORTH_SAYING:
        return None
    return (
        f"{lost:.0%} of what was learned is rounded away in {folder} ({str(model.dtype).removeprefix('torch.')}): give "
        f"{adapter_folder(folder)} as the model instead, or train with model.dtype=float32"
    )


def _save_sharded(model: Any, files: ModelFiles, folder: Path, unfinished: Path) -> None:
    """The same for a model whose weights are spread over the processes, which cannot be copied."""
    from ssl4rl.training.sharding import gathered

    has_adapters = hasattr(model, "peft_config")
    weights = gathered(model, trained_only=has_adapters)
    if not is_main_process():
        return
    if has_adapters:
        adapter = adapter_folder(folder)
        adapters.save_adapter(model, adapter, files, weights)
        # The weights below the adapters are those of the files still.
        adapters.merged(files, str(model.dtype).removeprefix("torch."), adapter).save_pretrained(unfinished)
    else:
        model.save_pretrained(unfinished, state_dict=weights)


def save_best_and_last(trainer: Any, files: ModelFiles, folder: Path, best: int | None, last: int) -> None:
    """Writes the best model, whose checkpoint the trainer's state names, to ``model``, and the last one to ``last``.

    If they are the same, or ``best`` is None, there is only ``model``. Every process has to call it.
    """
    if best is not None and best != last:
        save_model(trainer, files, folder / LAST)
        trainer._load_best_model()
    save_model(trainer, files, folder / MODEL)
