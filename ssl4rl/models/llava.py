"""A small LLaVA with random weights: its tokenizer, its processor, and the model."""

from __future__ import annotations

import pydoc_data.topics
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AddedToken,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen3Config,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

VOCABULARY = 1024
SIDE, PATCH, WIDTH = 56, 14, 96
PATCHES = (SIDE // PATCH) ** 2
"""Tokens of an image."""
MEAN, SPREAD = 0.5, 0.25
CONTEXT = 2048
IMAGE = "<image>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(phrases: Sequence[str], reply_words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any UTF-8 round-trips; and every phrase of the tasks' prompts is a token of its own.

    A prompt is then hardly longer than its images, which are what a step costs. The rest of the vocabulary is trained
    on the words of replies and on Python's own English help pages.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS) - len(phrases),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    frequent = ["<|im_start|>user\n<|im_start|>assistant\n", "Piece 1:", *reply_words] * 5000
    tokenizer.train_from_iterator([*frequent, *pydoc_data.topics.topics.values()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", IMAGE],
        model_max_length=CONTEXT,
        padding_side="left",
    )
    fast.add_tokens([AddedToken(text, normalized=False, special=False) for text in (*TAGS, *phrases)])
    return fast


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Every image is scaled to one size, whatever its shape."""
    square = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessorPil(size=square, crop_size=square, image_mean=[MEAN] * 3, image_std=[SPREAD] * 3)
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """A CLIP tower and a Qwen3, both a few layers deep."""
    text = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=WIDTH // 32,
        num_key_value_heads=WIDTH // 32,
        head_dim=32,
        intermediate_size=WIDTH * 5 // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
        dtype="float32",
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    # As strong as what a patch shows, not a twentieth of it: all the tasks are about where things are.
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=0.3)
    return model


def pixels(small: torch.Tensor) -> torch.Tensor:
    """[N, SIDE, SIDE, 3] bytes as the processor hands them to the model."""
    return (small.permute(0, 3, 1, 2).float() / 255 - MEAN) / SPREAD
