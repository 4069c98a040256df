"""The embedded model, changed as models from elsewhere differ or are broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssl4rl.models import TINY, embedded_path

TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def copy_tiny(folder: Path, name: str = TINY) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(embedded_path(name), folder, dirs_exist_ok=True))


def change_json(file: Path, **values: Any) -> None:
    """Sets keys of a JSON file; None takes a key away."""
    content = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Writes the weights again after ``change`` was called with them by name."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def build_experts(folder: Path) -> Path:
    """A mixture of experts, whose files hold each expert by itself, and whose modules hold all of them in one."""
    import torch
    from toys import build_model
    from transformers import AutoConfig, Qwen3MoeConfig, Qwen3MoeForCausalLM

    dense = AutoConfig.from_pretrained(build_model(folder)).to_dict()
    shape = {name: value for name, value in dense.items() if name not in ("model_type", "architectures")}
    torch.manual_seed(0)
    model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2))
    model.generation_config.eos_token_id = dense["eos_token_id"]
    model.save_pretrained(folder)
    return folder


def with_special_tags(folder: Path) -> Path:
    """The tags of the reply are special tokens."""
    copy_tiny(folder)
    tokens = json.loads((folder / "tokenizer.json").read_text())
    for added in tokens["added_tokens"]:
        added["special"] = added["special"] or added["content"] in TAGS
    change_json(folder / "tokenizer.json", added_tokens=tokens["added_tokens"])
    return folder


def with_other_eos(folder: Path) -> Path:
    """Tokenizer and configuration name an end that is never written; a turn ends as the template has it."""
    copy_tiny(folder)
    change_json(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    change_json(folder / "config.json", eos_token_id=0)
    change_json(folder / "generation_config.json", eos_token_id=0)
    return folder


def with_template(folder: Path, old: str, new: str) -> Path:
    """The chat template with something replaced."""
    file = folder / "chat_template.jinja"
    template = file.read_text()
    assert old in template
    file.write_text(template.replace(old, new))
    return folder
