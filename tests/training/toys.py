"""A toy task and a randomly initialised tiny model, so that training is tested without any dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ssl4rl.answers import Score, Scoring
from ssl4rl.drafts import Draft
from ssl4rl.errors import UserError
from ssl4rl.registry import Registry
from ssl4rl.runs import Run
from ssl4rl.source import Report, SourceKind, Summary
from ssl4rl.tasks import Knobs, Task
from ssl4rl.training.tasks import Tasks

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"]
ONE_STEP = [
    "grpo.max_steps=1",
    "grpo.save_steps=1",
    "grpo.per_device_train_batch_size=8",
    "grpo.gradient_accumulation_steps=1",
    "grpo.num_generations=4",
    "heldout.examples=0",
    "engine=transformers",
]
"""Settings of a run from the command line that is as short as can be."""


class ToyKnobs(Knobs):
    words: int = 6
    """Words in the prompt."""


@dataclass(frozen=True)
class ToySource:
    name: str = "toys"
    fingerprint: str = "toys-1"


def _read(path: str) -> ToySource:
    raise UserError(f"there are no toys at {path}")


TOYS: SourceKind[ToySource] = SourceKind(
    name="toys",
    side="graph",
    default="toys",
    default_noun="the toys",
    registry=Registry("dataset", "ssl4rl_tests.toys", {"toys": "toys:ToySource"}),
    read=_read,
    recognises=lambda path: False,
    check=lambda path: Report([], None),
    summarise=lambda source: Summary({}, []),
)


def score_letters(reply: str) -> Score:
    """The share of letters e in a reply: a random model earns something at once. A fixture makes it known."""
    return Score.of(min(1.0, 4 * reply.count("e") / len(reply)), reply) if reply else Score.unparsed()


class Toy(Task[ToySource, ToyKnobs]):
    """Does the prompt hold more a's than b's?"""

    name = "toy"
    source_kind = TOYS
    knobs_type = ToyKnobs
    levels: ClassVar[dict[str, dict[str, Any]]] = {"easy": {"words": 3}, "medium": {}, "hard": {"words": 12}}

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        letters = rng.choice(["a", "b"], size=self.knobs.words + int(rng.integers(3)))
        gold = "yes" if (letters == "a").sum() * 2 > len(letters) else "no"
        return Draft(
            parts=(f"More a than b? {' '.join(letters)}",),
            scoring=self.scoring(gold),
            gold=gold,
            chance=0.5,
            source_items=(f"toy:{index}",),
        )

    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_any_of", {"accepted": [gold]})


class Letters(Toy):
    """Scores the letters of a reply instead."""

    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_letters", {})


def toy_tasks(kind: type[Toy] = Letters, **knobs: Any) -> Tasks:
    return Tasks.of(kind(ToySource(), knobs=knobs))


def train_toys(recipe: Any, output: Path, tasks: Tasks | None = None, **more: Any) -> Run:
    """Trains as the recipe says, but on the toys, which have no registered name."""
    from ssl4rl.training.run import run_recipe

    return run_recipe(recipe, output, tasks=tasks or toy_tasks(), **more)


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
        "refill": 0,
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
    from ssl4rl.training.display import Display
    from ssl4rl.training.preparation import prepare
    from ssl4rl.training.run import Training

    prepared = prepare(recipe, tasks or toy_tasks())
    run = Run.create(folder, recipe.model_dump(mode="json"))
    return Training(prepared, engine, run, Display(prepared.plan.max_steps)).make_trainer()
