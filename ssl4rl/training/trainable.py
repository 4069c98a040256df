"""Which weights of a model are trained, and what their layers are given."""

from __future__ import annotations

import re
import warnings
from typing import Any

import torch

from ssl4rl.errors import UserError, listed
from ssl4rl.inference.checks import auto_class
from ssl4rl.inference.model import ModelFiles
from ssl4rl.training.recipe import ModelSettings
from ssl4rl.training.shared_images import bare

READS_IMAGES = (
    r"(visual|vision_\w+|embed_vision|image_(tower|encoder|model|newline)|vit|multi_?modal_projector|mm_projector|"
    r"connector|aligner|qformer|perceiver(_resampler)?)"
)
VISION_TOWER = re.compile(rf"(.*\.)?{READS_IMAGES}(\..*)?")
"""The names of the parameters of a vision-language model that read images, in transformers (5.17): those of its tower,
and of what brings the tower's features into the language model."""


def adapters(model: ModelSettings) -> Any:
    """The recipe's adapters as PEFT configures them; None if all weights are trained."""
    if model.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=model.lora.r,
        lora_alpha=model.lora.alpha,
        lora_dropout=model.lora.dropout,
        target_modules=model.lora.target_modules,
        exclude_modules=VISION_TOWER.pattern if model.freeze_vision else None,
        task_type="CAUSAL_LM",
    )


def check_adapters(files: ModelFiles, model: ModelSettings) -> None:
    """Checks, without weights in memory, that the recipe's adapters fit the model's layers.

    Raises:
        UserError: if no layer is among ``model.lora.target_modules``, or the head is, of which TRL trains no adapter.
    """
    if model.lora is None:
        return
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    place = f"model.lora.target_modules={model.lora.target_modules!r}"
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = auto_class(files).from_config(files.config)
        try:
            adapted = get_peft_model(whole, adapters(model))
        except ValueError as error:
            layers = {
                name.rpartition(".")[2] for name, each in whole.named_modules() if isinstance(each, torch.nn.Linear)
            }
            raise UserError(
                f"{place}: no such layer can have an adapter; the model has {listed(sorted(layers))}"
            ) from error
    if isinstance(adapted.get_output_embeddings(), BaseTunerLayer):
        raise UserError(f"{place}: the head cannot have an adapter; leave it out")


def freeze_vision(model: Any) -> None:
    """Leaves the part of a vision-language model that reads images as it is."""
    for name, parameter in model.named_parameters():
        if VISION_TOWER.fullmatch(name):
            parameter.requires_grad_(False)


def spare_copies(model: Any) -> None:
    """Spares copies of large tensors that a model with adapters makes for nothing.

    ``torch.matmul`` by a frozen matrix folds the batch into the rows only if they are contiguous. Those that
    ``logits_to_keep`` cuts out are not, and the head would be copied once per row: 4 GB for 16 rows and a vocabulary of
    150,000. And PEFT casts the input of each adapter to float32, also where autocast then casts it back.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(_contiguous)
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.register_forward_pre_hook(_cast_once)


def _contiguous(module: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    # A single row is contiguous whatever its strides; folding goes by the strides, which a clone sets right.
    return tuple(argument.clone(memory_format=torch.contiguous_format) for argument in arguments)


def _cast_once(module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
    module.cast_input_dtype_enabled = not torch.is_autocast_enabled(arguments[0].device.type)


def take_rows_without_images(model: Any) -> None:
    """Lets a vision-language model take micro-batches in which no row has an image."""
    bare(model).register_forward_pre_hook(_without_empty_inputs, with_kwargs=True)


def _without_empty_inputs(module: Any, arguments: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Drops image inputs of no images, which TRL makes of those rows of a mixed batch that have none."""
    kept = {}
    for name, value in inputs.items():
        if not (isinstance(value, torch.Tensor) and value.ndim and len(value) == 0):
            kept[name] = value
    return arguments, kept
