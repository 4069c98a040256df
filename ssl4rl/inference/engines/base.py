"""``generate(messages) -> replies``: what every engine does, whatever runs the model.

An engine is asked for all conversations at once and answers in the order in which replies are finished, so that
whoever asks can write each one down at once. It is free to batch and to reorder; it never reorders its indices.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

Messages = list[dict[str, Any]]

ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
"""What stands around a choice when its likelihood is asked for."""


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn; a temperature of 0 is greedy decoding."""

    max_new_tokens: int = 512
    """Most tokens of a reply."""
    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Only the likeliest tokens that make up this share are drawn from."""
    top_k: int = 0
    """Only this many of the likeliest tokens are drawn from; 0 is all of them."""
    seed: int = 0
    """Of the draws, where the engine allows one."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote, special tokens left out; ``truncated`` if it was cut at ``max_new_tokens``."""

    text: str
    num_tokens: int
    truncated: bool


class Engine(Protocol):
    """Whatever answers conversations."""

    @property
    def files(self) -> ModelFiles | None:
        """The model's configuration and tokenizer; None where they are a server's."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What makes its replies its own, as JSON: the model by content as far as it is known, and what runs it."""
        ...

    def stream(self, conversations: Sequence[Messages], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, as soon as it is finished, in any order.

        Raises:
            UserError: if the engine cannot go on; what was yielded before stays valid.
        """
        ...

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and the log-probability (nats) of every one of its choices, in any order.

        A choice's log-probability is the sum over the tokens of ``CHOICE</answer>`` after the prompt and a prefilled
        ``<answer>``. Prompt and choice are tokenised together; the tokens that all choices of a conversation begin
        with are left out of the sums.

        Raises:
            UserError: if the engine cannot go on, or does not tell log-probabilities of a prompt.
        """
        ...


def generate(engine: Engine, conversations: Sequence[Messages], sampling: Sampling) -> list[Reply]:
    """The reply to each conversation, in their order."""
    replies = dict(engine.stream(conversations, sampling))
    return [replies[index] for index in range(len(conversations))]


def request_seeds(prompts: Sequence[str], seed: int) -> list[int]:
    """A seed for each prompt's draws: the same whatever is asked beside it, another for each repetition of a prompt."""
    repetitions: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        seeds.append(zlib.crc32(f"{seed}/{repetitions[prompt]}/{prompt}".encode()))
        repetitions[prompt] += 1
    return seeds
