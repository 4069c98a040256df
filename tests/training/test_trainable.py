"""What layers of a model with adapters are spared: copies, and nothing of what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toys import make_trainer, toy_recipe, train_toys

from ssl4rl.errors import UserError
from ssl4rl.training import trainable

LORA = {"lora": {"r": 4, "target_modules": "all-linear"}, "dtype": "bfloat16"}


class Watch(TorchDispatchMode):
    """Records the shape of every tensor that is computed, and of those that are cast to float32."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []
        self.cast: list[torch.Size] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        output = function(*arguments, **(settings or {}))
        if isinstance(output, torch.Tensor):
            self.shapes.append(output.shape)
            if function is torch.ops.aten._to_copy.default and output.dtype == torch.float32:
                self.cast.append(output.shape)
        return output


@pytest.fixture
def model(model_folder: Path, tmp_path: Path) -> Any:
    """A model with adapters, as the trainer makes it."""
    recipe = toy_recipe(model_folder, model={"path": str(model_folder), **LORA}, grpo__bf16=True)
    return make_trainer(recipe, tmp_path / "run").model.eval()


@pytest.mark.parametrize("rows", [1, 5])
def test_a_frozen_head_is_not_copied_per_row(model: Any, rows: int) -> None:
    ids = torch.randint(3, 50, (rows, 12))
    with torch.no_grad(), Watch() as watch:
        model(input_ids=ids, logits_to_keep=2)
    vocabulary, width = model.get_output_embeddings().weight.shape
    assert not [shape for shape in watch.shapes if len(shape) == 3 and {*shape[1:]} == {vocabulary, width}]


def test_adapters_cast_their_input_once(model: Any) -> None:
    ids, inner = torch.randint(3, 50, (5, 12)), model.config.intermediate_size
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Watch() as watch:
        model(input_ids=ids)
    assert (5, 12, inner) in watch.shapes and (5, 12, inner) not in watch.cast
    # And where nothing casts for them, they still do: in a probe, or a model in full precision.
    with torch.no_grad(), Watch() as watch:
        model(input_ids=ids)
    assert (5, 12, inner) in watch.cast


def test_without_the_hooks_both_copies_are_made(model_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(trainable, "spare_copies", lambda model: None)
    recipe = toy_recipe(model_folder, model={"path": str(model_folder), **LORA}, grpo__bf16=True)
    model = make_trainer(recipe, tmp_path / "run").model.eval()
    ids = torch.randint(3, 50, (5, 12))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Watch() as watch:
        model(input_ids=ids, logits_to_keep=2)
    vocabulary, width = model.get_output_embeddings().weight.shape
    assert [shape for shape in watch.shapes if len(shape) == 3 and {*shape[1:]} == {vocabulary, width}]
    assert (5, 12, model.config.intermediate_size) in watch.cast


@pytest.mark.parametrize(
    ("layers", "message"),
    [(["foo"], "no such layer can have an adapter; the model has .*q_proj"), (["lm_head"], "the head cannot have")],
)
def test_adapters_that_cannot_be_are_refused_before_there_is_a_run(
    layers: list[str], message: str, model_folder: Path, tmp_path: Path
) -> None:
    model = {"path": str(model_folder), "lora": {"r": 4, "target_modules": layers}}
    with pytest.raises(UserError, match=message):
        train_toys(toy_recipe(model_folder, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_reads_images_is_known_by_name() -> None:
    for name in (
        "model.visual.merger.mlp.0.weight",
        "model.multi_modal_projector.linear_1.weight",
        "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
        "model.connector.modality_projection.proj",
        "model.image_newline",
        "model.aligner.fc1.weight",
        "qformer.layer.0.weight",
    ):
        assert trainable.VISION_TOWER.fullmatch(name), name
    for name in ("model.language_model.layers.0.mlp.up_proj.weight", "lm_head.weight", "model.revision.weight"):
        assert not trainable.VISION_TOWER.fullmatch(name), name
