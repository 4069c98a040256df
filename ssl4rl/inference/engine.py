"""``generate(conversations) -> replies``, greedily, over a model in memory or over TRL's vLLM client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Messages = list[dict[str, Any]]


class Engine(Protocol):
    """Whatever answers conversations."""

    def generate(self, conversations: Sequence[Messages]) -> list[str]:
        """The model's reply to each conversation, in order, special tokens left out."""
        ...


def _prompt_ids(tokenizer: Any, conversations: Sequence[Messages]) -> list[list[int]]:
    if not conversations:
        return []
    encoded = tokenizer.apply_chat_template(
        list(conversations), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


class TransformersEngine:
    """Greedy decoding with transformers' ``generate``; prompts of similar length share a batch."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_new_tokens: int,
        batch_size: int,
        eos_token_ids: list[int],
        suppress_tokens: list[int],
    ) -> None:
        from transformers import GenerationConfig

        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=eos_token_ids,
            pad_token_id=tokenizer.pad_token_id,
            suppress_tokens=suppress_tokens or None,
            disable_compile=True,
        )

    def generate(self, conversations: Sequence[Messages]) -> list[str]:
        """The model's reply to each conversation, in order."""
        import torch

        prompts = _prompt_ids(self.tokenizer, conversations)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        replies = [""] * len(prompts)
        training = self.model.training
        self.model.eval()
        try:
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                padded = self.tokenizer.pad(
                    {"input_ids": [prompts[index] for index in batch]}, padding_side="left", return_tensors="pt"
                ).to(self.model.device)
                with torch.no_grad():
                    output = self.model.generate(
                        input_ids=padded["input_ids"],
                        attention_mask=padded["attention_mask"],
                        generation_config=self.generation_config,
                    )
                new = output[:, padded["input_ids"].shape[1] :]
                for index, text in zip(batch, self.tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
                    replies[index] = text
        finally:
            self.model.train(training)
        return replies


class VLLMEngine:
    """Greedy decoding with the vLLM that TRL's trainer samples from, colocated, in process or a server."""

    def __init__(self, generation: Any, tokenizer: Any) -> None:
        self.generation = generation
        self.tokenizer = tokenizer

    def generate(self, conversations: Sequence[Messages]) -> list[str]:
        """The model's reply to each conversation, in order."""
        prompts = _prompt_ids(self.tokenizer, conversations)
        temperature, self.generation.temperature = self.generation.temperature, 0.0
        try:
            _, replies, _, _ = self.generation.generate(prompts=prompts, images=None, num_generations=1)
        finally:
            self.generation.temperature = temperature
        return list(self.tokenizer.batch_decode(replies, skip_special_tokens=True))
