"""Sampling the completions of a group with transformers, the prompt being run and cached once per group.

A row of the batch is a group. Each decoding step feeds the last token of all its completions at once; every completion
sees the prompt and its own tokens only, by the same kind of mask as in :mod:`ssl4rl.training.shared_prompt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    MinPLogitsWarper,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ssl4rl.errors import UserError
from ssl4rl.training.shared_images import Images
from ssl4rl.training.shared_prompt import additive


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the names and the order of application are transformers'."""

    max_new_tokens: int
    eos_token_ids: Sequence[int]
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float | None = None
    suppress_tokens: Sequence[int] | None = None

    def processors(self, device: torch.device) -> LogitsProcessorList:
        """The processors that turn logits into the scores to sample from."""
        processors = LogitsProcessorList()
        if self.suppress_tokens:
            processors.append(SuppressTokensLogitsProcessor(self.suppress_tokens, device=device))
        if self.temperature != 1:
            processors.append(TemperatureLogitsWarper(self.temperature))
        if self.top_k:
            processors.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1:
            processors.append(TopPLogitsWarper(self.top_p))
        if self.min_p:
            processors.append(MinPLogitsWarper(self.min_p))
        return processors


def draw(scores: Tensor) -> Tensor:
    """One token per row of (N, V) scores, by inverting the cumulative distribution.

    ``torch.multinomial`` draws a random number for each of the V tokens, which for a small model costs more than the
    model's own step.

    Raises:
        UserError: for scores that are not numbers.
    """
    cumulative = scores.float().softmax(-1).cumsum(-1)
    total = cumulative[:, -1:]
    if not total.isfinite().all():  # a token that does not exist would be drawn
        raise UserError(
            "the model's scores of the next token are not numbers: an update has spoilt its weights, or they overflow; "
            "lower grpo.learning_rate, or use --set model.dtype=float32"
        )
    point = torch.rand_like(total) * total
    # Below the total, so that only tokens with a probability above 0 are drawn.
    point = torch.minimum(point, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, point, right=True)[:, 0]


def sample_groups(
    model: Any, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, images: Images | None = None
) -> list[list[list[int]]]:
    """``group`` completions of each prompt, including the token that ends them.

    ``model`` has to be one for which :func:`ssl4rl.training.shared_prompt.unsupported` is None; prompts have at least
    two tokens; ``images`` are those of the prompts.
    """
    device = model.device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    width = int(lengths.max())
    present = torch.arange(width, device=device) >= width - lengths[:, None]
    ids = torch.zeros(present.shape, dtype=torch.long, device=device)
    ids[present] = torch.tensor([token for prompt in prompts for token in prompt], device=device)
    every = range(len(prompts))
    images = images or Images.none(len(prompts))
    position = images.positions(model, every, ids, present)

    # All but the prompt's last token, which the first decoding step feeds to each completion.
    cache = DynamicCache(config=model.config.get_text_config())
    with images.inputs(model, every) as image_inputs:
        model(
            input_ids=ids[:, :-1],
            attention_mask=present[:, :-1],
            position_ids=position[..., :-1],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **image_inputs,
        )
    processors = sampling.processors(device)
    ends = torch.tensor(list(sampling.eos_token_ids), device=device)
    own = torch.eye(group, dtype=torch.bool, device=device)
    tokens = ids[:, -1:].expand(-1, group)
    seen = present[:, None, :-1].expand(-1, group, -1)
    # A prompt ends in text, whose position is the same along every axis.
    at = position[..., -1].reshape(-1, len(prompts))[0]
    rows = torch.arange(len(prompts), device=device)
    drawn = torch.full((len(prompts), group, sampling.max_new_tokens), -1, dtype=torch.long, device=device)
    done = torch.zeros(len(prompts), group, dtype=torch.bool, device=device)
    for step in range(sampling.max_new_tokens):
        seen = torch.cat([seen, own.expand(len(rows), -1, -1)], 2)
        output = model(
            input_ids=tokens,
            attention_mask=additive(model, seen)[:, None],
            position_ids=(at[:, None] + step).expand(-1, group),
            past_key_values=cache,
            use_cache=True,
        )
        scores = processors(None, output.logits.flatten(0, 1).float())
        tokens = draw(scores).view(len(rows), group)
        drawn[rows, :, step] = torch.where(done[rows], -1, tokens)
        done[rows] |= torch.isin(tokens, ends)
        going = ~done[rows].all(1)
        if not going.any():
            break
        # Dropping finished groups copies the cache, so it waits until a quarter of them are finished.
        if going.sum() <= 0.75 * len(rows):
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            rows, tokens, seen, at = rows[kept], tokens[kept], seen[kept], at[kept]
    return [[[token for token in one if token >= 0] for one in several] for several in drawn.tolist()]


def reordered(value: Any, order: torch.Tensor) -> Any:
    """The rows of a tensor or list in another order; a value without rows is unchanged."""
    if isinstance(value, torch.Tensor) and value.ndim:
        return value[order.to(value.device)]
    return [value[row] for row in order.tolist()] if isinstance(value, list) else value
