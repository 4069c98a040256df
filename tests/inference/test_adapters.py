"""A LoRA adapter in a folder of its own is run on the model that it was trained on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_models import change_json, copy_tiny

from ssl4rl.errors import UserError
from ssl4rl.inference.adapters import merged, save_adapter
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.engines.transformers import load
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.model import ModelFiles


def adapted(base: str) -> tuple[ModelFiles, Any]:
    """A model with an adapter that changes what it says."""
    from peft import LoraConfig, get_peft_model

    files = ModelFiles(base)
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    return files, get_peft_model(load(files, "float32"), settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the embedded model, and the two merged."""
    folder = tmp_path_factory.mktemp("adapted")
    files, model = adapted("tiny")
    save_adapter(model, folder / "adapter", files)
    model.merge_and_unload().save_pretrained(folder / "model")
    files.save(folder / "model")
    return folder


def test_an_adapter_is_its_model_merged(saved: Path, reference: Any, conversations: list[Messages]) -> None:
    assert sorted(file.name for file in (saved / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    settings = json.loads((saved / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny"
    engine = open_engine("transformers", str(saved / "adapter"))
    [note] = engine.files.notes
    assert note.startswith(f"{saved / 'adapter'} is an adapter of ")
    merged = open_engine("transformers", str(saved / "model"))
    asked = conversations[:3]
    replies = generate(engine, asked, Sampling(12))
    assert replies == generate(merged, asked, Sampling(12)) != generate(reference, asked, Sampling(12))
    # For programs that read weights from a folder.
    whole = load(ModelFiles(engine.files.weights), "float32").state_dict()
    for name, weight in merged.model.state_dict().items():
        torch.testing.assert_close(whole[name], weight)
    prints = {ModelFiles(str(path)).fingerprint for path in (saved / "adapter", saved / "model")}
    assert len(prints | {reference.files.fingerprint}) == 3


def test_a_base_beside_the_adapter(tmp_path: Path) -> None:
    files, model = adapted(str(copy_tiny(tmp_path / "base")))
    save_adapter(model, tmp_path / "adapter", files)
    config = tmp_path / "adapter" / "adapter_config.json"
    assert json.loads(config.read_text())["base_model_name_or_path"] == str(tmp_path / "base")
    change_json(config, base_model_name_or_path="../base")
    assert Path(ModelFiles(str(tmp_path / "adapter")).path).resolve() == tmp_path / "base"
    # An adapter of an adapter says so, instead of being loaded without the other.
    change_json(config, base_model_name_or_path=str(tmp_path / "adapter"))
    with pytest.raises(UserError, match="is an adapter itself; use a merged model"):
        ModelFiles(str(tmp_path / "adapter"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base_model_name_or_path": "/nowhere/model"}, "the model /nowhere/model is not here; set base_model_name"),
        ({"base_model_name_or_path": ""}, "names no model; set base_model_name_or_path"),
        ({"base_model_name_or_path": None}, "is not the configuration of an adapter"),
        ({"peft_type": "PROMPT_TUNING"}, "of type PROMPT_TUNING cannot be merged"),
    ],
)
def test_adapters_that_cannot_be_used(saved: Path, values: dict[str, Any], message: str, tmp_path: Path) -> None:
    for file in (saved / "adapter").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change_json(tmp_path / "adapter_config.json", **values)
    with pytest.raises(UserError, match=message):
        ModelFiles(str(tmp_path))


def test_adapters_that_do_not_fit(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in (saved / "adapter").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "adapter_model.safetensors")
    name = next(iter(weights))

    def refused() -> str:
        with pytest.raises(UserError) as refusal:
            open_engine("transformers", str(tmp_path))
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    save_file({**weights, name: weights[name][:, :5].clone()}, tmp_path / "adapter_model.safetensors")
    assert "cannot load model" in refused()
    save_file({key: weights[key] for key in weights if key != name}, tmp_path / "adapter_model.safetensors")
    assert "lacks weights" in refused()
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert "damaged or was cut off" in refused()


def test_an_adapter_that_was_trained_on_an_adapter_is_merged_on_top_of_it(saved: Path, tmp_path: Path) -> None:
    files, model = adapted(str(saved / "adapter"))
    save_adapter(model, tmp_path / "second", files)
    whole = merged(files, "float32", tmp_path / "second").state_dict()
    both = model.merge_and_unload().state_dict()
    alone = load(files, "float32").state_dict()
    assert all(torch.allclose(whole[name], both[name], atol=1e-5) for name in both)
    assert not all(torch.allclose(whole[name], alone[name], atol=1e-3) for name in both)
