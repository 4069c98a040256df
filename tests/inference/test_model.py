"""What must hold of a model before it is trained."""

from pathlib import Path

import pytest
from toys import TEMPLATE, Letters, ToySource, build_model, toy_recipe, toy_tasks, train_toys

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.inference.lengths import measure
from ssl4rl.inference.model import ModelFiles


def test_a_model_without_a_chat_template(tmp_path: Path) -> None:
    build_model(tmp_path / "model", chat_template=None)
    with pytest.raises(UserError, match="has no chat template; use an instruct model"):
        ModelFiles(str(tmp_path / "model"))


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json"):
        ModelFiles(str(tmp_path))
    with pytest.raises(UserError, match="does not exist"):
        ModelFiles(str(tmp_path / "nothing"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load model"):
        ModelFiles(str(tmp_path))


def test_control_tokens_are_suppressed_and_the_end_is_not(model_folder: Path) -> None:
    files = ModelFiles(str(model_folder))
    suppressed = files.tokenizer.convert_ids_to_tokens(files.suppressed_tokens)
    assert suppressed == ["<|pad|>", "<|user|>", "<|assistant|>"]
    assert files.eos_token_ids == [1] and files.context_length() == 256 and files.context_length(100) == 100


def test_a_prompt_over_the_limit_names_the_example_and_the_knob(model_folder: Path, tmp_path: Path) -> None:
    link = ssl4rl.task("link")
    files = ModelFiles(str(model_folder))
    with pytest.raises(UserError, match=r"prompt of example citations/train/link@medium/0/0#.* lower task.text_budget"):
        measure(files, [link.example(0)], 8, files.context_length())
    # Through the run, before the model is loaded.
    with pytest.raises(UserError, match=r"more than the 256 of model .*; lower the task's level"):
        train_toys(toy_recipe(model_folder), tmp_path / "run", toy_tasks(words=300))
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_is_too_long_only_later_is_an_error_and_never_cut(model_folder: Path, tmp_path: Path) -> None:
    class Growing(Letters):
        def example(self, index: int):
            if index < 64:
                return super().example(index)
            return type(self)(ToySource(), knobs={"words": 300}, split=self.split).draft_example(index)

        def draft_example(self, index: int):
            return super().example(index)

    # 4 prompts a step: the 17th step is the first to use example 64.
    recipe = toy_recipe(model_folder, heldout={"examples": 0}, grpo__max_steps=18, grpo__save_steps=9)
    with pytest.raises(UserError, match=r"prompt of example .*/64#"):
        train_toys(recipe, tmp_path / "run", toy_tasks(Growing))


def test_the_template_is_that_of_the_model(model_folder: Path) -> None:
    files = ModelFiles(str(model_folder))
    example = Letters(ToySource()).example(0)
    assert (
        TEMPLATE
        and files.tokenizer.decode(files.prompt_ids(example.messages()))
        == f"<|user|>{example.text}<|end|><|assistant|>"
    )
