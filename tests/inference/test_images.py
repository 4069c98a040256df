"""Conversations with images through transformers: replies, likelihoods, and what a model may be given."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from qwen_vl import build_llava, build_qwen_vl
from toys import build_model

from ssl4rl.errors import UserError
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.processor import scaled

CHOICES = ["<answer>90</answer>", "<answer>180</answer>", "<answer>1,2,3</answer>"]


@pytest.fixture(scope="module", params=["qwen", "llava"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return {"qwen": build_qwen_vl, "llava": build_llava}[request.param](folder)


def _asked() -> list[Messages]:
    """One, two and no images, of several shapes; a few-shot turn before one of them."""

    def turn(*parts: object) -> dict[str, object]:
        typed = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in parts
        ]
        return {"role": "user", "content": typed}

    red, blue = Image.new("RGB", (84, 56), "red"), Image.new("RGB", (56, 112), "blue")
    return [
        [turn(red, "turned by degrees?")],
        [turn("which piece", red, "of the image", blue, "?")],
        [{"role": "user", "content": "which image?"}],
        [turn(blue, "which?"), {"role": "assistant", "content": "<answer>90</answer>"}, turn(red, "which?")],
    ]


def test_replies_do_not_depend_on_the_batch(model: Path) -> None:
    sampling = Sampling(max_new_tokens=6)
    together = generate(open_engine("transformers", str(model), batch_size=4), _asked(), sampling)
    alone = generate(open_engine("transformers", str(model), batch_size=1), _asked(), sampling)
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_likelihoods_are_those_of_the_whole_text(model: Path) -> None:
    engine = open_engine("transformers", str(model))
    files = engine.files
    asked = _asked()
    found = dict(engine.likelihoods(asked, [CHOICES] * len(asked)))
    for index, conversation in enumerate(asked):
        images = [
            part["image"] for turn in conversation if isinstance(turn["content"], list)
            for part in turn["content"] if part["type"] == "image"
        ]  # fmt: skip
        typed = [
            turn if isinstance(turn["content"], list)
            else {**turn, "content": [{"type": "text", "text": turn["content"]}]}
            for turn in conversation
        ]  # fmt: skip
        prompt = files.processor.apply_chat_template(typed, tokenize=False, add_generation_prompt=True)
        common = files.encoder.choice_ids(conversation, CHOICES).common
        for choice, said in zip(CHOICES, found[index], strict=True):
            text = f"{prompt}{choice}"
            inputs = files.processor(text=[text], images=[images] if images else None, return_tensors="pt")
            ids = inputs["input_ids"][0]
            with torch.no_grad():
                logps = engine.model(**inputs).logits[0, :-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
            assert said == pytest.approx(float(logps[common - 1 :].sum()), abs=1e-4)


def test_one_placeholder_per_image(model: Path) -> None:
    files = ModelFiles(str(model))
    processor, encoder = files.processor, files.encoder
    for conversation, images in zip(_asked(), [1, 2, 0, 2], strict=True):
        short, whole = encoder.unexpanded(conversation), encoder.encode([conversation]).ids[0]
        assert short.count(processor.image_token_id) == images
        rest = [token for token in whole if token != processor.image_token_id]
        assert rest == [token for token in short if token != processor.image_token_id]


def test_images_are_scaled_into_bounds() -> None:
    image = Image.new("RGB", (200, 100))
    assert scaled(image) is image and scaled(image, 100, 20_000) is image
    assert scaled(image, max_pixels=5_000).size == (100, 50)
    assert scaled(image, min_pixels=80_000).size == (400, 200)
    assert scaled(Image.new("RGB", (1000, 1)), max_pixels=10).size == (100, 1)


def test_image_tokens_are_never_sampled(model: Path) -> None:
    files = ModelFiles(str(model))
    files.config.video_token_id = files.tokenizer.convert_tokens_to_ids("a")  # as one that is not marked as special
    assert files.config.video_token_id in files.suppressed_tokens
    del files.config.video_token_id
    assert files.processor.image_token_id in files.suppressed_tokens
    assert not set(files.suppressed_tokens) & set(files.eos_token_ids)


def test_a_language_model_is_shown_no_images(tmp_path: Path) -> None:
    files = ModelFiles(str(build_model(tmp_path)))
    with pytest.raises(UserError, match="reads no images; use a vision-language model"):
        files.prompt_ids(_asked()[0])
