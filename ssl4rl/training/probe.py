"""A few replies before the first step: whether the model gives any answer that the task's reward can be earned with."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssl4rl.example import Example
from ssl4rl.inference.model import unfamiliar
from ssl4rl.mixture import parts_of
from ssl4rl.progress import progress
from ssl4rl.tasks import AnyTask
from ssl4rl.training.preparation import Prepared, shared_out
from ssl4rl.training.tasks import reads_images, scored

REPLIES = 8

SHOWN = 160
"""Characters of a reply that are shown."""


@dataclass(frozen=True)
class Probe:
    """What came of it."""

    replies: int
    valid: int
    """How many replies hold an answer that is one of the allowed ones."""
    shown: str
    """One of them: the first that is not valid, else the first."""
    remedies: Sequence[str]
    """What may help where none is valid."""

    @property
    def lines(self) -> list[str]:
        """What to tell the user."""
        short = textwrap.shorten(self.shown, SHOWN, placeholder=" …")[: SHOWN + 2] or "(nothing)"
        lines = [f"probe: {self.valid} of {self.replies} replies hold a valid answer; one reply: {short}"]
        if not self.valid:
            *others, last = self.remedies
            tried = f"{', '.join(others)}, or {last}" if others else last
            lines.append(f"without a valid answer there is no reward to learn from; try {tried}")
        return lines


def probe(task: AnyTask, answer: Callable[[list[Example]], Sequence[str]], model: str | None = None) -> Probe:
    """Scores the replies that ``answer`` gives for ``model`` to a task's first examples, which processes share."""
    from accelerate.utils import gather_object

    mine = shared_out(REPLIES)
    examples = [task.example(min(index, REPLIES - 1)) for index in mine]
    found = [
        (scored(task, reply, example).valid, reply)
        for index, reply, example in zip(mine, answer(examples), examples, strict=True)
        if index < REPLIES
    ]
    gathered: list[tuple[bool, str]] = gather_object(found)
    _, shown = min(gathered, key=lambda one: one[0])
    valid = sum(is_valid for is_valid, _ in gathered)
    return Probe(len(gathered), valid, shown, _remedies(task, examples, model))


def _remedies(task: AnyTask, examples: Sequence[Example], model: str | None) -> list[str]:
    """What may help where no reply is valid."""
    if unfamiliar(model, [(part.source_kind, part.source.name) for part in parts_of(task)]):
        return ["a real --model: the embedded one reads no data but its own"]
    side = "vision" if reads_images(task) else "graph"
    bare = [] if all(example.is_bare for example in examples) else ["--set task.reasoning=false (a bare answer)"]
    return [*bare, "--set reward.format=0.2", f"ssl4rl {side} warmup", "another --model"]


def probe_prepared(prepared: Prepared) -> Probe:
    """Loads the model of a run that was only prepared, and probes it.

    Raises:
        UserError: if the model cannot be loaded.
    """
    from ssl4rl.inference.engines import Sampling, generate, open_engine

    grpo, files = prepared.recipe.grpo, prepared.files
    engine = open_engine("transformers", files, dtype=prepared.recipe.model.dtype, batch_size=REPLIES)
    sampling = Sampling(
        grpo.get("max_completion_length", 256),
        temperature=grpo.get("temperature", 1.0),
        top_p=grpo.get("top_p", 1.0),
        top_k=grpo.get("top_k", 0),
        seed=prepared.recipe.seed,
    )

    def answer(examples: list[Example]) -> list[str]:
        conversations = [files.messages(example) for example in examples]
        with progress("replies to examine", len(conversations)) as advance:
            return [reply.text for reply in generate(engine, conversations, sampling, advance)]

    return probe(prepared.tasks.train, answer, prepared.recipe.model.path)
