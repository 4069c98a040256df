"""Conversations in chat form, as every engine takes them."""

from __future__ import annotations

from typing import Any, TypeAlias

from ssl4rl.inference.processor import scaled

Messages: TypeAlias = list[dict[str, Any]]
"""Turns with ``role`` and ``content``: a string, or a list of parts of type ``text`` or ``image``."""

"""The tags around an answer."""

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""The tags of a reply: text to us, whatever they are to a tokenizer."""


def typed(messages: Messages) -> Messages:
    """The conversation with every turn as a list of typed parts, which the templates of many processors require."""
    return [
        {**turn, "content": [{"type": "text", "text": turn["content"]}]} if isinstance(turn["content"], str) else turn
        for turn in messages
    ]


def with_scaled_images(messages: Messages, min_pixels: int | None, max_pixels: int | None) -> Messages:
    """The conversation with images of at least and at most so many pixels."""

    def part_of(part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "image": scaled(part["image"], min_pixels, max_pixels)} if part["type"] == "image" else part

    return [
        turn if isinstance(turn["content"], str) else {**turn, "content": [part_of(part) for part in turn["content"]]}
        for turn in messages
    ]


def images_of(messages: Messages) -> list[Any]:
    """The images of a conversation, in order."""
    images = []
    for turn in messages:
        if not isinstance(turn["content"], str):
            images += [part["image"] for part in turn["content"] if part["type"] == "image"]
    return images
