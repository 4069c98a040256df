"""LoRA adapters in a folder of their own, as PEFT saves them."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.inference import checks
from ssl4rl.models import EMBEDDED, embedded_path
from ssl4rl.records import parse_json

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

CONFIG = "adapter_config.json"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str:
    """The folder or hub name of the model that an adapter was trained on; a relative path may start at its folder.

    Raises:
        UserError: if the adapter names none, the folder is not here, or it is not a LoRA adapter.
    """
    file = folder / CONFIG
    try:
        settings = parse_json(file.read_text(encoding="utf-8"))
        base, kind = settings["base_model_name_or_path"], settings["peft_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not the configuration of an adapter as PEFT saves it") from error
    if kind != "LORA":
        raise UserError(f"{file}: an adapter of type {kind} cannot be merged into its model; only LoRA can")
    if not base:
        raise UserError(f"{file} names no model; set base_model_name_or_path to the one it was trained on")
    if base in EMBEDDED:
        return str(embedded_path(base))
    for found in (folder / base, Path(base).expanduser()):
        if (found / "config.json").is_file():
            return str(found)
        if is_adapter(found):
            raise UserError(f"{file}: the model {base} is an adapter itself; use a merged model (RUN/model)")
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise UserError(f"{file}: the model {base} is not here; set base_model_name_or_path to where it is")
    return str(base)


def merged(files: ModelFiles, dtype: str, adapter: Path | None = None) -> Any:
    """The model with its adapter merged into the weights, and ``adapter``, which was trained on that, as well.

    Raises:
        UserError: if the adapter does not fit.
    """
    from peft import PeftModel

    with checks.one_line(files.name), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole = checks.auto_class(files).from_pretrained(files.path, dtype=dtype, trust_remote_code=False)
        for folder in filter(None, (files.adapter, adapter)):
            whole = PeftModel.from_pretrained(whole, str(folder)).merge_and_unload()
    # PEFT only warns of weights that are not there, and leaves them as they were initialised.
    if any("missing adapter keys" in str(warning.message) for warning in caught):
        raise UserError(f"adapter {files.name!r} lacks weights; copy its folder again")
    checks.make_savable(whole)
    return whole


def rounded_away(model: Any) -> float:
    """How much of what a PEFT model's adapters add is lost where it is merged into weights of their type.

    The norm of the difference, as a share of the norm of what they add: next to nothing in float32, and in bfloat16 the
    more the less was learned.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    lost = added = 0.0
    for layer in model.modules():
        weight = getattr(layer.get_base_layer(), "weight", None) if isinstance(layer, LoraLayer) else None
        if weight is not None and weight.is_floating_point():
            with torch.no_grad():
                for name in layer.active_adapters:
                    delta, before = layer.get_delta_weight(name).float(), weight.float()
                    lost += float(((before + delta).to(weight.dtype).float() - before - delta).square().sum())
                    added += float(delta.square().sum())
    return math.sqrt(lost / added) if added else 0.0


def save_adapter(model: Any, folder: Path, files: ModelFiles, weights: dict[str, Any] | None = None) -> None:
    """Writes the adapter of a PEFT model of ``files``, before it is merged, so that it can be loaded again.

    ``weights`` are given where the model itself does not hold all of them.

    PEFT names the folder that the weights were read from: a temporary one if another adapter had been merged, and for
    an embedded model another one in every installation. Here it is the model as it was named.
    """
    base = files.name
    if base not in EMBEDDED:
        path = files.adapter or Path(files.path)
        base = str(path.resolve()) if path.is_dir() else files.path
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, state_dict=weights)
    # Afterwards, as PEFT looks the name up on the hub.
    settings = {**parse_json((folder / CONFIG).read_text(encoding="utf-8")), "base_model_name_or_path": base}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    # A card with nothing in it but headings.
    (folder / "README.md").unlink(missing_ok=True)
