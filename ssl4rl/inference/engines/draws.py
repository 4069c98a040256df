"""Replies that are drawn: each with random numbers of its own, so that it depends on nothing else that is asked."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ssl4rl.inference.engines import Sampling
from ssl4rl.inference.messages import Messages


def draw_seeds(conversations: Sequence[Messages], seed: int, draws: Sequence[int] | None = None) -> list[int]:
    """A seed for each reply, from its conversation and the number of its draw alone.

    ``draws`` are those numbers; None numbers the repetitions of a conversation.
    """
    prompts = [json.dumps(conversation, default=_checksum) for conversation in conversations]
    if draws is None:
        repetitions: Counter[str] = Counter()
        numbers = []
        for prompt in prompts:
            numbers.append(repetitions[prompt])
            repetitions[prompt] += 1
        draws = numbers
    return [zlib.crc32(f"{seed}/{draw}/{prompt}".encode()) for draw, prompt in zip(draws, prompts, strict=True)]


def _checksum(image: Any) -> int:
    return zlib.crc32(image.tobytes())


class DrawnTokens:
    """A logits processor under which greedy decoding draws the tokens of each row with a generator of the row's own.

    transformers draws the tokens of all rows from one generator, so that a reply would depend on its batch. Here every
    score loses the logarithm of an exponential variate; the highest is then a draw from the softmax (Gumbel 1954).
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling, device: Any) -> None:
        import torch
        from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
        if sampling.top_k:
            self._warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores (B, V) of the next tokens, with each row's noise."""
        import torch

        scores = self._warpers(input_ids, scores)
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log()
