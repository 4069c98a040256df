"""What our trainer hangs into transformers' training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from ssl4rl.errors import UserError

GUARDED = 0.1
"""What a flat group counts for where the loss has a guard (KL or entropy), which also acts on flat groups.

Were it 0, a model that has collapsed, all of whose groups are flat, could never be brought back by its guard.
"""


class StepCallback(TrainerCallback):  # type: ignore[misc]
    """Hands on the metrics of each logged step, on the main process.

    Raises:
        UserError: after a step whose loss or gradient is not a number, as its update has spoilt all weights.
    """

    def __init__(self, on_step: Callable[[int, dict[str, Any]], None]) -> None:
        self.on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        # The trainer also logs its run time at the end, which is not a step.
        if state.is_world_process_zero and logs and "loss" in logs:
            self.on_step(state.global_step, logs)
            for name, what in (("loss", "loss"), ("grad_norm", "gradient")):
                if not math.isfinite(logs.get(name, 0)):
                    raise UserError(
                        f"the {what} of step {state.global_step} is not a number, so the weights are spoilt; lower the "
                        f"learning rate ({args.learning_rate:g}) and begin again"
                    )


class WholeWindows(TrainerCallback):  # type: ignore[misc]
    """Logs before each checkpoint and at the end, whatever ``logging_steps`` is: what is not yet logged would be lost.

    It has to come after whatever asks for checkpoints.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save or state.global_step >= state.max_steps:
            control.should_log = True


class ScaledUpdates(TrainerCallback):  # type: ignore[misc]
    """Multiplies the learning rate of an optimiser step by the share of its completions whose group is not flat.

    A flat group's gradient is zero, so the mean gradient shrinks with the share of the others; but Adam divides by the
    gradient's size, and clipping has made large gradients equal before. So one group of eight that is not flat would
    move the weights as far as eight do, in the direction of one example's noise, and where none is left, momentum would
    still carry the weights on. What Adam cannot undo is the learning rate: with it, a step is as long as the evidence.
    """

    def __init__(self, accelerator: Any, *, guarded: bool) -> None:
        self.accelerator = accelerator
        self.floor = GUARDED if guarded else 0.0
        self._moving: list[torch.Tensor] = []
        self._rates: list[Any] = []

    def add(self, moving: torch.Tensor, optimizer: Any) -> float | None:
        """Takes note of a micro-batch, ``moving`` being 1 where the row's group is not flat and else 0.

        Returns:
            The factor of the step, where this is its last micro-batch.
        """
        self._moving.append(torch.stack([moving.sum(), moving.new_tensor(len(moving))]))
        if not self.accelerator.sync_gradients or optimizer is None:
            return None
        moved, rows = self.accelerator.reduce(torch.stack(self._moving).sum(0), "sum").tolist()
        self._moving = []
        share = moved / rows
        factor: float = share + (1 - share) * self.floor
        # Before the backward pass: DeepSpeed updates the weights in it.
        self._rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        return factor

    def on_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Gives the schedule its learning rates back."""
        for group, rate in zip(optimizer.param_groups if self._rates else (), self._rates, strict=True):
            group["lr"] = rate
        self._rates = []
