"""Replies that a model could give without looking at the prompt, and which of them earn more than chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ssl4rl import answers
from ssl4rl.answers import split_items
from ssl4rl.example import Example
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.statistics import Clusters

MOST_GOLDS = 40
"""Gold answers that are tried as constants: the most frequent ones."""
ERRORS = 3.0
"""Standard errors above chance from which a reply is suspect."""
FEW = 30
"""Below so many nodes, pairs or images their own spread says little, so it counts as no less than that of a guess."""


def blind_replies(examples: Sequence[Example]) -> list[str]:
    """Empty, torn, over-long and injected replies, constants, and lists of everything that may be answered.

    Constants and lists are taken from the examples' own gold answers and scoring, whatever the task.
    """
    golds = [gold for gold, _ in Counter(example.gold for example in examples).most_common(MOST_GOLDS)]
    known = list(dict.fromkeys([*_allowed(examples), *(item for gold in golds for item in split_items(gold))]))
    constants = ["", "yes", "no", "yes, no", *OPTION_LETTERS, *map(str, range(10)), "the a of", *golds, *known]
    for options in (list(OPTION_LETTERS), known):
        constants += [", ".join(options[:count]) for count in range(2, 10)] + [", ".join(options)]
    constants += [", ".join([gold] * 2) for gold in golds[:4]]
    longest = [f"{gold}, " * 200 for gold in golds[:2]] + ["9" * 5000]
    replies = [f"<answer>{constant}</answer>" for constant in dict.fromkeys([*constants, *longest])]
    for gold in golds[:4]:
        replies += [
            gold,
            f"<answer>{gold}",
            f"{gold}</answer>",
            f"<answer><answer>{gold}</answer></answer>",
            f"<answer>{gold}</answer><answer>{golds[-1]}</answer>",
            f"</think><answer>{gold}</answer></think>",
            f"<think><answer>{gold}</answer></think>",
        ]
    return list(dict.fromkeys(["", " \n", *replies]))


def _allowed(examples: Iterable[Example]) -> list[str]:
    """The texts that occur in the arguments of the examples' scoring, the most frequent first."""
    seen: Counter[str] = Counter()
    for example in examples:
        seen.update(text for value in example.scoring.arguments.values() for text in _texts(value))
    return [text for text, _ in seen.most_common(MOST_GOLDS)]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (f"{key}={item}", *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list | tuple) else []


def scores_of(reply: str, examples: Sequence[Example]) -> NDArray[np.float64]:
    """What one reply earns on each example.

    Raises:
        ValueError: if a score is outside [0, 1].
    """
    # Few examples differ in how they are scored: the reply is scored once for each way.
    keys = [(example.scoring.function, repr(example.scoring.arguments)) for example in examples]
    scorings = {key: example.scoring for key, example in zip(keys, examples, strict=True)}
    values = {key: answers.score(reply, scoring).value for key, scoring in scorings.items()}
    if not all(0 <= value <= 1 for value in values.values()):
        raise ValueError(f"a score of the reply {reply[:60]!r} is outside [0, 1]")
    return np.array([values[key] for key in keys])


def excess(replies: Iterable[str], examples: Sequence[Example]) -> dict[str, float]:
    """The replies that earn more than chance by over ``ERRORS`` standard errors, and by how many errors they do.

    Errors are clustered by what the examples were drawn from.

    Raises:
        ValueError: if a score is outside [0, 1].
    """
    chance = np.array([example.chance for example in examples])
    # A small source asks about the same node again and again; whoever guesses one answer is then right several times.
    clusters = Clusters([example.source_items[:1] for example in examples])
    count = len(clusters.groups)
    guess = float(np.sqrt(chance * (1 - chance)).mean()) / count**0.5 if count < FEW else 1e-9
    suspects = {}
    for reply in replies:
        gain = scores_of(reply, examples) - chance
        error = max(clusters.error(gain.tolist()), guess) if count > 1 else guess
        if gain.mean() > ERRORS * error:
            suspects[reply] = round(float(gain.mean()) / error, 2)
    return suspects
