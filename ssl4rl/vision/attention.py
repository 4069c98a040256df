"""Attention maps: which parts of a picture does a vision-language model look at when it reads a word?

The prompt is the picture and a question. Read is one row of the attention: from the last token of the word (or from
the first token of the reply) to the tokens that stand for the picture, averaged over heads and layers. In causal models
that row does not depend on what follows, so all that comes before is run first and kept in the cache, and attention
weights are asked for in a single step: no matrix of all tokens by all tokens is ever held for all layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssl4rl.errors import UserError
from ssl4rl.vision.transforms import Box

Array = NDArray[np.float64]

PANEL = 512
"""Pixels of the longer side of a picture in an overlay."""
GAP, LINE = 8, 16
"""Pixels: between panels, and for a line of text."""

# From black through red and yellow to white, in equal steps of the value: brightness grows all the way.
COLORS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
OPAQUE = 0.65
"""Share of the colour in the overlay where attention is highest."""
DIM, DARK = 0.6, 0.2
"""Brightness of the grey picture where there is no attention, and where the model sees nothing."""


@dataclass(frozen=True)
class AttentionMap:
    """How much of a token's attention goes to each patch of a picture."""

    values: Array
    """[rows, columns], shares of all that the token attends to: the picture's patches and the text before it."""
    token: str
    """The token from which it was read, as text."""
    box: Box = (0.0, 0.0, 1.0, 1.0)
    """What part of the picture the model saw, as fractions of its width and height: some processors cut the middle."""


def word_token(tokenizer: Any, rendered: str, ids: Sequence[int], question: str, word: str) -> int:
    """The place in ``ids`` of the last token of ``word``, where it first stands in the question.

    ``rendered`` is the prompt as text, in which a picture is one placeholder; in ``ids`` it is many tokens. Behind the
    picture both are the same, so tokens are counted from the end.

    Raises:
        UserError: if the prompt does not hold the question as it is, or the question not the word.
    """
    start, found = rendered.rfind(question), _whole(word, question)
    if start < 0 or found is None:
        raise UserError("the model's chat template changes the question, so that the word cannot be found again")
    encoded = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    first, end = start + found[0], start + found[1]
    inside = [place for place, (low, high) in enumerate(encoded["offset_mapping"]) if low < end and high > first]
    behind = len(encoded["input_ids"]) - inside[-1] if inside else 0
    if not inside or list(ids[-behind:]) != list(encoded["input_ids"][-behind:]):
        raise UserError(
            f"the word {word!r} cannot be found among the model's tokens; its chat template has to put the picture "
            "before the question"
        )
    return len(ids) - behind


def _whole(word: str, text: str) -> tuple[int, int] | None:
    """Where a word or phrase stands in a text and is no part of a longer one; as it is spelled, else in any case."""
    if not word.strip():
        return None
    pattern = rf"(?<!\w){re.escape(word.strip())}(?!\w)"
    found = re.search(pattern, text) or re.search(pattern, text, re.IGNORECASE)
    return found.span() if found else None


def patch_grid(config: Any, inputs: Mapping[str, Any], count: int) -> tuple[int, int]:
    """Rows and columns of the tokens that stand for the one picture; they are in reading order.

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
            f"the model ({config.model_type}) spreads a picture over {count} tokens in a way that is not known here; "
            "the LLaVA and Qwen2.5-VL families are supported"
        )
    return rows, columns


@dataclass(frozen=True)
class Asked:
    """A picture and a question as a model's inputs, and which of the tokens look and are looked at."""

    inputs: Mapping[str, Any]
    """What the processor made of it, tensors by name."""
    at: int
    """The place of the token whose attention is read; behind the last one for the first token of the reply."""
    places: Sequence[int]
    """The tokens that stand for the picture."""
    grid: tuple[int, int]
    """Their rows and columns."""
    box: Box
    """What part of the picture the model sees."""


def ask(config: Any, processor: Any, image: Image.Image, question: str, word: str | None = None) -> Asked:
    """The prompt, to read attention from ``word``, or without a word from the first token of the reply.

    Raises:
        UserError: for a word that is not in the question, or a model that is neither a LLaVA nor a Qwen2.5-VL.
    """
    parts = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": parts}]
    if word is not None and _whole(word, question) is None:
        raise UserError(f"the word {word!r} does not stand in the question {question!r}; take one that does")
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ids = inputs["input_ids"][0].tolist()
    token = getattr(config, "image_token_id", None)
    places = [place for place, each in enumerate(ids) if each == token]
    grid = patch_grid(config, inputs, len(places))
    at = len(ids)
    if word is not None:
        rendered = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        at = word_token(processor.tokenizer, rendered, ids, question, word)
    if at <= places[-1]:
        raise UserError("the model's chat template puts the question before the picture: its words cannot look at it")
    return Asked(dict(inputs), at, places, grid, seen_box(image, processor.image_processor))


