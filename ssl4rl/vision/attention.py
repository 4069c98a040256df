"""Attention maps: which parts of an image does a vision-language model look at when it reads a word?

The prompt is the image and a question. One row of the attention is read: from the last token of the word (or from the
first token of the reply) to the tokens that stand for the image, averaged over heads and layers. In causal models that
row does not depend on later tokens, so all earlier ones are run first and kept in the cache, and attention weights are
requested in a single step: no matrix of all tokens by all tokens is ever held for all layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.vision.transforms import Box

Array = NDArray[np.float64]


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


def word_token(tokenizer: Any, rendered: str, ids: Sequence[int], question: str, word: str) -> int:
    """The position in ``ids`` of the last token of ``word``, at its first occurrence in the question.

    ``rendered`` is the prompt as text, in which an image is one placeholder; in ``ids`` it is many tokens. After the
    image both are the same, so positions are counted from the end.

    Raises:
        UserError: if the question is not in the prompt as it is, or the word not in the question.
    """
    start, span = rendered.rfind(question), _find_word(word, question)
    if start < 0 or span is None:
        raise UserError("the model's chat template changes the question, so the word cannot be found in the prompt")
    encoded = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    first, end = start + span[0], start + span[1]
    inside = [place for place, (low, high) in enumerate(encoded["offset_mapping"]) if low < end and high > first]
    from_end = len(encoded["input_ids"]) - inside[-1] if inside else 0
    if not inside or list(ids[-from_end:]) != list(encoded["input_ids"][-from_end:]):
        raise UserError(
            f"the word {word!r} cannot be found among the model's tokens; its chat template has to put the image "
            "before the question"
        )
    return len(ids) - from_end


def _find_word(word: str, text: str) -> tuple[int, int] | None:
    """Where a whole word or phrase occurs in a text: as it is spelled, or else in any case."""
    if not word.strip():
        return None
    pattern = rf"(?<!\w){re.escape(word.strip())}(?!\w)"
    match = re.search(pattern, text) or re.search(pattern, text, re.IGNORECASE)
    return match.span() if match else None


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
class AttentionQuery:
    """An image and a question as a model's inputs, and the tokens between which attention is read."""

    inputs: Mapping[str, Any]
    """The processor's output, tensors by name."""
    position: int
    """The position of the token whose attention is read; the one after the last for the first token of the reply."""
    image_positions: Sequence[int]
    """The tokens that stand for the image."""
    grid: tuple[int, int]
    """Their rows and columns."""
    box: Box
    """The part of the image that the model sees."""


def build_query(
    config: Any, processor: Any, image: Image.Image, question: str, word: str | None = None
) -> AttentionQuery:
    """The prompt, to read attention from ``word``, or without a word from the first token of the reply.

    Raises:
        UserError: for a word that is not in the question, or a model that is neither a LLaVA nor a Qwen2.5-VL.
    """
    parts = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": parts}]
    if word is not None and _find_word(word, question) is None:
        raise UserError(f"the word {word!r} is not in the question {question!r}; choose one that is")
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
    return AttentionQuery(dict(inputs), position, image_positions, grid, seen_box(image, processor.image_processor))


def attention_map(model: Any, tokenizer: Any, query: AttentionQuery, layer: int | None = None) -> AttentionMap:
    """The attention from the query's token to the image; the first token of the reply is the likeliest one.

    ``layer`` counts from 1; None averages over all layers. The model keeps eager attention afterwards, the only
    implementation that returns the weights.

    Raises:
        UserError: for a layer that does not exist, or a model that returns no weights.
    """
    import torch

    inputs = {name: value.to(model.device) for name, value in query.inputs.items()}
    ids = inputs["input_ids"]
    before = {name: value[:, : query.position] if value.shape == ids.shape else value for name, value in inputs.items()}
    with torch.no_grad():
        output = model(**before, use_cache=True, logits_to_keep=1)
        if query.position < ids.shape[1]:
            token = int(ids[0, query.position])
        else:
            token = _first_of_reply(output.logits[0, -1], tokenizer)
        model.set_attn_implementation("eager")
        # Without a mask: given one, Qwen2.5-VL takes the positions of all tokens for those of the new one.
        output = model(
            input_ids=torch.tensor([[token]], device=model.device),
            past_key_values=output.past_key_values,
            use_cache=True,
            output_attentions=True,
        )
    values = image_attention(output.attentions, query.image_positions, layer).reshape(query.grid)
    return AttentionMap(values, tokenizer.decode([token]), query.box)


def image_attention(attentions: Sequence[Any], positions: Sequence[int], layer: int | None = None) -> Array:
    """From attention weights, one [1, heads, 1, tokens] a layer, the means over heads and layers at ``positions``.

    Raises:
        UserError: if there are no weights, or no such layer.
    """
    import torch

    if not attentions or any(weights is None for weights in attentions):
        raise UserError("the model returns no attention weights (it must run with eager attention in every layer)")
    if layer is not None and not 1 <= layer <= len(attentions):
        raise UserError(f"--layer {layer}: the model has layers 1 to {len(attentions)}")
    chosen = attentions if layer is None else [attentions[layer - 1]]
    rows = torch.stack([weights[0, :, -1].float().mean(0) for weights in chosen]).mean(0)
    return rows[list(positions)].cpu().numpy().astype(np.float64)


def _first_of_reply(logits: Any, tokenizer: Any) -> int:
    """The likeliest token that is not a special one."""
    logits = logits.clone()
    logits[list(tokenizer.all_special_ids)] = -math.inf
    return int(logits.argmax())


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
