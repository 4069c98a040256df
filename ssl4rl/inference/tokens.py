"""From conversations to token ids, the same for every engine that has the tokenizer at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.inference.engine import ANSWER_CLOSE, ANSWER_OPEN, Messages


def prompt_ids(tokenizer: Any, conversations: Sequence[Messages]) -> list[list[int]]:
    """Each conversation as token ids, ending where the reply begins."""
    if not conversations:
        return []
    encoded = tokenizer.apply_chat_template(
        list(conversations), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return [list(ids) for ids in encoded["input_ids"]]


def common_length(texts: Sequence[Sequence[Any]]) -> int:
    """How many tokens all of the texts begin with; at least one of each is left."""
    shortest = min(len(text) for text in texts)
    differing = (at for at in range(shortest) if len({text[at] for text in texts}) > 1)
    return min(next(differing, shortest), shortest - 1)


@dataclass(frozen=True)
class ChoiceIds:
    """A prompt continued by each of its choices; the first ``common`` tokens are those of all of them."""

    continued: list[list[int]]
    common: int


def choice_ids(tokenizer: Any, conversation: Messages, choices: Sequence[str]) -> ChoiceIds:
    """The conversation, answered by each of its choices, as token ids.

    Prompt and answer are tokenised as one text: where a choice begins may fall within a token.
    """
    prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    texts = [f"{prompt}{ANSWER_OPEN}{choice}{ANSWER_CLOSE}" for choice in choices]
    # The template has written the special tokens already.
    continued = [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    return ChoiceIds(continued, common_length(continued))


def check_lengths(lengths: Sequence[int], reply: int, limit: int) -> None:
    """Refuses prompts that with ``reply`` further tokens are longer than the model's ``limit``.

    Raises:
        UserError: naming the first such conversation.
    """
    for index, length in enumerate(lengths):
        if length + reply > limit:
            raise UserError(
                f"the prompt of conversation {index} has {length} tokens; with {reply} for the reply that is more than "
                f"the {limit} that the model takes here; shorten the prompt or the reply"
            )
