"""The sentences and labels that all prompts share: the form of the reply, and labelled options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import count, islice, pairwise, product

from ssl4rl.answers import normalise

OPTION_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

REPLY_FORMAT = "Reply in exactly this form: <think>your reasoning in one sentence</think><answer>{answer}</answer>"
DIRECT_FORMAT = "Answer with {answer} and nothing else."

OF_OTHERS = re.compile(
    r"\b(?i:above|below)\b|\b[A-Z]\)? ?(?:[,/&]|and|or|nor) ?\(?[A-Z]\b|"
    r"\b(?i:both|either|neither) \(?[a-z]\)? ?(?:[,/&]|and|or|nor) ?\(?[a-z]\b|"
    r"\([a-z]\) ?(?:[,/&]|and|or|nor) ?\([a-z]\)"
)
"""Words in which an option speaks of others: "all of the above", "both A and b", "neither (a) nor (b)", "A/B"."""


def reply_form(answer: str, reasoning: bool = True) -> str:
    """The last sentence of a prompt, ``answer`` being what to give: "one letter from A to D".

    >>> reply_form("yes or no", reasoning=False)
    'Answer with yes or no and nothing else.'
    """
    return (REPLY_FORMAT if reasoning else DIRECT_FORMAT).format(answer=answer)


def option_labels(number: int) -> list[str]:
    """Labels of that many options: letters as far as the alphabet goes, else numbers from 1."""
    return list(OPTION_LETTERS[:number]) if number <= len(OPTION_LETTERS) else [str(i + 1) for i in range(number)]


def labels_for(texts: Sequence[str]) -> list[str]:
    """Labels that none of the options can be taken for: letters, else numbers from 1, else several letters each.

    >>> labels_for(["red", "blue"]), labels_for(["B", "C"]), labels_for(["blue", "B", "2"])
    (['A', 'B'], ['1', '2'], ['AA', 'AB', 'AC'])
    """
    taken = {normalise(text) for text in texts}
    for labels in (option_labels(len(texts)), [str(i + 1) for i in range(len(texts))]):
        if taken.isdisjoint(map(normalise, labels)):
            return labels
    for width in count(2):
        labels = list(islice(map("".join, product(OPTION_LETTERS, repeat=width)), len(texts)))
        if len(labels) == len(texts) and taken.isdisjoint(map(normalise, labels)):
            return labels
    raise AssertionError("count never ends")


def label_noun(labels: Sequence[str], count: int = 1) -> str:
    """What a reply that picks ``count`` of these labels is.

    Small models copy "one letter" as it stands, which they do not where the range is named.

    >>> label_noun("ABCD"), label_noun("ABCDEF", 3), label_noun(["1", "2"]), label_noun(["AA", "AB"])
    ('one letter from A to D', '3 letters from A to F', 'one number from 1 to 2', 'one option from AA to AB')
    """
    noun = "number" if labels[0].isdigit() else "letter" if len(labels[0]) == 1 else "option"
    return f"{'one' if count == 1 else count} {noun}{'' if count == 1 else 's'} from {labels[0]} to {labels[-1]}"


def write_options(texts: Sequence[str], labels: Sequence[str] | None = None) -> str:
    """Labelled lines: "A: first", "B: second"."""
    labels = option_labels(len(texts)) if labels is None else labels
    return "\n".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))


def listed_texts(texts: Iterable[str]) -> str:
    """Texts in one line, with bars between them and none in them.

    >>> listed_texts(["Python | Wiki", "Snake"])
    'Python / Wiki | Snake'
    """
    return " | ".join(text.replace("|", "/") for text in texts)


def read_alike(texts: Sequence[str]) -> bool:
    """Whether two options cannot be told apart: equal but for case and punctuation, or one the beginning of the other.

    An option of which nothing is left but punctuation is like any other.

    >>> read_alike(["a red ball", "A red ball …"]), read_alike(["a red ball", "a red balloon"])
    (True, False)
    """
    # In this order whatever begins with an option comes right after it.
    options = sorted(normalise(text.removesuffix("…")).split() for text in texts)
    return any(not first or first == second[: len(first)] for first, second in pairwise(options))


def same_names(names: Sequence[str]) -> str | None:
    """What is wrong with a closed set of names: two that differ in nothing but case and punctuation, or an empty one.

    >>> same_names(["Theory", "theory."])
    "'Theory' and 'theory.' read the same"
    """
    seen: dict[str, str] = {}
    for name in names:
        plain = normalise(name)
        if not plain:
            return f"{name!r} has no letter or digit"
        if plain in seen:
            return f"{seen[plain]!r} and {name!r} read the same"
        seen[plain] = name
    return None
