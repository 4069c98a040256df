"""Attention of one token: how much of it goes to each token before it, by a causal model of transformers.

One row of the attention is read, averaged over heads and layers. In causal models it does not depend on later tokens,
so all earlier ones are run first and kept in the cache, and attention weights are requested in a single step: no matrix
of all tokens by all tokens is ever held for all layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.answers import marks
from ssl4rl.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """A prompt as a model's inputs, and the token whose attention is read."""

    inputs: Mapping[str, Any]
    """What the tokenizer or processor returns: tensors by name, (1, L) where they are of the tokens."""
    position: int
    """The position of the token; L for the first token of the reply."""


@dataclass(frozen=True)
class Row:
    """The attention of a token."""

    shares: Array
    """[position + 1], shares of all that it attends to: the tokens before it, and itself."""
    token: str
    """The token, as text."""


def attention_row(model: Any, tokenizer: Any, query: Query, layer: int | None = None) -> Row:
    """The attention of the query's token; the first token of a reply is the likeliest one.

    ``layer`` counts from 1; None averages over all layers. The model keeps eager attention afterwards, the only
    implementation that returns the weights.

    Raises:
        UserError: for a layer that does not exist or sees only a part of the prompt, or if there are no weights.
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
    for number, weights in enumerate(output.attentions or (), start=1):
        if layer in (None, number) and weights is not None and weights.shape[-1] <= query.position:
            raise UserError(
                f"layer {number} of the model sees its last {weights.shape[-1]} tokens only, and the prompt has "
                f"{query.position}; take one that sees all of it, with --layer"
            )
    return Row(mean_row(output.attentions, layer), tokenizer.decode([token]))


def mean_row(attentions: Sequence[Any], layer: int | None = None) -> Array:
    """From attention weights, one [1, heads, 1, tokens] a layer, the means over heads and layers, [tokens].

    Raises:
        UserError: if there are no weights, or no such layer.
    """
    import torch

    if not attentions or any(weights is None for weights in attentions):
        raise UserError("the model returns no attention weights (it must run with eager attention in every layer)")
    if layer is not None and not 1 <= layer <= len(attentions):
        raise UserError(f"--layer {layer}: the model has layers 1 to {len(attentions)}")
    chosen = attentions if layer is None else [attentions[layer - 1]]
    row = torch.stack([weights[0, :, -1].float().mean(0) for weights in chosen]).mean(0)
    return row.cpu().numpy().astype(np.float64)


def _first_of_reply(logits: Any, tokenizer: Any) -> int:
    """The likeliest token that is not a special one."""
    logits = logits.clone()
    logits[list(tokenizer.all_special_ids)] = -math.inf
    return int(logits.argmax())


def find_word(word: str, text: str) -> tuple[int, int]:
    """Where a whole word or phrase first occurs in a text: as it is spelled, or else in any case.

    Raises:
        UserError: if it does not.
    """
    pattern = rf"(?<!\w){re.escape(word.strip())}(?![\w{marks()}])"
    found = re.search(pattern, text) or re.search(pattern, text, re.IGNORECASE)
    if found is None or not word.strip():
        raise UserError(f"the word {word!r} is not in the question {text!r}; choose one that is")
    return found.span()


def word_token(tokenizer: Any, rendered: str, ids: Sequence[int], question: str, word: str) -> int:
    """The position in ``ids`` of the last token of ``word``, at its first occurrence in the question.

    ``rendered`` is the prompt as text, in which an image is one placeholder; in ``ids`` it is many tokens. After it
    both are the same, so positions are counted from the end.

    Raises:
        UserError: if the question is not in the prompt as it is, or the word not in the question.
    """
    start, span = rendered.rfind(question), find_word(word, question)
    if start < 0:
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
