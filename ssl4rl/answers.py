"""Strict reading of replies, and the scoring functions. One file of the standard library that loads alone.

How a reply is scored is data: the name of a function of this file and its arguments (a :class:`Scoring`), so that the
same call can be repeated by training, evaluation, re-scoring, or a program that has this file and nothing else.

Only what follows the last ``</think>`` is read, and it must hold exactly one closed ``<answer>``. Where a prompt asks
for the answer and nothing else, ``bare`` says so: the whole reply is then the answer, with or without tags. The answer
is normalised (case, spaces, brackets, punctuation after a word) and compared whole: there is no substring matching.

Python 3.10 and later. There is no StrEnum and no dataclass in here: other trainers execute such a file without
registering it as a module, which both need.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["FUNCTIONS", "Outcome", "Score", "Scoring", "score"]


class Outcome(str, Enum):  # noqa: UP042 (see above)
    """Why a reply got its value.

    ``UNPARSED``: no answer could be read. ``INVALID``: one was read, but it is none of those that were to choose from
    ("1, 1" for A–D). Neither is the same as ``WRONG``.
    """

    CORRECT = "correct"
    PARTIAL = "partial"
    WRONG = "wrong"
    INVALID = "invalid"
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
    def invalid(cls, answer: str) -> Score:
        """The score of an answer that is none of those to choose from."""
        return cls(0.0, answer, Outcome.INVALID)

    @classmethod
    def unparsed(cls) -> Score:
        """The score of a reply from which no answer could be read."""
        return cls(0.0, None, Outcome.UNPARSED)

    @property
    def parsed(self) -> bool:
        """Whether an answer could be read."""
        return self.outcome != Outcome.UNPARSED

    @property
    def valid(self) -> bool:
        """Whether an answer could be read, and is one of those to choose from."""
        return self.outcome not in (Outcome.UNPARSED, Outcome.INVALID)


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
THOUGHT = re.compile(r"<\s*think\s*>", re.IGNORECASE)
END_OF_THOUGHT = re.compile(r"<\s*/\s*think\s*>", re.IGNORECASE)
WIDTHS = str.maketrans(
    "".join(chr(0xFF01 + i) for i in range(94)) + "\u3000、。【】「」『』《》",
    "".join(chr(0x21 + i) for i in range(94)) + " ,.[][][][]",
)
"""Full-width letters, digits and punctuation to the plain ones."""
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_WRAPPERS = str.maketrans("", "", "()[]{}\"'`*$“”„‘’‚«»‹›" + _UNSEEN)
_TOUCHING = re.compile(r"(?<=[)\]}])(?=[(\[{])")
_LATEX = re.compile(r"\\(?:(?:f?box|boxed|text(?:bf|it)?|math(?:bf|it|rm))\b|[()\[\]{}])|~~")
_SEPARATOR = re.compile(r"[,;\n]|\band\b", re.IGNORECASE)
_DASH = re.compile(r"(?<=[^\W\d_])[-‐‑–](?=[^\W\d_])|(?<!\S)[-–—•](?!\S)")
_END_MARKS = ".,;:!?…،؛؟"
_PAIR = re.compile(r"=|:|->|→")


def extract(reply: str, bare: bool = False) -> str | None:
    """The answer, stripped: what stands inside the one closed ``<answer>`` of a reply.

    None when there is no such tag, several or a torn one; with ``bare`` a reply without any is an answer as a whole,
    unless it is empty or a thought that never ends.

    >>> extract("<think>maybe <answer>no</answer></think> <answer> Yes </answer>")
    'Yes'
    >>> extract(" B. ", bare=True)
    'B.'
    """
    visible = END_OF_THOUGHT.split(reply)[-1]
    tags = list(ANSWER_TAG.finditer(visible))
    if bare and not tags:
        return None if THOUGHT.search(visible) else visible.strip() or None
    if [tag.group(1) for tag in tags] != [None, "/"]:
        return None
    return visible[tags[0].end() : tags[1].start()].strip()


@lru_cache(maxsize=4096)
def normalise(answer: str) -> str:
    """Lower case, single spaces; no brackets, quotes or LaTeX, no full stop or the like after a word, no hyphen within
    one.

    >>> normalise(" (Top-Left)! ")
    'top left'
    >>> normalise("1.5, -2.")
    '1.5 -2'
    """
    plain = _DASH.sub(" ", _bare(unicodedata.normalize("NFC", answer)))
    return " ".join(filter(None, (word.rstrip(_END_MARKS).lstrip(":").strip("_") for word in plain.split())))


def _bare(answer: str) -> str:
    """Plain widths and lower case; no LaTeX, brackets, quotes or characters that are not seen."""
    return _LATEX.sub("", _TOUCHING.sub(" ", answer.translate(WIDTHS))).translate(_WRAPPERS).lower()


def _parts(answer: str) -> list[str]:
    """The items of a list answer as they were written: commas, semicolons, line breaks and "and" separate."""
    return [item for item in map(str.strip, _SEPARATOR.split(answer.translate(WIDTHS))) if item]


def split_items(answer: str) -> list[str]:
    """The items of a list answer, normalised.

    >>> split_items("[3], 5, and 8")
    ['3', '5', '8']
    """
    return list(filter(None, map(normalise, _parts(answer))))


def _listed(answer: str, allowed: Collection[str]) -> list[str]:
    """The items of a list answer; letters that are allowed need nothing between them: "A C", "A/C", "AC"."""
    items = split_items(answer)
    letters = re.findall(r"\w", items[0]) if len(items) == 1 and items[0] not in allowed else []
    return letters if letters and set(letters) <= set(allowed) else items


UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u312f\u31f0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Characters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han."""


