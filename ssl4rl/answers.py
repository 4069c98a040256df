"""Strict reading of replies, and the scoring functions. One file of the standard library that loads alone.

How a reply is scored is data: the name of a function of this file and its arguments (a :class:`Scoring`), so that the
same call can be repeated by training, evaluation, re-scoring, or a program that has this file and nothing else.

Only what follows the last ``</think>`` is read, and it must hold exactly one closed ``<answer>``. What stands inside
is normalised (case, spaces, brackets) and compared whole: there is no substring matching anywhere.

Python 3.10 and later. There is no StrEnum and no dataclass in here: other trainers execute such a file without
registering it as a module, which both need.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

__all__ = ["FUNCTIONS", "Outcome", "Score", "Scoring", "score"]


class Outcome(str, Enum):  # noqa: UP042 (see above)
    """Why a reply got its value. ``UNPARSED`` (no answer could be read) is not the same as ``WRONG``."""

    CORRECT = "correct"
    PARTIAL = "partial"
    WRONG = "wrong"
    UNPARSED = "unparsed"

    def __str__(self) -> str:
        return self.value


class Score(NamedTuple):
    """The verdict on one reply: ``value`` lies in [0, 1]; ``answer`` is what was read, None when nothing could be."""

    value: float
    answer: str | None
    outcome: Outcome

    @classmethod
    def of(cls, value: float, answer: str) -> Score:
        """The score of an answer that was read: correct at 1, wrong at 0, partial between."""
        outcome = Outcome.CORRECT if value >= 1 else Outcome.PARTIAL if value > 0 else Outcome.WRONG
        return cls(value, answer, outcome)

    @classmethod
    def unparsed(cls) -> Score:
        """The score of a reply from which no answer could be read."""
        return cls(0.0, None, Outcome.UNPARSED)


class Scoring(NamedTuple):
    """How a reply is scored: the name of a function of this module, and its arguments after the reply, as JSON."""

    function: str
    arguments: Mapping[str, Any]


def score(reply: str, scoring: Scoring) -> Score:
    """Scores a reply.

    >>> score("<answer>Yes.</answer>", Scoring("score_any_of", {"accepted": ["yes"]})).value
    1.0

    Raises:
        ValueError: for a function that does not exist. No reply raises.
    """
    if scoring.function not in FUNCTIONS:
        raise ValueError(f"unknown scoring function {scoring.function!r}; there are: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[scoring.function](reply, **scoring.arguments)


# Reading. No pattern has two repetitions that could share what they match: time stays linear in the reply's length.

ANSWER_TAG = re.compile(r"<\s*(?:(/)\s*)?answer\s*>", re.IGNORECASE)
END_OF_THOUGHT = re.compile(r"<\s*/\s*think\s*>", re.IGNORECASE)
_WRAPPERS = str.maketrans("", "", "()[]{}\"'`*.")
_SEPARATOR = re.compile(r"[,;]|\band\b", re.IGNORECASE)
_PAIR = re.compile(r"=|:|->")


def extract(reply: str) -> str | None:
    """The text inside the reply's one closed ``<answer>``, stripped; None when there is none, several or a torn one.

    >>> extract("<think>maybe <answer>no</answer></think> <answer> Yes </answer>")
    'Yes'
    """
    visible = END_OF_THOUGHT.split(reply)[-1]
    tags = list(ANSWER_TAG.finditer(visible))
    if [tag.group(1) for tag in tags] != [None, "/"]:
        return None
    return visible[tags[0].end() : tags[1].start()].strip()


def normalise(answer: str) -> str:
    """Lower case, no brackets, quotes or full stops, single spaces."""
    return " ".join(answer.translate(_WRAPPERS).lower().split())


def split_items(answer: str) -> list[str]:
    """The items of a list answer, normalised: commas, semicolons and the word "and" separate.

    >>> split_items("[3], 5 and 8")
    ['3', '5', '8']
    """
    return [normalise(item) for item in _SEPARATOR.split(answer)]


def words(text: str) -> list[str]:
    """Lower-case word tokens, for F1."""
    return re.findall(r"\w+", text.lower())


def token_f1(answer: str, gold: str, max_words: int) -> float:
    """Bag-of-words F1 of the first ``max_words`` words of each (SQuAD's token F1, Rajpurkar et al. 2016, §6.1)."""
    given, true = Counter(words(answer)[:max_words]), Counter(words(gold)[:max_words])
    shared = sum((given & true).values())
    return 2 * shared / (sum(given.values()) + sum(true.values())) if shared else 0.0


# Scoring functions: the reply first, then arguments that are JSON.


def score_any_of(reply: str, accepted: Sequence[str]) -> Score:
    """1 if the whole answer equals one of ``accepted`` after normalisation, else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    return Score.of(float(normalise(answer) in {normalise(choice) for choice in accepted}), answer)


def score_subset(reply: str, hidden: Sequence[str], candidates: Sequence[str]) -> Score:
    """Jaccard similarity of the answered set with ``hidden``; an item not in ``candidates`` or named twice is wrong."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    items = split_items(answer)
    chosen, gold = set(items), {normalise(item) for item in hidden}
    if len(chosen) < len(items) or not chosen <= {normalise(item) for item in candidates}:
        return Score.of(0.0, answer)
    return Score.of(len(chosen & gold) / len(chosen | gold), answer)


def score_matching(reply: str, gold: Mapping[str, str]) -> Score:
    """Share of the keys of ``gold`` that the answer (``3=B, 5=A``) matches with the right value.

    A key named twice or unknown, or an item that is no pair, makes the answer wrong; a value used for two keys counts
    for neither, so that repeating one letter never pays.
    """
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    pairs = [[side.strip() for side in _PAIR.split(item)] for item in split_items(answer)]
    if not all(len(pair) == 2 for pair in pairs):
        return Score.of(0.0, answer)
    wanted = {normalise(key): normalise(value) for key, value in gold.items()}
    matched = {pair[0]: pair[1] for pair in pairs}
    if len(matched) < len(pairs) or not matched.keys() <= wanted.keys():
        return Score.of(0.0, answer)
    uses = Counter(matched.values())
    right = sum(uses[value] == 1 and wanted[key] == value for key, value in matched.items())
    return Score.of(right / len(wanted), answer)


def score_text(reply: str, gold: str, baseline: float, max_words: int) -> Score:
    """Token F1 rescaled so that ``baseline`` (what the best constant earns) is 0 and a perfect answer 1."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    # Words past the cap are cut rather than punished: a longer answer can gain nothing by them.
    f1 = token_f1(answer, gold, max_words)
    return Score.of(max(0.0, (f1 - baseline) / (1 - baseline)), answer)


_ANGLE = re.compile(r"\+?(\d{1,4})(?:\.0+)?\s*(?:[°º]|deg(?:ree)?s?)?\s*(?:(?:counter|anti)[- ]?clockwise)?")
_CELL = re.compile(
    r"(?:row\s*[:=]?\s*)?(\d{1,4})(?:\s*[,;]\s*(?:and\s)?\s*|\s+(?:and\s+)?)(?:col(?:umn)?\s*[:=]?\s*)?(\d{1,4})"
)
_BRACKETS = str.maketrans("", "", "()[]{}\"'`*")
_LONGEST_CELL = 100
"""Characters of an angle or a cell, brackets aside. Their patterns read spaces twice over; nobody writes so many."""


def _short(answer: str) -> str:
    """The answer without brackets and full stops at its ends; empty where it is too long to be an angle or a cell."""
    stripped = " ".join(answer.translate(_BRACKETS).lower().split()).strip(" .")
    return stripped if len(stripped) <= _LONGEST_CELL else ""


def score_angle(reply: str, degrees: int) -> Score:
    """1 if the answer is that number of degrees, with or without the unit ("90", "90.0°", "90 degrees"), else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    found = _ANGLE.fullmatch(_short(answer))
    return Score.of(float(found is not None and int(found[1]) == degrees), answer)


def score_cell(reply: str, cell: Sequence[int]) -> Score:
    """1 if the answer is that row and column, in this order ("2, 3", "row 2, column 3"), else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    found = _CELL.fullmatch(_short(answer))
    return Score.of(float(found is not None and [int(found[1]), int(found[2])] == list(cell)), answer)


def score_permutation(reply: str, gold: Sequence[int], reward: str = "exact") -> Score:
    """Compares a list of numbers ("3, 1, 2, 4") with the permutation ``gold``, place by place.

    ``reward`` is ``exact`` (1 or 0), ``partial`` (the share of places that are right; an answer that is no permutation
    is wrong) or ``slots`` (that share without the check, and what stands after the last place is not read: a list of
    equal numbers earns one place in any case).
    """
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    items = split_items(answer)
    if len(items) == 1:
        items = items[0].split()
    right = sum(item == str(number) for item, number in zip(items, gold))  # noqa: B905 (either may be longer)
    if reward != "slots" and sorted(items) != sorted(map(str, gold)):
        right = 0
    return Score.of(float(right == len(gold)) if reward == "exact" else right / len(gold), answer)


FUNCTIONS: dict[str, Callable[..., Score]] = {
    function.__name__: function
    for function in (
        score_any_of,
        score_subset,
        score_matching,
        score_text,
        score_angle,
        score_cell,
        score_permutation,
    )
}
"""Every scoring function, by the name that a :class:`Scoring` gives it."""
