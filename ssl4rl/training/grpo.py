"""A recipe as the settings of TRL's trainer: its own block, our defaults for the rest, and what else it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.training.preparation import Prepared, num_processes

if TYPE_CHECKING:
    from trl import GRPOConfig


def grpo_config(prepared: Prepared, sampler: str, folder: Path) -> GRPOConfig:
    """TRL's settings for a run in ``folder``.

    Raises:
        UserError: if TRL refuses them, the processes of a launcher do not work together, or FSDP is not FSDP2.
    """
    from trl import GRPOConfig

    from ssl4rl.training.sharding import check_sharding

    try:
        args = GRPOConfig(**_settings(prepared, sampler, folder))
    except (TypeError, ValueError) as error:
        raise UserError(f"grpo: {error}") from error
    if args.world_size != num_processes():
        raise UserError(
            f"a launcher started {num_processes()} processes, but they are no process group: each would train by "
            "itself and write over the others; without GPUs start them with torchrun and --set grpo.use_cpu=true"
        )
    check_sharding(args)
    return args


def _settings(prepared: Prepared, sampler: str, folder: Path) -> dict[str, Any]:
    import torch

    recipe, files = prepared.recipe, prepared.files
    grpo = recipe.grpo
    model = {"dtype": recipe.model.dtype, "trust_remote_code": False}
    if recipe.model.attn_implementation is not None:
        model["attn_implementation"] = recipe.model.attn_implementation
    generation = dict(grpo.get("generation_kwargs") or {})
    suppressed = files.suppressed_tokens
    if sampler == "transformers":
        generation.setdefault("suppress_tokens", suppressed or None)
    else:
        generation.setdefault("stop_token_ids", files.eos_token_ids)
        if suppressed:
            generation.setdefault("logit_bias", dict.fromkeys(suppressed, -100.0))
    if "warmup_steps" in grpo:
        grpo = {**grpo, "warmup_steps": prepared.plan.warmup(grpo["warmup_steps"])}
    defaults = {
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # which would hide a loss that is not a number
        "report_to": "none",
        "disable_tqdm": True,
        "shuffle_dataset": False,
        "save_steps": prepared.plan.usual_save_steps,
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
        "chat_template_kwargs": recipe.model.chat_template_kwargs or None,
        "model_init_kwargs": model,
        "output_dir": str(folder),
        "seed": recipe.seed,
        "use_vllm": sampler == "vllm",
    }
