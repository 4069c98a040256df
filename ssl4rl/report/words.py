"""Questions and answers in a few words, for people who read predictions."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from ssl4rl.answers import normalise

SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
LONGEST = 160
"""Characters of a question or an answer that are shown."""


def in_words(answer: str | None, choices: Mapping[str, str]) -> str:
    """An answer with the name of the option that it picks.

    >>> in_words("b", {"A": "Neural Networks", "B": "Theory"})
    'B (Theory)'
    >>> in_words("yes", {"yes": "yes", "no": "no"})
    'yes'
    """
    if answer is None:
        return "no answer"
    for label, name in choices.items():
        if normalise(label) == normalise(answer):
            return label if name == label else f"{label} ({name})"
    return shortened(answer) or "an empty answer"


def question_line(prompt: str, choices: Mapping[str, str]) -> str:
    """The line of a prompt that asks, shortened: the last one that ends in a question mark and is not an option.

    Without such a line it is the last question within one, the line before the options, or else the first.

    >>> question_line("[1] A paper.\\nWhich class does [1] belong to?\\nA: Why?\\nGive one letter.", {"A": "Why?"})
    'Which class does [1] belong to?'
    """
    options = {f"{label}: {name}" for label, name in choices.items()}
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    places = [place for place, line in enumerate(lines) if line in options]
    asking = [line for place, line in enumerate(lines) if line.endswith("?") and place not in places]
    if asking:
        return shortened(asking[-1])
    within = [part for place, line in enumerate(lines) if place not in places for part in SENTENCE_END.split(line)]
    if questions := [part for part in within if part.endswith("?")]:
        return shortened(questions[-1])
    before_options = lines[: places[0]] if places else []
    return shortened((before_options or lines[:1] or [""])[-1])


def shortened(text: str) -> str:
    """A text on one line, cut at a word if it is long."""
    return textwrap.shorten(text, LONGEST, placeholder=" …")


def short_names(paths: Sequence[str]) -> list[str]:
    """The last parts of paths, as many of each as tell them apart.

    >>> short_names(["Qwen/Qwen2.5-0.5B", "/models/long/first/model", "/models/long/second/model"])
    ['Qwen/Qwen2.5-0.5B', 'first/model', 'second/model']
    >>> short_names(["tiny", "runs/first"])
    ['tiny', 'first']
    """
    parts = [PurePath(path).parts or (path,) for path in paths]
    for count in range(1, max(map(len, parts), default=0) + 1):
        short = [PurePath(*each[-count:]).as_posix() for each in parts]
        if len(set(short)) == len(set(parts)):
            return short
    return list(paths)
