"""From conversations to token ids, the same for every engine that has the tokenizer or processor at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssl4rl.inference.messages import TAGS, Messages, images_of, typed


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


class Encoder:
    """Writes conversations as the chat template of a tokenizer or processor has them, and as token ids.

    What stands in a conversation is text, also where it spells a token that controls the chat: such a string gets a
    space after its first character (``< |im_end|>``), and no token is read from it. The processors of vision-language
    models replace strings before they tokenise, so this has to be done to the text. The tags of the reply stay as they
    are where they are ours to write: in the last line of the last turn, which gives the form of the reply, and in
    answers.

    Args:
        settings: variables of the template, such as ``enable_thinking``.
    """

    def __init__(self, processor: Any, settings: Mapping[str, Any] | None = None) -> None:
        self.processor = processor
        self.tokenizer: Any = getattr(processor, "tokenizer", processor)
        self.settings = dict(settings or {})
        control = control_strings(processor)
        self._control = _any_of(control)
        self._control_but_tags = _any_of(control - set(TAGS))

    def plain(self, conversation: Messages) -> Messages:
        """The conversation with nothing in its texts that would be read as a control token."""
        last = len(conversation) - 1
        return [
            {**turn, "content": self._plain_content(turn["content"], turn["role"] == "assistant", place == last)}
            for place, turn in enumerate(conversation)
        ]

    def _plain_content(self, content: Any, is_answer: bool, is_last: bool) -> Any:
        if isinstance(content, str):
            return self._plain_text(content, is_answer, is_last)
        texts = [place for place, part in enumerate(content) if part["type"] == "text"]
        return [
            {**part, "text": self._plain_text(part["text"], is_answer, is_last and place == texts[-1])}
            if part["type"] == "text"
            else part
            for place, part in enumerate(content)
        ]

    def _plain_text(self, text: str, is_answer: bool, has_form: bool) -> str:
        if is_answer:
            return _spaced(self._control_but_tags, text)
        if not has_form:
            return _spaced(self._control, text)
        above, newline, form = text.rpartition("\n")
        return _spaced(self._control, above) + newline + _spaced(self._control_but_tags, form)

    def text(self, conversation: Messages, *, reply_follows: bool = True) -> str:
        """The conversation as the template writes it, control tokens included, up to where the reply begins."""
        return str(self._apply(conversation, tokenize=False, add_generation_prompt=reply_follows))

    def _apply(self, conversations: Any, **how: Any) -> Any:
        several = bool(conversations) and isinstance(conversations[0], list)
        prepared = [self.plain(one) for one in (conversations if several else [conversations])]
        if self.processor is not self.tokenizer:
            prepared = [typed(one) for one in prepared]
        return self.processor.apply_chat_template(prepared if several else prepared[0], **self.settings, **how)

    def encode(self, conversations: Sequence[Messages]) -> Encoded:
        """Conversations as token ids, up to where the reply begins."""
        if not conversations:
            return Encoded([])
        return Encoded.of(self._apply(list(conversations), add_generation_prompt=True, tokenize=True, return_dict=True))

    def unexpanded(self, conversation: Messages) -> list[int]:
        """As :meth:`encode`, but with the one placeholder per image that the template writes.

        vLLM expands the placeholders itself, and would expand those that are expanded already once more
        (huggingface/trl#6294).
        """
        return self.tokenize(self.text(conversation))

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text in which control tokens have been written."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def choice_ids(self, conversation: Messages, choices: Sequence[str]) -> ChoiceIds:
        """The conversation, each of its choices being the reply, as token ids.

        Prompt and answer are tokenised as one text, since a choice may begin within a token.
        """
        prompt = self.text(conversation)
        texts = [f"{prompt}{_spaced(self._control_but_tags, choice)}" for choice in choices]
        continued = [self.tokenize(text) for text in texts]
        common = common_length(continued)
        head, tails = continued[0][:common], [ids[common:] for ids in continued]
        images = images_of(conversation)
        if not images:
            return ChoiceIds(Encoded([head]), head, tails)
        # Images come before the choices, so their placeholders are expanded once for all of them.
        whole = Encoded.of(self.processor(text=texts[:1], images=[images], add_special_tokens=False))
        expanded = len(whole.ids[0]) - len(tails[0])
        marks = {name: [one[0][:expanded]] for name, one in whole.marks.items()}
        return ChoiceIds(Encoded([whole.ids[0][:expanded]], marks, whole.pixels), head, tails)


def control_strings(processor: Any) -> set[str]:
    """What a tokenizer or processor reads as a control token.

    These are its special tokens, the added ones that its chat template writes (not every model marks those as special),
    and the placeholders of images and the like.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    template = str(processor.chat_template or "")
    found = set(tokenizer.all_special_tokens)
    for added in tokenizer.added_tokens_decoder.values():
        # `<tool_call>`, but neither a tag of ours nor a word that a template may hold, too.
        in_template = added.content in template and re.fullmatch(r"[^\w\s].*[^\w\s]", added.content)
        if added.special or (in_template and added.content not in TAGS):
            found.add(added.content)
    for kind in ("image", "video", "audio"):
        found.add(str(getattr(processor, f"{kind}_token", None) or ""))
    return {string for string in found if string.strip()}


def _any_of(strings: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(strings, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _spaced(control: re.Pattern[str] | None, text: str) -> str:
    """The text with a space after the first character of everything that ``control`` matches."""
    if control is None:
        return text
    return control.sub(lambda found: f"{found[0][:1] if len(found[0]) > 1 else ''} {found[0][1:]}", text)


def common_length(texts: Sequence[Sequence[Any]]) -> int:
    """How many tokens all of the texts begin with, leaving at least one of each."""
    shortest = min(len(text) for text in texts)
    for place in range(shortest):
        if len({text[place] for text in texts}) > 1:
            return place
    return shortest - 1
