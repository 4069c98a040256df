"""An engine without a model: it picks the option that shares the most words with the rest of the prompt.

It shows what an engine has to do, and is a baseline of its own: a benchmark that it does well on asks for no more than
matching words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.inference.messages import Messages

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

OPTION = re.compile(r"^([A-Z]|\d+): (.*)$", re.MULTILINE)


def open_overlap(files: ModelFiles, *, dtype: str, context_length: int | None, batch_size: int) -> OverlapEngine:
    """Opens the engine; what the entry point names. This one needs neither a model nor any of the settings."""
    return OverlapEngine()


class OverlapEngine:
    """Replies by a rule; see :class:`ssl4rl.inference.engines.Engine` for the protocol."""

    # An engine that runs a model returns the files that it was opened with.
    files = None

    @property
    def identity(self) -> dict[str, Any]:
        # Recorded with every run. Without a model, what replies is the rule: raise its number when it changes.
        return {"engine": "overlap", "model": "overlap-1"}

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        # The rule draws nothing: its reply is the same every time.
        for index, messages in enumerate(conversations):
            answer = choose(text_of(messages))
            yield index, Reply(f"<answer>{answer}</answer>", num_tokens=1, truncated=False)

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        raise UserError("engine overlap has no probabilities; score its replies as they are written")


def text_of(messages: Messages) -> str:
    """The text of a conversation's last turn; its images are left out."""
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def choose(prompt: str) -> str:
    """The label of the option whose words occur in the rest of the prompt most often; "yes" if there are no options."""
    options: dict[str, str] = dict(OPTION.findall(prompt))
    if not options:
        return "yes"
    rest = set(words(OPTION.sub("", prompt)))
    return max(options, key=lambda label: sum(word in rest for word in words(options[label])))


def words(text: str) -> list[str]:
    """The lower-case words of a text."""
    return re.findall(r"\w+", text.lower())
