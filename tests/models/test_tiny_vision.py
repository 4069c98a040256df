"""The embedded vision-language model: its tokenizer, its prompts, and what it knew before any training by reward."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from ssl4rl.answers import Outcome
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.model import ModelFiles
from ssl4rl.models import TINY_VISION, embedded_path
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.jigsaw import Jigsaw
from ssl4rl.vision.tasks.position import Position
from ssl4rl.vision.tasks.rotation import Rotation

TASKS = (Rotation, Position, Jigsaw, Contrastive)
FORMS = {
    Rotation: re.compile("0|90|180|270"),
    Position: re.compile("(top|bottom)[ -](left|right)"),
    Jigsaw: re.compile(r"\d(, ?\d){3}"),
    Contrastive: re.compile("yes|no"),
}
LEVELS = [(kind, level) for kind in TASKS for level in kind.levels]


@pytest.fixture(scope="module")
def files():
    return ModelFiles(TINY_VISION)


@pytest.fixture(scope="module")
def engine(files):
    return open_engine("transformers", files, batch_size=50)


def test_it_is_small():
    assert sum(file.stat().st_size for file in embedded_path(TINY_VISION).iterdir() if file.is_file()) < 3e6


@pytest.mark.parametrize("text", ["naïve café, 数学, 🦉\n\tкод", "<think>a</think><answer>3=B</answer>", "\x00\x7f"])
def test_any_text_survives_its_tokenizer(files, text):
    assert files.tokenizer.decode(files.tokenizer.encode(text)) == text


def test_prompts_survive_its_tokenizer(files):
    for kind in TASKS:
        text = kind(default_scenes()).example(0).text
        assert files.tokenizer.decode(files.tokenizer.encode(text)) == text


def test_its_control_tokens_are_never_sampled(files):
    suppressed = files.tokenizer.convert_ids_to_tokens(files.suppressed_tokens)
    assert set(suppressed) == {"<|endoftext|>", "<|im_start|>", "<image>"}
    assert files.eos_token_ids == [files.tokenizer.convert_tokens_to_ids("<|im_end|>")]


@pytest.mark.parametrize(("kind", "level"), LEVELS, ids=[f"{kind.name}@{level}" for kind, level in LEVELS])
def test_every_prompt_fits_and_shows_all_its_images(files, kind, level):
    example = kind(default_scenes(), level=level).example(0)
    ids = files.prompt_ids(example.messages())
    assert ids.count(files.config.image_token_id) == 16 * len(example.images)
    # Text takes few tokens: that is what keeps a step on the CPU short.
    assert len(ids) <= (16 + 7) * len(example.images) + 80 < files.context_length() - 256


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_its_replies_are_short_and_of_the_right_form(engine, kind):
    task = kind(default_scenes(), split="val")
    examples = [task.example(index) for index in range(50)]
    replies = generate(engine, [example.messages() for example in examples], Sampling(max_new_tokens=48))
    scores = [task.score(reply.text, example) for reply, example in zip(replies, examples, strict=True)]
    assert sum(score.outcome is not Outcome.UNPARSED for score in scores) >= 48
    assert sum(bool(FORMS[kind].fullmatch(score.answer or "")) for score in scores) >= 48
    assert max(reply.num_tokens for reply in replies) <= 32


@pytest.mark.parametrize(("kind", "low", "high"), [(Rotation, 0.6, 0.8), (Position, 0.3, 0.5)])
def test_it_starts_above_chance_and_has_something_to_learn(engine, kind, low, high):
    task = kind(default_scenes(), split="val")
    examples = [task.example(index) for index in range(200)]
    replies = generate(engine, [example.messages() for example in examples], Sampling(max_new_tokens=48))
    score = np.mean([task.score(reply.text, example).value for reply, example in zip(replies, examples, strict=True)])
    assert low < score < high


def test_a_reply_depends_on_every_image_and_on_their_order(files, engine):
    example = Position(default_scenes(), split="val").example(0)
    first, second = example.images

    def logits(*images):
        shown = iter(images)
        parts = [
            {"type": "image", "image": next(shown)} if part["type"] == "image" else part
            for part in example.messages()[0]["content"]
        ]
        inputs = files.processor.apply_chat_template(
            [[{"role": "user", "content": parts}]],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            return engine.model(**inputs).logits[0, -1].numpy()

    grey = Image.new("RGB", (56, 56), (128, 128, 128))
    seen = [logits(first, second), logits(second, first), logits(grey, second), logits(first, grey)]
    for at, one in enumerate(seen):
        for other in seen[:at]:
            assert np.abs(one - other).max() > 1e-3