@lru_cache
def marks() -> str:
    """All combining marks (vowel signs, accents), as a class of characters without its brackets.

    To Python's ``\\w`` they are no part of a word, which would tear those of Hindi or Tamil.
    """
    kinds = "".join(unicodedata.category(chr(code))[0] for code in range(0x1F000))
    return "".join(f"{chr(run.start())}-{chr(run.end() - 1)}" for run in re.finditer("M+", kinds))


@lru_cache
def word_pattern(ascii_only: bool) -> re.Pattern[str]:
    """What a word is; in scripts without spaces between words, each character is one."""
    both = rf"(?=\w)[{UNSPACED}][{marks()}]*|(?:(?![{UNSPACED}])[\w{marks()}])+" if not ascii_only else r"\w+"
    return re.compile(both)


def words(text: str) -> list[str]:
    """Lower-case word tokens, for F1."""
    return word_pattern(text.isascii()).findall(unicodedata.normalize("NFC", text).lower())


def token_f1(answer: str, gold: str, max_words: int) -> float:
    """Bag-of-words F1 of the first ``max_words`` words of each (SQuAD's token F1, Rajpurkar et al. 2016, §6.1)."""
    given, true = Counter(words(answer)[:max_words]), Counter(words(gold)[:max_words])
    shared = sum((given & true).values())
    return 2 * shared / (sum(given.values()) + sum(true.values())) if shared else 0.0


# Scoring functions: the reply first, then arguments that are JSON. Where the argument that lists what may be answered
# is left out, no answer is invalid.


def score_any_of(
    reply: str, accepted: Sequence[str], choices: Sequence[str] | None = None, bare: bool = False
) -> Score:
    """1 if the whole answer equals one of ``accepted`` after normalisation, else 0; it has to be one of ``choices``."""
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    plain = normalise(answer)
    if plain in {normalise(choice) for choice in accepted}:
        return Score.of(1.0, answer)
    if choices is not None and plain not in {normalise(choice) for choice in choices}:
        return Score.invalid(answer)
    return Score.of(0.0, answer)


def score_subset(reply: str, hidden: Sequence[str], candidates: Sequence[str], bare: bool = False) -> Score:
    """Jaccard similarity of the answered set with ``hidden``; with an item twice, or no candidate, it is invalid."""
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    items = _listed(answer, offered := {normalise(item) for item in candidates})
    chosen, gold = set(items), {normalise(item) for item in hidden}
    if not items or len(chosen) < len(items) or not chosen <= offered:
        return Score.invalid(answer)
    return Score.of(len(chosen & gold) / len(chosen | gold), answer)


def score_matching(
    reply: str, gold: Mapping[str, str], values: Sequence[str] | None = None, bare: bool = False
) -> Score:
    """Share of the keys of ``gold`` that the answer matches with the right value.

    The answer gives the values in the order of the keys (``B, A``), or with these (``3=B, 5=A``). Another length, a key
    that is unknown or named twice and a value that is none of ``values`` are invalid; a value used twice never counts.
    """
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    pairs = [[normalise(side) for side in _PAIR.split(item)] for item in _parts(answer)]
    wanted = {normalise(key): normalise(value) for key, value in gold.items()}
    if len(pairs) == 1 and len(pairs[0]) == 1 and values is not None:
        pairs = [[value] for value in _listed(answer, {normalise(value) for value in values})]
    if len(pairs) == len(wanted) and all(len(pair) == 1 for pair in pairs):
        pairs = [[key, *value] for key, value in zip(wanted, pairs, strict=True)]
    if not pairs or not all(len(pair) == 2 for pair in pairs):
        return Score.invalid(answer)
    matched = {pair[0]: pair[1] for pair in pairs}
    allowed = set(matched.values()) if values is None else {normalise(value) for value in values}
    if len(matched) < len(pairs) or not matched.keys() <= wanted.keys() or not allowed.issuperset(matched.values()):
        return Score.invalid(answer)
    uses = Counter(matched.values())
    right = sum(uses[value] == 1 and wanted[key] == value for key, value in matched.items())
    return Score.of(right / len(wanted), answer)


