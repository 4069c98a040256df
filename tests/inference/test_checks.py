"""What is found out about a model before anything runs, each fault in one line."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from odd_models import (
    change_json,
    change_weights,
    copy_tiny,
    with_other_eos,
    with_special_tags,
    with_template,
)
from qwen_vl import build_llava

from ssl4rl.errors import UserError
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.inference.checks import check_weights, end_of_turn
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.model import ModelFiles

ASKED: Messages = [{"role": "user", "content": "a question"}]


def refusal(model: Path) -> str:
    """The one line with which a model is refused, before a reply is made."""
    with pytest.raises(UserError) as refused:
        open_engine("transformers", str(model), dtype="float32")
    assert "\n" not in str(refused.value) and str(model) in str(refused.value)
    return str(refused.value)


def test_tags_that_are_special_tokens_are_written_and_read(
    reference: Any, conversations: list[Messages], tmp_path: Path
) -> None:
    files = ModelFiles(str(with_special_tags(tmp_path)))
    tags = files.tokenizer.convert_tokens_to_ids(["<think>", "</think>", "<answer>", "</answer>"])
    assert all(files.tokenizer.added_tokens_decoder[tag].special for tag in tags)
    assert not set(tags) & set(files.suppressed_tokens)
    ids = files.encoder.tokenize("<think>so</think><answer>yes</answer><|im_end|>")
    assert files.decode(ids) == "<think>so</think><answer>yes</answer>"
    # The prompts have the form in their last line, so it is the same model with the same prompts.
    replies = generate(open_engine("transformers", files), conversations[:6:3], Sampling(48))
    assert replies == generate(reference, conversations[:6:3], Sampling(48))
    assert all("<answer>" in reply.text for reply in replies)


def test_replies_end_where_the_template_ends_a_turn(
    reference: Any, conversations: list[Messages], tmp_path: Path
) -> None:
    files = ModelFiles(str(with_other_eos(tmp_path)))
    end = files.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert files.tokenizer.eos_token_id != end
    assert files.eos_token_ids == [files.tokenizer.eos_token_id, end]
    assert files.suppressed_tokens == [files.tokenizer.convert_tokens_to_ids("<|im_start|>")]
    asked = conversations[:6:3]
    assert generate(open_engine("transformers", files), asked, Sampling(48)) == generate(reference, asked, Sampling(48))


def test_a_template_may_end_turns_with_text(tmp_path: Path) -> None:
    files = ModelFiles(str(with_template(copy_tiny(tmp_path), "<|im_end|>", "")))
    assert end_of_turn(files.encoder) is None and files.eos_token_ids == [files.tokenizer.eos_token_id]


def test_a_tokenizer_without_a_pad_token(reference: Any, conversations: list[Messages], tmp_path: Path) -> None:
    copy_tiny(tmp_path)
    change_json(tmp_path / "tokenizer_config.json", pad_token=None)
    engine = open_engine("transformers", str(tmp_path))
    assert generate(engine, conversations[:6], Sampling(24)) == generate(reference, conversations[:6], Sampling(24))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{ message['content'] }}", "{{ raise_exception('only\ntools') }}", "chat template .* fails: only"),
        ("{{ message['content'] }}", "{{ message.content.nothing.at_all }}", "chat template .* fails"),
        ("{{ message['content'] }}", "", "does not write what the user says"),
        ("{% endfor %}{% if", "{% if", "fails: "),
    ],
)
def test_templates_that_cannot_be_used(old: str, new: str, message: str, tmp_path: Path) -> None:
    with_template(copy_tiny(tmp_path), old, new)
    with pytest.raises(UserError, match=message) as refused:
        ModelFiles(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_template_that_writes_no_image(tmp_path: Path) -> None:
    build_llava(tmp_path / "model")
    for file in (tmp_path / "model").iterdir():
        if file.suffix in (".json", ".jinja") and "<|image_pad|>{%" in file.read_text():
            file.write_text(file.read_text().replace("<|image_pad|>{%", "{%"))
    with pytest.raises(UserError, match="writes no placeholder for an image"):
        ModelFiles(str(tmp_path / "model"))


def test_a_template_that_writes_the_wrong_placeholder(tmp_path: Path) -> None:
    build_llava(tmp_path / "model")
    for file in (tmp_path / "model").iterdir():
        if file.suffix in (".json", ".jinja") and "<|image_pad|>{%" in file.read_text():
            file.write_text(file.read_text().replace("<|image_pad|>{%", "<|vision_start|>{%"))
    with pytest.raises(UserError, match=r"puts no image into a prompt|cannot read an image"):
        ModelFiles(str(tmp_path / "model"))


def test_more_tokens_than_embeddings(tmp_path: Path) -> None:
    copy_tiny(tmp_path)
    change_json(tmp_path / "config.json", vocab_size=2000)
    with pytest.raises(UserError, match=r"has token 2047, but the model only 2000 embeddings"):
        ModelFiles(str(tmp_path))


def test_weights_that_are_missing_misshapen_or_cut_off(tmp_path: Path) -> None:
    norm = "model.norm.weight"
    missing = change_weights(copy_tiny(tmp_path / "missing"), lambda weights: weights.pop(norm))
    assert f"lacks weights: {norm}" in refusal(missing)
    half = change_weights(
        copy_tiny(tmp_path / "half"), lambda weights: weights.update({norm: weights[norm][:7].clone()})
    )
    assert f"do not fit its config.json: {norm} is [7] instead of [" in refusal(half)
    many = change_weights(copy_tiny(tmp_path / "many"), dict.clear)
    assert " more" in refusal(many)
    cut = copy_tiny(tmp_path / "cut")
    weights = (cut / "model.safetensors").read_bytes()
    for length in (0, 50, len(weights) // 2):
        (cut / "model.safetensors").write_bytes(weights[:length])
        assert "a file of its weights is damaged or was cut off" in refusal(cut)
    (cut / "model.safetensors").unlink()
    assert "no file named model.safetensors" in refusal(cut)


def test_weights_are_checked_without_being_read() -> None:
    import torch

    check_weights(ModelFiles("tiny"))
    check_weights(ModelFiles("tiny-vision"))
    files = ModelFiles("tiny")
    before = torch.get_rng_state()
    check_weights(files)
    assert torch.equal(torch.get_rng_state(), before)


def test_output_that_is_not_a_number(tmp_path: Path) -> None:
    broken = change_weights(copy_tiny(tmp_path), lambda weights: weights["model.norm.weight"].fill_(math.nan))
    assert "is not a number (NaN) in float32: its weights are damaged" in refusal(broken)


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    copy_tiny(tmp_path)
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
    change_json(tmp_path / "config.json", model_type="theirs", auto_map={"AutoConfig": "theirs.C"})
    assert "needs code of its own (trust_remote_code), which is never run" in refusal(tmp_path)
    # A known configuration with a model of its own.
    copy_tiny(tmp_path)
    change_json(tmp_path / "config.json", auto_map={"AutoModelForCausalLM": "theirs.C"})
    open_engine("transformers", str(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("settings", "package"),
    [({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"), ({"quant_method": "awq"}, "gptqmodel")],
)
def test_quantised_weights_name_the_package_that_they_need(
    settings: dict[str, Any], package: str, tmp_path: Path
) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    copy_tiny(tmp_path)
    change_json(tmp_path / "config.json", quantization_config=settings)
    refused = refusal(tmp_path)
    assert "are quantised" in refused and package in refused


def test_the_trained_model_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match=r"config\.yaml holds no settings of a run"):
        ModelFiles(str(run))
    (run / "config.yaml").write_text("tasks: []\n")
    with pytest.raises(UserError, match=r"has no trained model .* finish it with --resume"):
        ModelFiles(str(run))
    (run / "config.yaml").write_text("benchmark: link\nmodel: tiny\n")
    with pytest.raises(UserError, match=r"run is an evaluation and has no model; it asked tiny$"):
        ModelFiles(str(run))
    copy_tiny(run / "model")
    files = ModelFiles(str(run))
    assert files.path == str(run / "model") and files.notes == [f"{run} is a run; its trained model is {run / 'model'}"]
    assert ModelFiles(str(run / "model")).notes == []


THINKING = (
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)


def test_variables_of_the_template(tmp_path: Path) -> None:
    with_template(copy_tiny(tmp_path), "<|im_start|>assistant\n", THINKING)
    plain = ModelFiles(str(tmp_path)).prompt_ids(ASKED)
    files = ModelFiles(str(tmp_path), chat_template_kwargs={"enable_thinking": False})
    extra = files.tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    assert files.prompt_ids(ASKED) == [*plain, *extra]
    assert files.encoder.unexpanded(ASKED) == [*plain, *extra]
    [choice] = files.encoder.choice_ids(ASKED, ["yes"]).continued
    assert choice[: len(plain) + 2] == [*plain, *extra]
    with pytest.raises(UserError, match=r"the chat template of model .* has no 'enable_thinkin'"):
        ModelFiles(str(tmp_path), chat_template_kwargs={"enable_thinkin": False})
    # In evaluation; replies that were made with other variables are not taken from the cache.
    recipe = EvalRecipe.build({"benchmark": "node", "model": str(tmp_path), "engine": "transformers"})
    set_so = recipe.model_copy(update={"chat_template_kwargs": {"enable_thinking": False}})
    one, other = Model.open(recipe), Model.open(set_so)
    assert other.engine.files is not None and other.engine.files.prompt_ids(ASKED) == [*plain, *extra]
    assert one.cache.path != other.cache.path
    assert json.loads(json.dumps(set_so.model_dump()))["chat_template_kwargs"] == {"enable_thinking": False}


def test_variables_of_a_processors_template(tmp_path: Path) -> None:
    build_llava(tmp_path)
    for file in tmp_path.iterdir():
        if file.suffix == ".jinja" or "chat_template" in file.name:
            file.write_text(file.read_text() + "{{ mood }}")
    with_mood = ModelFiles(str(tmp_path), chat_template_kwargs={"mood": "glad"})
    assert with_mood.encoder.text(ASKED).endswith("glad")
    assert with_mood.tokenizer.decode(with_mood.prompt_ids(ASKED)).endswith("glad")
