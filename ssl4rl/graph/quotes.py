"""Quotations: what a prompt hides must not stand elsewhere in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ssl4rl.answers import UNSPACED, words

QUOTE_WORDS, QUOTE_CHARACTERS = 8, 16
"""A run of this many words (or the whole text, if shorter) that occurs elsewhere counts as a quotation; in a text of a
script without spaces, where each character counts as a word, of this many characters."""

_UNSPACED = re.compile(f"[{UNSPACED}]")


def is_quoted(text: str, others: Sequence[str]) -> bool:
    """Whether a run of 8 words (16 characters) of ``text`` or all of it, if shorter, occurs in one of ``others``."""
    hidden = words(text)
    unspaced = sum(_UNSPACED.match(word) is not None for word in hidden)
    run = min(QUOTE_CHARACTERS if 2 * unspaced > len(hidden) else QUOTE_WORDS, len(hidden))
    # Spaces around both sides, so that a run matches whole words only.
    padded = [f" {' '.join(words(other))} " for other in others]
    runs = {f" {' '.join(hidden[i : i + run])} " for i in range(len(hidden) - run + 1)} if run else set()
    return any(piece in other for other in padded for piece in runs)