def score_text(reply: str, gold: str, baseline: float, max_words: int, bare: bool = False) -> Score:
    """Token F1 rescaled so that ``baseline`` (what the best constant earns) is 0 and a perfect answer 1."""
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    # Words past the cap are cut rather than punished: a longer answer can gain nothing by them.
    f1 = token_f1(answer, gold, max_words)
    return Score.of(max(0.0, (f1 - baseline) / (1 - baseline)), answer)


_ANGLE = re.compile(
    r"\+?(\d{1,4})(?:\.0+)?\s*(?:[°º˚]|\^?\\circ|\\degree|deg(?:ree)?s?)?\s*(?:(?:counter|anti)[- ]?clockwise|ccw)?"
)
_CELL = re.compile(
    r"(?:row\s*[:=]?\s*)?(\d{1,4})(?:\s*[,;]\s*(?:and\s)?\s*|\s+(?:and\s+)?)(?:col(?:umn|\.)?\s*[:=]?\s*)?(\d{1,4})"
)
_LONGEST_CELL = 100
"""Characters of an angle or a cell, brackets aside. Their patterns read spaces twice over; nobody writes so many."""


def _short(answer: str) -> str:
    """The answer without brackets and end marks at its ends; empty where it is too long to be an angle or a cell."""
    stripped = " ".join(_bare(answer).split()).strip(f" {_END_MARKS}")
    return stripped if len(stripped) <= _LONGEST_CELL else ""


def score_angle(reply: str, degrees: int, step: int | None = None, bare: bool = False) -> Score:
    """1 if the answer is that number of degrees, with or without the unit ("90", "90.0°", "90 degrees"), else 0.

    It has to be a multiple of ``step`` below 360.
    """
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    found = _ANGLE.fullmatch(_short(answer))
    angle = None if found is None else int(found[1])
    if step is not None and (angle is None or angle % step or angle >= 360):
        return Score.invalid(answer)
    return Score.of(float(angle == degrees), answer)


def score_cell(reply: str, cell: Sequence[int], n: int | None = None, bare: bool = False) -> Score:
    """1 if the answer is that row and column, in this order ("2, 3", "row 2, column 3"), else 0.

    It has to be a cell of a grid of ``n`` rows and columns, which are counted from 1.
    """
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    found = _CELL.fullmatch(_short(answer))
    place = [] if found is None else [int(found[1]), int(found[2])]
    if n is not None and not (place and all(1 <= number <= n for number in place)):
        return Score.invalid(answer)
    return Score.of(float(place == list(cell)), answer)


def score_permutation(reply: str, gold: Sequence[int], reward: str = "exact", bare: bool = False) -> Score:
    """Compares a list of numbers ("3, 1, 2, 4") with the permutation ``gold``, place by place.

    ``reward`` is ``exact`` (1 or 0), ``partial`` (the share of places that are right; either way no permutation is
    invalid) or ``slots`` (that share of any list, cut after the last place: equal numbers earn one place in any case).
    """
    answer = extract(reply, bare)
    if answer is None:
        return Score.unparsed()
    items = [each for item in split_items(answer) for each in item.split()]
    items = [str(int(each)) if each.isdecimal() and len(each) < 5 else each for each in items]
    if reward != "slots" and sorted(items) != sorted(map(str, gold)):
        return Score.invalid(answer)
    right = sum(item == str(number) for item, number in zip(items, gold))  # noqa: B905 (either may be longer)
    return Score.of(float(right == len(gold)) if reward == "exact" else right / len(gold), answer)


FUNCTIONS: dict[str, Callable[..., Score]] = {
    function.__name__: function
    for function in (score_any_of, score_subset, score_matching, score_text, score_angle, score_cell, score_permutation)
}
"""Every scoring function, by the name that a :class:`Scoring` gives it."""
