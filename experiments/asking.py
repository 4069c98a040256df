"""What a model replies to examples, and how that is scored."""

from __future__ import annotations

from collections.abc import Sequence

from ssl4rl.answers import Score
from ssl4rl.example import Example
from ssl4rl.inference.engines import Engine, Reply, Sampling, generate
from ssl4rl.tasks import AnyTask


def scored(engine: Engine, task: AnyTask, examples: Sequence[Example], most_tokens: int) -> list[tuple[Reply, Score]]:
    """The greedy reply to each example, with its score."""
    replies = generate(engine, [example.messages() for example in examples], Sampling(most_tokens))
    return [(reply, task.score(reply.text, example)) for reply, example in zip(replies, examples, strict=True)]
