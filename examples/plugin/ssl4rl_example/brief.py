"""A reward that prefers short replies: the task's own score, and half of it for a long reply."""

from __future__ import annotations

from ssl4rl.answers import score
from ssl4rl.example import Example

MAX_WORDS = 100


def brief(reply: str, example: Example) -> float:
    """The reward of one reply. It is at most the task's score, so a wrong reply earns nothing by being short."""
    value = score(reply, example.scoring).value
    return value if len(reply.split()) <= MAX_WORDS else value / 2
