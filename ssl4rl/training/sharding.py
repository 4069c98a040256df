"""Weights that are spread over processes (FSDP2): what is refused, CPUs, and where weights are needed whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule

from ssl4rl.errors import UserError


def check_sharding(args: Any) -> None:
    """Refuses ZeRO-3, and FSDP but for FSDP2 over several processes; ``args`` are the settings of the trainer.

    Raises:
        UserError: saying what to change.
    """
    deepspeed = getattr(args, "deepspeed_plugin", None)
    if deepspeed is not None and deepspeed.zero_stage == 3:
        raise UserError(
            "DeepSpeed's ZeRO stage 3 spreads the weights over processes, which is not supported; use stage 2, or FSDP2"
        )
    if args.fsdp:
        version, setting = args.fsdp_plugin_args["fsdp_version"], "grpo.fsdp_config.version"
    elif os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        version, setting = int(os.environ.get("FSDP_VERSION", "1")), "accelerate's fsdp_version"
    else:
        return
    if version != 2:
        raise UserError(f"{setting}={version}: only FSDP2 is supported; set it to 2")
    if args.world_size == 1:
        raise UserError("FSDP spreads the weights over processes and there is one: start several with a launcher")


@contextmanager
def sharded_on_cpus() -> Iterator[None]:
    """While a trainer is made: lets FSDP shard weights on CPUs, too, so that a recipe can be tried anywhere.

    accelerate (1.15) takes note of it where processes have devices only. Those on CPUs each keep whole weights, and
    nothing says so.
    """
    begin = AcceleratorState.__init__

    def begin_sharded(state: Any, *arguments: Any, fsdp_plugin: Any = None, **settings: Any) -> None:
        begin(state, *arguments, fsdp_plugin=fsdp_plugin, **settings)
        if fsdp_plugin is not None and state.distributed_type is DistributedType.MULTI_CPU:
            if state.mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(state.mixed_precision)
            state.fsdp_plugin = fsdp_plugin
            state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = begin_sharded
    try:
        yield
    finally:
        AcceleratorState.__init__ = begin


@contextmanager
def whole_weights(model: Any) -> Iterator[None]:
    """Inside, each process has all weights of a model, so that it can run it as often as it likes.

    Otherwise every forward pass gathers weights from all processes: they would wait for one another for ever where one
    has more batches, or a batch whose prompts begin alike. All processes have to enter. Nothing happens to weights that
    are not spread.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)


def gathered(model: Any, *, trained_only: bool = False) -> dict[str, Any]:
    """The weights of a model by name, whole and on the CPU, on the main process; all have to call it.

    Other processes get none of them. A weight with two names has one of them, as in files.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=trained_only)
    once, all_names = ({name for name, _ in model.named_parameters(remove_duplicate=each)} for each in (True, False))
    weights = get_model_state_dict(model, options=options)
    return {name: weight for name, weight in weights.items() if name not in all_names - once}
