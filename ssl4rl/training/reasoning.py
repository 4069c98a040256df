"""Whether a reply's reasoning names another answer than it gives: by rule, without a judge."""

from __future__ import annotations

import re

from ssl4rl.answers import END_OF_THOUGHT, marks, normalise
from ssl4rl.records import ReplyRecord

LETTER = re.compile(
    r"\b(?i:answer|option|choice|letter)s?\b(?:\s+(?:is|must be|should be|would be))?[\s:(\"'*]*([A-Z])\b"
)
"""How reasoning names a lettered option; the article "a" is none."""


def contradicts(record: ReplyRecord) -> bool | None:
    """Whether the last answer that the reasoning names is not the one given; None if it names none.

    Only of one valid answer out of several: a letter ("the answer is B", "option B") or a word ("yes", "top left").
    """
    choices = record.scoring.arguments.get("choices")
    parts = END_OF_THOUGHT.split(record.reply)
    if not choices or not record.valid or len(parts) < 2:
        return None
    named = _last_named(parts[-2], [normalise(choice) for choice in choices])
    return None if named is None else named != normalise(str(record.answer))


def _last_named(reasoning: str, choices: list[str]) -> str | None:
    if all(len(choice) == 1 for choice in choices):
        named = [letter.lower() for letter in LETTER.findall(reasoning)]
    else:
        longest_first = "|".join(sorted(map(re.escape, choices), key=len, reverse=True))
        named = re.findall(rf"(?<!\w)(?:{longest_first})(?![\w{marks()}])", normalise(reasoning))
    known = [each for each in named if each in choices]
    return known[-1] if known else None
