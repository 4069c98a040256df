"""Models for timing, and the prompts that they are timed on.

The model is randomly initialised with SmolLM2-135M's shape: how long a step takes does not depend on its weights. The
prompts are link questions on Cora (from SSL4RL_TEST_DATA, by default ../shared/data), or on the embedded graph
with filler words up to the same length; :func:`link_prompts` says which. The tokenizer is byte-level BPE, trained on
those prompts on the spot, so that words are cut as a language model would cut them; the model's vocabulary stays at
49,152.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl4rl.answers import Score, score
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.registry import GRAPHS, TASKS

DATA = Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data"))

SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOLLM2: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Rewritten:
    """Base of tasks that show another task's examples in another form."""

    task: Any

    @property
    def label(self) -> str:
        return str(self.task.label)

    def score(self, reply: str, example: Example) -> Score:
        return score(reply, example.scoring)


@dataclass(frozen=True)
class Filled(Rewritten):
    """A task whose prompts are filled up to a number of words."""

    words: int

    def example(self, index: int) -> Example:
        example: Example = self.task.example(index)
        missing = self.words - len(example.text.split())
        return replace(example, parts=(" ".join(["also"] * max(0, missing)) + "\n", *example.parts))


@dataclass(frozen=True)
class Exactly(Rewritten):
    """A task whose prompts are made of its examples' texts end to end, cut at a number of tokens (or one fewer)."""

    tokenizer: Any
    tokens: int

    def example(self, index: int) -> Example:
        example: Example = self.task.example(index)
        around = len(
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": ""}], add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
        )
        ids: list[int] = []
        while len(ids) < self.tokens:
            ids += self.tokenizer(self.task.example(index).text)["input_ids"]
            index += 1
        return replace(example, parts=(self.tokenizer.decode(ids[: self.tokens - around]),))


def cora() -> Any:
    """Cora, where it has been fetched or SSL4RL_TEST_DATA has its files; else None."""
    try:
        return GRAPHS.get("cora")()
    except UserError:
        return fetch("cora", DATA / "taglas") if (DATA / "taglas" / "Cora").is_dir() else None


def link_task() -> tuple[Any, str]:
    """Link questions of about 500 tokens, and the graph that they are cut from."""
    kind = TASKS.get("link")
    graph = cora()
    if graph is not None:
        return kind(graph, knobs={"text_budget": 350, "num_hops": 2}), "Cora"
    return Filled(kind(GRAPHS.get("citations")()), 430), "the embedded graph, prompts filled up"


def build_tokenizer(texts: Sequence[str]) -> Any:
    """Byte-level BPE trained on these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=8192, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=SPECIAL[0], eos_token=SPECIAL[2], additional_special_tokens=SPECIAL[1:2]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def save_model(folder: Path, task: Any, shape: Mapping[str, Any] = SMOLLM2, dtype: torch.dtype = torch.float32) -> Path:
    """The timing model and a tokenizer for the prompts of ``task``, as transformers saves them."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer([task.example(index).text for index in range(300)])
    tokenizer.save_pretrained(folder)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(LlamaConfig(**shape, **ends, dtype=dtype)).to(dtype)
    model.generation_config = GenerationConfig(**ends)
    model.save_pretrained(folder)
    return folder


def group(tokenizer: Any, task: Any, prompt: int, completion: int, count: int) -> tuple[Tensor, Tensor, int]:
    """One prompt of exactly so many tokens (prompts of the task, end to end) with ``count`` random completions.

    The arguments of TRL's log-prob method: ids and mask, both (count, prompt + completion), and ``completion``.
    """
    ids: list[int] = []
    index = 0
    while len(ids) < prompt:
        ids += tokenizer.apply_chat_template(task.example(index).messages(), tokenize=True, return_dict=True)[
            "input_ids"
        ]
        index += 1
    torch.manual_seed(1)
    completions = torch.randint(len(SPECIAL), len(tokenizer), (count, completion))
    whole = torch.cat([torch.tensor(ids[:prompt]).expand(count, -1), completions], 1)
    return whole, torch.ones_like(whole), completion