def attention_map(model: Any, tokenizer: Any, asked: Asked, layer: int | None = None) -> AttentionMap:
    """The attention from the token asked about to the picture; the first token of the reply is the likeliest one.

    ``layer`` counts from 1; None averages over all layers. The model is left with eager attention, the only
    implementation that keeps the weights.

    Raises:
        UserError: for a layer that there is not, or a model that gives no weights.
    """
    import torch

    inputs = {name: value.to(model.device) for name, value in asked.inputs.items()}
    ids = inputs["input_ids"]
    before = {name: value[:, : asked.at] if value.shape == ids.shape else value for name, value in inputs.items()}
    with torch.no_grad():
        output = model(**before, use_cache=True, logits_to_keep=1)
        read = asked.at < ids.shape[1]
        token = int(ids[0, asked.at]) if read else _first_of_reply(output.logits[0, -1], tokenizer)
        model.set_attn_implementation("eager")
        # Without a mask: given one, Qwen2.5-VL takes the positions of all tokens for those of the new one.
        output = model(
            input_ids=torch.tensor([[token]], device=model.device),
            past_key_values=output.past_key_values,
            use_cache=True,
            output_attentions=True,
        )
    values = picture_attention(output.attentions, asked.places, layer).reshape(asked.grid)
    return AttentionMap(values, tokenizer.decode([token]), asked.box)


def picture_attention(attentions: Sequence[Any], places: Sequence[int], layer: int | None = None) -> Array:
    """From attention weights, one [1, heads, 1, tokens] a layer, the means over heads and layers at ``places``.

    Raises:
        UserError: if there are no weights, or no such layer.
    """
    import torch

    if not attentions or any(weights is None for weights in attentions):
        raise UserError("the model gives no attention weights (it must run with eager attention in every layer)")
    if layer is not None and not 1 <= layer <= len(attentions):
        raise UserError(f"--layer {layer}: the model has layers 1 to {len(attentions)}")
    chosen = attentions if layer is None else [attentions[layer - 1]]
    rows = torch.stack([weights[0, :, -1].float().mean(0) for weights in chosen]).mean(0)
    return rows[list(places)].cpu().numpy().astype(np.float64)


def _first_of_reply(logits: Any, tokenizer: Any) -> int:
    """The likeliest token that is not a special one."""
    logits = logits.clone()
    logits[list(tokenizer.all_special_ids)] = -math.inf
    return int(logits.argmax())


def seen_box(image: Image.Image, image_processor: Any) -> Box:
    """The part of the picture that reaches the model: all of it, or the middle that the processor cuts out."""
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


def overlay(image: Image.Image, maps: Sequence[AttentionMap], captions: Sequence[str]) -> Image.Image:
    """The picture once for each map, side by side, coloured by it on one scale from 0 to the greatest of all values.

    Each patch is one rectangle of one colour; the part of the picture that a model did not see is left dark.
    """
    scale = PANEL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = np.asarray(image.resize(size, Image.Resampling.BICUBIC).convert("L"), dtype=np.float64)[..., None]
    top = max(float(each.values.max()) for each in maps) or 1.0
    width = max(size[0], PANEL)
    sheet = Image.new("RGB", (len(maps) * (width + GAP) + GAP, size[1] + 3 * LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (each, caption) in enumerate(zip(maps, captions, strict=True)):
        left = GAP + number * (width + GAP)
        draw.text((left, 2), caption, fill="black")
        draw.text((left, 2 + LINE), f"from {each.token!r}; to the picture: {each.values.sum():.1%}", fill="black")
        sheet.paste(_panel(grey, each, top), (left, 2 * LINE + GAP))
    _legend(sheet, top)
    return sheet


def _panel(grey: Array, each: AttentionMap, top: float) -> Image.Image:
    height, width = grey.shape[:2]
    left, upper, right, lower = each.box
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    rows, columns = each.values.shape
    column = np.clip(((x - left) / (right - left) * columns).astype(int), 0, columns - 1)
    row = np.clip(((y - upper) / (lower - upper) * rows).astype(int), 0, rows - 1)
    share = each.values[row][:, column] / top
    strength = OPAQUE * np.sqrt(share)[..., None]  # small shares are to be seen, too
    mixed = (1 - strength) * DIM * grey + strength * _colors(share)
    seen = ((y >= upper) & (y <= lower))[:, None] & ((x >= left) & (x <= right))[None]
    mixed = np.where(seen[..., None], mixed, DARK * grey)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def _colors(share: Array) -> Array:
    """The colour of values in [0, 1], [..., 3]."""
    steps = np.linspace(0, 1, len(COLORS))
    return np.stack([np.interp(share, steps, channel) for channel in zip(*COLORS, strict=True)], axis=-1)


def _legend(sheet: Image.Image, top: float) -> None:
    """The scale along the lower edge, with the values at its ends."""
    draw = ImageDraw.Draw(sheet)
    bar = _colors(np.linspace(0, 1, 160)[None].repeat(LINE - 6, axis=0))
    y = sheet.height - LINE
    draw.text((GAP, y - 1), "0", fill="black")
    sheet.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (GAP + 14, y + 2))
    draw.text((GAP + 182, y - 1), f"{top:.3g} of the attention to one patch", fill="black")
