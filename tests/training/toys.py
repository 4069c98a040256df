"""A toy task and a randomly initialised tiny model, so that training is tested without any dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ssl4rl.answers import score_any_of
from ssl4rl.example import Example, Score
from ssl4rl.tasks import Draft, Knobs, Task
from ssl4rl.training.preparation import Tasks

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"]


class ToyKnobs(Knobs):
    words: int = 6
    """Words in the prompt."""


@dataclass(frozen=True)
class ToySource:
    name: str = "toys"
    fingerprint: str = "toys-1"


class Toy(Task[ToySource, ToyKnobs]):
    """Does the prompt hold more a's than b's?"""

    name = "toy"
    knobs_type = ToyKnobs
    levels: ClassVar[dict[str, dict[str, Any]]] = {"easy": {"words": 3}, "medium": {}, "hard": {"words": 12}}

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        letters = rng.choice(["a", "b"], size=self.knobs.words + int(rng.integers(3)))
        more = bool((letters == "a").sum() * 2 > len(letters))
        return Draft((f"More a than b? {' '.join(letters)}",), "yes" if more else "no", {})

    def score(self, reply: str, example: Example) -> Score:
        return score_any_of(reply, [example.target])

    def chance(self, example: Example) -> float:
        return 0.5

    def gold(self, example: Example) -> str:
        return str(example.target)


class Letters(Toy):
    """Scores the share of letters e in a reply's first characters: a random model earns something at once."""

    def score(self, reply: str, example: Example) -> Score:
        if not reply:
            return Score.unparsed()
        return Score.of(min(1.0, 4 * reply.count("e") / len(reply)), reply)


def toy_tasks(kind: type[Toy] = Letters, **knobs: Any) -> Tasks:
    return Tasks(
        train=kind(ToySource(), knobs=knobs),
        heldout=kind(ToySource(), split="val", knobs=knobs),
        dataset="toys",
        levels=list(kind.levels),
    )


def build_model(folder: Path, *, tied: bool = True, chat_template: str | None = TEMPLATE, **settings: Any) -> Path:
    """A Qwen3 of some 60,000 parameters with a byte-level BPE tokenizer, saved as transformers saves it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(["More a than b? a b a b <think></think><answer>yes</answer> no the eel sees"] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<|pad|>", eos_token="<|end|>", additional_special_tokens=SPECIAL[2:]
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 256,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.1,
    }
    config = Qwen3Config(**{**shape, **settings})
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    return folder


def toy_recipe(folder: Path, /, **overrides: Any) -> Any:
    """4 prompts x 4 completions of 8 tokens, 4 steps; ``grpo__beta=0.1`` style keys override."""
    from ssl4rl.training.recipe import Recipe

    values: dict[str, Any] = {
        "model": {"path": str(folder)},
        "engine": "transformers",
        "heldout": {"examples": 8},
        "log_completions_every": 2,
        "grpo": {
            "max_steps": 4,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 16,
            "num_generations": 4,
            "max_completion_length": 8,
            "bf16": False,
            "gradient_checkpointing": False,
            "save_steps": 2,
        },
    }
    for key, value in overrides.items():
        section, _, name = key.partition("__")
        if name:
            values[section][name] = value
        else:
            values[section] = value
    return Recipe.model_validate(values)


def make_trainer(recipe: Any, folder: Path, tasks: Tasks | None = None, engine: str = "transformers") -> Any:
    """The trainer of a recipe, without its run."""
    from ssl4rl.inference.model import ModelFiles
    from ssl4rl.runs import RunFolder
    from ssl4rl.training.checks import check
    from ssl4rl.training.display import Display
    from ssl4rl.training.preparation import quieten
    from ssl4rl.training.run import _Run

    quieten()
    plan, _ = check(recipe)
    files = ModelFiles(recipe.model.path)
    run = _Run(recipe, plan, tasks or toy_tasks(), files, engine, RunFolder.create(folder), Display(plan.max_steps))
    return run._trainer()
