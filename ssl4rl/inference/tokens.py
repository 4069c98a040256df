"""From conversations to token ids, the same for every engine that has the tokenizer or processor at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssl4rl.inference.messages import ANSWER_CLOSE, ANSWER_OPEN, Messages, images_of, typed


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids, with the further inputs of a vision-language model."""

    ids: list[list[int]]
    marks: dict[str, list[list[int]]] = field(default_factory=dict)
    """Further numbers for each token, by name: some models need to know which tokens stand for an image."""
    pixels: dict[str, Any] = field(default_factory=dict)
    """What the processor makes of all the texts' images, in order: arrays by name."""

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> Encoded:
        """From what a tokenizer or a processor returns, unpadded."""
        ids = [list(one) for one in output["input_ids"]]
        marks, pixels = {}, {}
        for name, value in output.items():
            if name in ("input_ids", "attention_mask"):
                continue
            if isinstance(value, list) and value and [len(one) for one in value] == [len(one) for one in ids]:
                marks[name] = value
            else:
                pixels[name] = value
        return cls(ids, marks, pixels)


def encode(processor: Any, conversations: Sequence[Messages]) -> Encoded:
    """Conversations as token ids, up to where the reply begins; without images, ``processor`` may be a tokenizer."""
    if not conversations:
        return Encoded([])
    if hasattr(processor, "tokenizer"):
        conversations = [typed(conversation) for conversation in conversations]
    return Encoded.of(
        processor.apply_chat_template(list(conversations), add_generation_prompt=True, tokenize=True, return_dict=True)
    )


def common_length(texts: Sequence[Sequence[Any]]) -> int:
    """How many tokens all of the texts begin with, leaving at least one of each."""
    shortest = min(len(text) for text in texts)
    for place in range(shortest):
        if len({text[place] for text in texts}) > 1:
            return place
    return shortest - 1


def unexpanded(processor: Any, conversation: Messages) -> list[int]:
    """As :func:`encode`, but with the one placeholder per image that the template writes.

    vLLM expands the placeholders itself, and would expand those that are expanded already once more
    (huggingface/trl#6294).
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    return list(tokenizer(_text(processor, conversation), add_special_tokens=False)["input_ids"])


def _text(processor: Any, conversation: Messages) -> str:
    """The conversation as the template writes it, special tokens included."""
    if hasattr(processor, "tokenizer"):
        conversation = typed(conversation)
    return str(processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False))


@dataclass(frozen=True)
class ChoiceIds:
    """A prompt that each of its choices continues, cut where they begin to differ."""

    prefix: Encoded
    """What all of them begin with."""
    unexpanded: list[int]
    """The same with one placeholder per image."""
    tails: list[list[int]]
    """The rest of each choice."""

    @property
    def common(self) -> int:
        """How many tokens all choices begin with."""
        return len(self.prefix.ids[0])

    @property
    def continued(self) -> list[list[int]]:
        """The prompt with each choice after it, whole."""
        return [self.prefix.ids[0] + tail for tail in self.tails]


def choice_ids(processor: Any, conversation: Messages, choices: Sequence[str]) -> ChoiceIds:
    """The conversation, answered by each of its choices, as token ids.

    Prompt and answer are tokenised as one text, since a choice may begin within a token.
    """
    prompt = _text(processor, conversation)
    texts = [f"{prompt}{ANSWER_OPEN}{choice}{ANSWER_CLOSE}" for choice in choices]
    # The template has written the special tokens already.
    tokenizer = getattr(processor, "tokenizer", processor)
    continued = [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    common = common_length(continued)
    head, tails = continued[0][:common], [ids[common:] for ids in continued]
    images = images_of(conversation)
    if not images:
        return ChoiceIds(Encoded([head]), head, tails)
    # Images come before the choices, so their placeholders are expanded once for all of them.
    whole = Encoded.of(processor(text=texts[:1], images=[images], add_special_tokens=False))
    expanded = len(whole.ids[0]) - len(tails[0])
    marks = {name: [one[0][:expanded]] for name, one in whole.marks.items()}
    return ChoiceIds(Encoded([whole.ids[0][:expanded]], marks, whole.pixels), head, tails)
