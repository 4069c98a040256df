"""Whether prompts fit into a model's context. Nothing is ever cut silently: a prompt that does not fit is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssl4rl.errors import UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.model import ModelFiles

# Knobs that decide how long a prompt is, the most direct first.
SIZE_KNOBS = ("text_budget", "max_nodes", "num_hops", "size")

REPLY_SETTING = "grpo.max_completion_length"
"""What sets the length of replies in training."""


@dataclass(frozen=True)
class Measured:
    """How long a prompt is for a model."""

    example: ExampleId
    tokens: int
    images: int
    image_tokens: int
    """How many of the tokens stand for its images."""

    def __str__(self) -> str:
        images = f", {self.image_tokens} of them for {self.images} image(s)" if self.images else ""
        return f"{self.tokens} tokens{images} ({self.example})"


def check_example(
    files: ModelFiles,
    example: Example,
    length: int,
    reply_length: int,
    context_length: int,
    reply_setting: str = REPLY_SETTING,
) -> None:
    """Refuses a prompt of ``length`` tokens that leaves no room for the reply.

    Raises:
        UserError: naming the example, and the knob or setting (``reply_setting`` sets the reply's length) to lower.
    """
    if length + reply_length > context_length:
        raise UserError(
            f"the prompt of example {example.id} has {length} tokens; with {reply_length} for the reply that is more "
            f"than the {context_length} of model {files.name!r}; lower {_size_knob(example.id.task)} or {reply_setting}"
        )


def measure(
    files: ModelFiles,
    examples: Iterable[Example],
    reply_length: int,
    context_length: int,
    *,
    before: Messages | None = None,
    reply_setting: str = REPLY_SETTING,
) -> list[Measured]:
    """How long the prompts of some examples are, each with the turns of ``before`` in front.

    Raises:
        UserError: for a prompt that leaves no room for the reply.
    """
    image_token: int = getattr(files.processor, "image_token_id", -1)
    measured = []
    for example in examples:
        ids = files.prompt_ids([*(before or []), *files.messages(example)])
        check_example(files, example, len(ids), reply_length, context_length, reply_setting)
        measured.append(Measured(example.id, len(ids), len(example.images), ids.count(image_token)))
    return measured


def check_conversations(
    lengths: Sequence[int], reply_length: int, limit: int, indices: Sequence[int] | None = None
) -> None:
    """Refuses prompts of these lengths if one leaves no room for the reply within ``limit`` tokens.

    Raises:
        UserError: naming the first such conversation, by its place or by its entry in ``indices``.
    """
    for place, length in enumerate(lengths):
        if length + reply_length > limit:
            index = place if indices is None else indices[place]
            raise UserError(
                f"the prompt of conversation {index} has {length} tokens; with {reply_length} for the reply that is "
                f"more than the {limit} that the model takes here; shorten the prompt or the reply"
            )


def _size_knob(name: str) -> str:
    from ssl4rl.registry import BENCHMARKS, TASKS

    for registry in (TASKS, BENCHMARKS):
        if name in registry.names():
            fields = registry.get(name).knobs_type.model_fields
            return next((f"task.{knob}" for knob in SIZE_KNOBS if knob in fields), "the task's level")
    return "the task's level"
