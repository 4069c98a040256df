"""Models from elsewhere are trained as what they are: their tags, ends, templates, adapters and placeholders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from odd_models import change_json, change_weights, copy_tiny, with_other_eos, with_special_tags, with_template
from qwen_vl import build_llava, build_qwen_vl
from toys import ONE_STEP, build_model, make_trainer, toy_recipe, train_toys

from ssl4rl.answers import Scoring
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.records import read_lines
from ssl4rl.training.preparation import prepare
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import train
from ssl4rl.training.tasks import Tasks
from ssl4rl.vision.tasks.rotation import Rotation

SMALL = [*ONE_STEP, "grpo.max_completion_length=48", "refill=0"]


def test_special_tags_and_another_end_train_as_the_embedded_model(tmp_path: Path) -> None:
    kept = []
    models = ["tiny", str(with_special_tags(tmp_path / "tags")), str(with_other_eos(tmp_path / "end"))]
    for number, model in enumerate(models):
        run = train(load_recipe(tasks=["link"], model=model, overrides=SMALL), tmp_path / f"run-{number}")
        kept.append([(record.reply, record.score) for record in run.completions()])
        [line] = [line for line in run.metrics() if "reward" in line]
        assert line["completions/clipped_ratio"] == 0 and line["parsed"] > 0.5
    assert kept[0] == kept[1] == kept[2] and len(kept[0]) == 8
    # Whoever loads the model learns where its turns end.
    saved = json.loads((tmp_path / "run-2" / "model" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [0, 2]


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(
    ("settings", "sampled"),
    [({"temperature": 0.9, "top_p": 0.6}, True), ({"temperature": 0.9, "length_penalty": 2.0}, None)],
)
def test_contradictory_generation_settings_are_saved_as_what_they_mean(
    settings: dict[str, float], sampled: bool | None, lora: bool, tmp_path: Path
) -> None:
    """With which transformers loads a model, and does not save it."""
    base = build_model(tmp_path / "base")
    change_json(base / "generation_config.json", **settings)
    recipe = toy_recipe(base, model={"path": str(base), "lora": {"r": 4} if lora else None}, grpo__max_steps=2)
    run = train_toys(recipe, tmp_path / "run").path
    saved = json.loads((run / "model" / "generation_config.json").read_text())
    assert saved.get("do_sample") == sampled and saved.get("temperature") == (0.9 if sampled else None)
    assert saved["eos_token_id"] == [1]


def test_variables_of_the_template_reach_every_prompt(tmp_path: Path) -> None:
    with_template(copy_tiny(tmp_path / "model"), "<|im_start|>assistant\n", "<|im_start|>assistant\n{{ opening }}")
    model = [f"model.path={tmp_path / 'model'}", "model.chat_template_kwargs.opening=<think>"]
    recipe = load_recipe(tasks=["link"], overrides=[*SMALL, *model])
    assert recipe.model.chat_template_kwargs == {"opening": "<think>"}
    trainer = make_trainer(recipe, tmp_path / "run", Tasks.of(prepare(recipe).tasks.train))
    assert trainer.chat_template_kwargs == {"opening": "<think>"}
    recipe = load_recipe(tasks=["link"], overrides=[*SMALL, *model[:1], "model.chat_template_kwargs.openning=x"])
    with pytest.raises(UserError, match="has no 'openning'"):
        prepare(recipe)
    with pytest.raises(UserError, match=r"not set here but by .*model\.chat_template_kwargs"):
        load_recipe(tasks=["link"], overrides=["grpo.chat_template_kwargs.opening=x"])


def test_a_run_and_an_adapter_are_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = build_model(tmp_path / "base")
    first = toy_recipe(base, model={"path": str(base), "lora": {"r": 4}}, grpo__max_steps=2)
    run = train_toys(first, tmp_path / "run").path
    settings = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(base)
    capsys.readouterr()
    for model in (run, run / "adapter"):
        again = train_toys(toy_recipe(model, grpo__max_steps=2), tmp_path / f"from-{model.name}")
        assert f"{model} is a" in capsys.readouterr().out
        assert ModelFiles(str(again.path / "model")).notes == []
    # Both start from the same weights, so what they sample first is the same.
    rewards = []
    for name in ("from-run", "from-adapter"):
        rewards.append([line["reward"] for line in read_lines(tmp_path / name / "metrics.jsonl") if "reward" in line])
    assert rewards[0][0] == rewards[1][0]


class Placeholders(Rotation):
    """Its prompts name what stands for an image; the score is the letters e of a reply."""

    def draft(self, index: int, rng: Any) -> Any:
        draft = super().draft(index, rng)
        *before, last = draft.parts
        parts = (*before, f"<|image_pad|> and <image><|im_end|> stand for something.\n{last}")
        return replace(draft, parts=parts, scoring=Scoring("score_letters", {}))


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("build", [build_qwen_vl, build_llava])
def test_a_text_beside_images_may_name_their_placeholder(build: Any, share: bool, tmp_path: Path) -> None:
    settings = [*SMALL, f"share_prompt={share}".lower(), "grpo.max_completion_length=4"]
    recipe = load_recipe(tasks=["rotation"], model=str(build(tmp_path / "model")), overrides=settings, side="vision")
    tasks = Tasks.of(Placeholders(default_scenes(), knobs={"size": 56}))
    run = train_toys(recipe, tmp_path / "run", tasks)
    assert run.summary is not None and len(list(run.completions())) == 8


def test_weights_are_checked_before_a_run_is_made(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base")
    weights = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(UserError, match="a file of its weights is damaged or was cut off"):
        train_toys(toy_recipe(base), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_output_that_is_not_a_number_ends_a_run_before_its_first_step(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base")
    change_weights(base, lambda weights: weights["model.norm.weight"].fill_(float("nan")))
    with pytest.raises(UserError, match=r"is not a number \(NaN\)"):
        train_toys(toy_recipe(base), tmp_path / "run")
