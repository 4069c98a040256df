"""Attention maps: which parts of an image does a vision-language model look at when it reads a word?

The prompt is the image and a question. What is read is the attention from the last token of the word (or from the
first token of the reply) to the tokens that stand for the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ssl4rl.attention import Array, Query, attention_row, find_word, word_token
from ssl4rl.errors import UserError
from ssl4rl.vision.transforms import Box


@dataclass(frozen=True)
class AttentionMap:
    """How much of a token's attention goes to each patch of an image."""

    values: Array
    """[rows, columns], shares of all that the token attends to: the image's patches and the text before it."""
    token: str
    """The token whose attention it is, as text."""
    box: Box = (0.0, 0.0, 1.0, 1.0)
    """The part of the image that the model saw, as fractions of its width and height: some processors crop."""

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column, from 0, of the patch that gets most."""
        row, column = divmod(int(self.values.argmax()), self.values.shape[1])
        return row, column


def patch_grid(config: Any, inputs: Mapping[str, Any], count: int) -> tuple[int, int]:
    """Rows and columns of the tokens that stand for the one image; they are in reading order.

    The LLaVA family has a token for each patch of the vision tower, the Qwen2-VL family one for each
    ``spatial_merge_size``² of them (Bai et al. 2025, Qwen2.5-VL, §2.1).

    Raises:
        UserError: if that does not give ``count`` tokens.
    """
    vision = getattr(config, "vision_config", None)
    rows = columns = 0
    if "image_grid_thw" in inputs:
        merge = vision.spatial_merge_size  # type: ignore[union-attr]
        _, high, wide = (int(number) for number in inputs["image_grid_thw"][0])
        rows, columns = high // merge, wide // merge
    elif getattr(vision, "patch_size", None) and "pixel_values" in inputs:
        *_, height, width = inputs["pixel_values"].shape
        rows, columns = height // vision.patch_size, width // vision.patch_size  # type: ignore[union-attr]
    if rows * columns != count or not count:
        raise UserError(
            f"the model ({config.model_type}) spreads an image over {count} tokens in an unknown way; "
            "the LLaVA and Qwen2.5-VL families are supported"
        )
    return rows, columns


@dataclass(frozen=True)
class ImageQuery(Query):
    """An image and a question as a model's inputs, and the tokens between which attention is read."""

    image_positions: Sequence[int]
    """The tokens that stand for the image."""
    grid: tuple[int, int]
    """Their rows and columns."""
    box: Box
    """The part of the image that the model sees."""


def build_query(config: Any, processor: Any, image: Image.Image, question: str, word: str | None = None) -> ImageQuery:
    """The prompt, to read attention from ``word``, or without a word from the first token of the reply.

    Raises:
        UserError: for a word that is not in the question, or a model that is neither a LLaVA nor a Qwen2.5-VL.
    """
    parts = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": parts}]
    if word is not None:
        find_word(word, question)
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ids = inputs["input_ids"][0].tolist()
    image_token = getattr(config, "image_token_id", None)
    image_positions = [position for position, token in enumerate(ids) if token == image_token]
    grid = patch_grid(config, inputs, len(image_positions))
    position = len(ids)
    if word is not None:
        rendered = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        position = word_token(processor.tokenizer, rendered, ids, question, word)
    if position <= image_positions[-1]:
        raise UserError(
            "the model's chat template puts the question before the image, so its words cannot attend to it"
        )
    return ImageQuery(dict(inputs), position, image_positions, grid, seen_box(image, processor.image_processor))


def attention_map(model: Any, tokenizer: Any, query: ImageQuery, layer: int | None = None) -> AttentionMap:
    """The attention from the query's token to the image, by :func:`ssl4rl.attention.attention_row`."""
    row = attention_row(model, tokenizer, query, layer)
    return AttentionMap(row.shares[list(query.image_positions)].reshape(query.grid), row.token, query.box)


def seen_box(image: Image.Image, image_processor: Any) -> Box:
    """The part of the image that reaches the model: all of it, or the middle that the processor crops."""
    size, crop = (getattr(image_processor, name, None) or {} for name in ("size", "crop_size"))
    if not getattr(image_processor, "do_center_crop", False) or not crop:
        return 0.0, 0.0, 1.0, 1.0
    width, height = image.size
    if size.get("shortest_edge"):
        scale = size["shortest_edge"] / min(width, height)
        width, height = round(width * scale), round(height * scale)
    else:
        width, height = size["width"], size["height"]
    across, down = min(1.0, crop["width"] / width), min(1.0, crop["height"] / height)
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2
