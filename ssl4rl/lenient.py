"""Lenient reading of a choice among options, for the evaluation of models that were not trained on the reply's form.

No reward is ever computed with it; what the strict reading of :mod:`ssl4rl.answers` finds correct is correct here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ssl4rl.answers import ANSWER_TAG, END_OF_THOUGHT, Score, normalise

# "The answer is (B)." and "**Answer:** B", to the end of the sentence or line; "the answer is not B" is no answer.
_PHRASE = re.compile(
    r"\banswer\b[*_]*\s*(?::|=|\bis\b|\b(?:should|would|must)\s+be\b)(?!\s+not\b)[\s*_:]*(.+?)(?=[.!?](?:\s|$)|\n|$)",
    re.IGNORECASE,
)
# A token by itself, which no letter, digit, apostrophe or hyphen touches, and which "not" does not deny.
_TOKEN = re.compile(r"(?<![\w'’-])(?<!\bnot )(?<!\bnot \()[^\W_]+(?![\w'’-])")
_MARKED_AFTER = re.compile(r"\s*[)\]}*:\"`]|[.!](?:\s|$)|[ \t]*(?:\n|$)")
_SENTENCE_START = re.compile(r"(?:\n|[.!?:]\s)[\s*_\"'`]*$")
_LOWER_NEXT = re.compile(r"\s+[a-z]")


def find_choice(reply: str, choices: Mapping[str, str]) -> str | None:
    """The label of the option that a reply means, read leniently; None where it names none, or more than one.

    ``choices`` maps each label ("B", "12", "yes") to the option's name. The first of these that applies decides:

    1. the last ``<answer>`` after the last ``</think>``, closed or not;
    2. the last phrase like "answer is …" or "Answer: …" that names an option;
    3. the whole reply, if it is a label or a name;
    4. the reply's text.

    In 1 and 2 every label that stands alone is read, in 4 only a marked one: "(B)", "B)", "B.", "B:", ``**B**``, alone
    at the end of a line, or followed by a comma where a sentence begins. Letters must be capitals there, and an "A" or
    "I" before a lower-case word is a word of the sentence. Numbers are not read in 4, where they are nodes or counts.
    Names are read everywhere, as runs of whole words in any case, the longest at each place. What follows the word
    "not" is passed over.

    >>> find_choice("It cites learning theory, so the answer is (B).", {"A": "Neural Networks", "B": "Theory"})
    'B'
    >>> find_choice("A paper on B-trees or theory of networks.", {"A": "Neural Networks", "B": "Case Based"})
    """
    return _single(_find_options(reply, choices))


def _find_options(reply: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of all options that a reply names where :func:`find_choice` looks for one."""
    visible = END_OF_THOUGHT.split(reply)[-1]
    tags = list(ANSWER_TAG.finditer(visible))
    opened = [i for i, tag in enumerate(tags) if not tag.group(1)]
    if opened:
        end = tags[opened[-1] + 1].start() if opened[-1] + 1 < len(tags) else len(visible)
        return _read_answer(visible[tags[opened[-1]].end() : end], choices)
    visible = ANSWER_TAG.sub(" ", visible)
    for phrase in reversed(list(_PHRASE.finditer(visible))):
        if options := _read_answer(phrase.group(1), choices):
            return options
    return _match_whole(visible, choices) or _find_marked(visible, choices) | _find_names(visible, choices)


def _single(labels: set[str]) -> str | None:
    return next(iter(labels)) if len(labels) == 1 else None


def _read_answer(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of all options that a text which is meant as an answer names."""
    return _match_whole(text, choices) or {label for label, _ in _find_labels(text, choices)} | _find_names(
        text, choices
    )


def _match_whole(text: str, choices: Mapping[str, str]) -> set[str]:
    """The label that a text is, or else the labels of the options whose name it is."""
    whole = normalise(text)
    labels = {label for label in choices if normalise(label) == whole}
    return labels or {label for label, name in choices.items() if whole and normalise(name) == whole}


def _find_labels(text: str, choices: Mapping[str, str]) -> Iterator[tuple[str, re.Match[str]]]:
    """The labels that stand alone in a text, with their places."""
    # Letters by their capital (a lower-case "a" is an article), words like "yes" in any case.
    exact = {label: label for label in choices if len(label) == 1}
    words = {label.lower(): label for label in choices if len(label) > 1}
    for token in _TOKEN.finditer(text):
        label = exact.get(token.group()) or words.get(token.group().lower())
        is_word = label in ("A", "I") and _LOWER_NEXT.match(text, token.end())
        if label is not None and not is_word:
            yield label, token


def _find_marked(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of a running text that are set off as answers."""
    found = set()
    for label, token in _find_labels(text, choices):
        before = text[max(0, token.start() - 20) : token.start()]
        starts = text.startswith(",", token.end()) and (_SENTENCE_START.search(before) or not token.start())
        if not label.isdigit() and (_MARKED_AFTER.match(text, token.end()) or starts):
            found.add(label)
    return found


def _find_names(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of the options whose names occur in a text; of names that overlap, the first and longest counts."""
    names: dict[tuple[str, ...], set[str]] = {}
    for label, name in choices.items():
        if (run := _name_words(name)) and run != _name_words(label):
            names.setdefault(run, set()).add(label)
    lengths: dict[str, set[int]] = {}
    for run in names:
        lengths.setdefault(run[0], set()).add(len(run))
    visible, found, i = _name_words(text), set[str](), 0
    while i < len(visible):
        runs = (visible[i : i + length] for length in sorted(lengths.get(visible[i], ()), reverse=True))
        named = next((run for run in runs if run in names), ())
        if visible[i - 1 : i] != ("not",):
            found |= names.get(named, set())
        i += len(named) or 1
    return found


def _name_words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.lower()))


def lenient_score(reply: str, accepted: Sequence[str], choices: Mapping[str, str]) -> Score:
    """1 if the option that :func:`find_choice` reads, or all that a reply names, are among ``accepted``, else 0.

    What the strict :func:`score_any_of` finds correct is correct here too; what it finds wrong because it names no
    option is unparsed here.
    """
    labels = _find_options(reply, choices)
    if labels and labels <= set(accepted):  # two names of one class are no contradiction
        return Score.of(1.0, next(label for label in accepted if label in labels))
    label = _single(labels)
    return Score.unparsed() if label is None else Score.of(0.0, label)
