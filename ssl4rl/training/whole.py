"""What TRL's trainer needs so that its checkpoints are whole or absent, and its processes stop together."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from ssl4rl.checkpoints import PREFIX, STAGING, place, writing
from ssl4rl.errors import UserError, listed
from ssl4rl.inference.checks import make_savable


def _read_to_numbered_cpus() -> None:
    """Lets ``torch.load`` (2.13) read to ``cpu:0``, which it does not know.

    It is what accelerate (1.15) calls the CPU of one of several processes, and where transformers (5.17) reads the
    optimizer's state to when a run of several processes is resumed.
    """
    torch.serialization.register_package(
        100, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None
    )


_read_to_numbered_cpus()


class WholeCheckpoints(Trainer):  # type: ignore[misc]
    """A trainer that writes a checkpoint into another folder, and moves it to its place when it is whole.

    transformers (5.17) writes it in place, file by file, and deletes an older one before TRL has written its last file.
    """

    _staging = False

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes none: the run says how the model was made."""

    def agree(self, own: bool) -> bool:
        """Whether any process says so, the same answer on all of them; all have to ask."""
        if self.accelerator.num_processes == 1:
            return own
        said = self.accelerator.reduce(torch.tensor(float(own), device=self.accelerator.device), "sum")
        return bool(said.item())

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Writes the model: into a checkpoint by the names of its modules, by which transformers (5.17) reads it.

        In the files of vision-language models and mixtures of experts, weights have other names.
        """
        model = self.accelerator.unwrap_model(self.model)
        make_savable(model)
        if not self._staging or hasattr(model, "peft_config"):
            super()._save(output_dir, state_dict)
            return
        model.save_pretrained = partial(model.save_pretrained, save_original_format=False)
        try:
            super()._save(output_dir, state_dict)
        finally:
            del model.save_pretrained

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Refuses a checkpoint of which weights were not found, of which transformers would only warn."""
        model, unknown = self.accelerator.unwrap_model(self.model), list(load_result.unexpected_keys)
        lost = [name for name in load_result.missing_keys if name not in model.all_tied_weights_keys]
        if lost or unknown:
            raise UserError(
                f"a checkpoint does not fit the model: it lacks {listed(lost)} and has besides {listed(unknown)}; "
                "begin again with --from-start"
            )

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder) / STAGING) if self._staging else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        run, name = Path(self.args.output_dir), f"{PREFIX}{self.state.global_step}"
        with writing(run):
            try:
                self._staging = True
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if self.accelerator.is_main_process:
                    place(run / STAGING / name, run / name)
            finally:
                self._staging = False
                if self.accelerator.is_main_process:
                    shutil.rmtree(run / STAGING, ignore_errors=True)
        if self.accelerator.is_main_process:
            rotate_checkpoints(str(run), self.args.save_total_limit, self.state.best_model_checkpoint, use_mtime=True)
