"""Prompts that begin alike: what they share is run once.

Some restatements of a question, and prompts after the same few-shot turns, have most of their tokens in common. vLLM's
prefix cache finds that by itself; this is for transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WORTHWHILE = 0.5
"""The share of every prompt that has to be common: below that, batches of equally long prompts are as quick."""


@dataclass(frozen=True)
class Family:
    """Prompts that begin with the same tokens."""

    members: list[int]
    shared: int
    """How many tokens all of them begin with; each has at least one more. 0 for a prompt that is alone."""


def families(prompts: Sequence[list[int]], most: int) -> list[Family]:
    """The prompts in families of up to ``most``, every prompt in one of them, longest first.

    >>> families([[1, 2, 3, 4], [9, 9], [1, 2, 3, 5, 6]], most=8)
    [Family(members=[0, 2], shared=3), Family(members=[1], shared=0)]
    """
    found: list[Family] = []
    members: list[int] = []
    shared = longest = 0
    # In this order prompts that begin alike stand together.
    for place in sorted(range(len(prompts)), key=prompts.__getitem__):
        prompt = prompts[place]
        if members and len(members) < most:
            common = min(shared, _common(prompts[members[-1]], prompt), len(prompt) - 1)
            if common >= WORTHWHILE * max(longest, len(prompt)):
                members.append(place)
                shared, longest = common, max(longest, len(prompt))
                continue
        found += _closed(members, shared)
        members, shared, longest = [place], len(prompt) - 1, len(prompt)
    found += _closed(members, shared)
    return sorted(found, key=lambda family: -max(len(prompts[place]) for place in family.members))


def _closed(members: list[int], shared: int) -> list[Family]:
    return [Family(members, shared if len(members) > 1 else 0)] if members else []


def _common(first: list[int], second: list[int]) -> int:
    shortest = min(len(first), len(second))
    return next((place for place in range(shortest) if first[place] != second[place]), shortest)
