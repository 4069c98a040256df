"""Checkpoints are read back whole, also where a model's files name weights otherwise than its modules do."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_models import build_experts, change_weights
from qwen_vl import build_llava, build_qwen_vl
from test_train_vision import letters_task
from toys import Letters, ToySource, build_model, make_trainer, toy_recipe, train_toys

from ssl4rl.errors import UserError
from ssl4rl.records import read_lines
from ssl4rl.training.tasks import Tasks

FAMILIES: dict[str, tuple[Callable[[Path], Path], Callable[[], Tasks]]] = {
    "dense": (build_model, lambda: Tasks.of(Letters(ToySource()))),
    "experts": (build_experts, lambda: Tasks.of(Letters(ToySource()))),
    "llava": (build_llava, letters_task),
    "qwen-vl": (build_qwen_vl, letters_task),
}
SETTINGS = {"grpo__learning_rate": 1e-2, "grpo__num_generations": 4, "grpo__per_device_train_batch_size": 8}


def steps(run: Path) -> list[dict[str, Any]]:
    lines = [line for line in read_lines(run / "metrics.jsonl") if line["step"]]
    return [{name: value for name, value in line.items() if "time" not in name and name != "seconds"} for line in lines]


def weights(folder: Path, like: Any) -> dict[str, torch.Tensor]:
    """A model's weights, as whoever loads the folder has them."""
    found: dict[str, torch.Tensor] = type(like).from_pretrained(folder, dtype="float32").state_dict()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_what_was_saved(family: str, tmp_path: Path) -> None:
    build, tasks = FAMILIES[family]
    recipe = toy_recipe(build(tmp_path / "base"), **SETTINGS)
    whole = train_toys(recipe, tmp_path / "whole", tasks()).path
    # Killed in step 3: a resumed run ends as the other did.
    run = tmp_path / "killed"
    shutil.copytree(whole, run)
    for name in ("checkpoint-4", "model", "last"):
        shutil.rmtree(run / name, ignore_errors=True)
    (run / "summary.json").unlink()
    train_toys(recipe, run, tasks(), resume=True)
    assert steps(run) == steps(whole)
    assert (run / "heldout.jsonl").read_bytes() == (whole / "heldout.jsonl").read_bytes()
    trainer = make_trainer(recipe, tmp_path / "other", tasks())
    one, other = (weights(path / "checkpoint-4", trainer.model) for path in (run, whole))
    assert all(torch.equal(value, one[name]) for name, value in other.items())
    # The best model, had it been that of step 2.
    trainer.state.best_model_checkpoint = str(whole / "checkpoint-2")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer._load_best_model()
    saved, now = weights(whole / "checkpoint-2", trainer.model), trainer.model.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in now.items())
    assert sum(not torch.equal(value, before[name]) for name, value in now.items()) > len(now) / 2


def test_a_checkpoint_with_other_weights_is_refused(tmp_path: Path) -> None:
    recipe = toy_recipe(build_model(tmp_path / "base"), **SETTINGS)
    trainer = make_trainer(recipe, tmp_path / "run")
    checkpoint = tmp_path / "checkpoint-2"
    shutil.copytree(tmp_path / "base", checkpoint)
    change_weights(checkpoint, lambda all_of_it: all_of_it.update(other=all_of_it.pop("model.norm.weight")))
    trainer.state.best_model_checkpoint = str(checkpoint)
    with pytest.raises(UserError, match=r"does not fit the model: it lacks model\.norm\.weight and has besides other"):
        trainer._load_best_model()
