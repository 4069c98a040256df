"""The one parser of replies, and the scorers that tasks share. Standard library only, so they can be exported.

Only what follows the last ``</think>`` is read, and it must hold exactly one closed ``<answer>``. What stands inside
is normalised (case, spaces, brackets) and compared whole: there is no substring matching anywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ssl4rl.example import Score

OPTION_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_TAG = re.compile(r"<\s*(/?)\s*answer\s*>", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"<\s*/\s*think\s*>", re.IGNORECASE)
_WRAPPERS = str.maketrans("", "", "()[]{}\"'`*.")


def extract(reply: str) -> str | None:
    """The text inside the reply's one closed ``<answer>``, stripped; None when there is none, several or a torn one.

    >>> extract("<think>maybe <answer>no</answer></think> <answer> Yes </answer>")
    'Yes'
    """
    said = _END_OF_THOUGHT.split(reply)[-1]
    tags = list(_TAG.finditer(said))
    if [tag.group(1) for tag in tags] != ["", "/"]:
        return None
    return said[tags[0].end() : tags[1].start()].strip()


def normalise(answer: str) -> str:
    """Lower case, no brackets, quotes or full stops, single spaces."""
    return " ".join(answer.translate(_WRAPPERS).lower().split())


def split_items(answer: str) -> list[str]:
    """The items of a list answer, normalised: commas, semicolons and the word "and" separate.

    >>> split_items("[3], 5 and 8")
    ['3', '5', '8']
    """
    return [normalise(item) for item in re.split(r"[,;]|\band\b", answer, flags=re.IGNORECASE)]


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
    pairs = [re.split(r"\s*(?:=|:|->)\s*", item) for item in split_items(answer)]
    if not all(len(pair) == 2 for pair in pairs):
        return Score.of(0.0, answer)
    wanted = {normalise(key): normalise(value) for key, value in gold.items()}
    matched = dict(pairs)
    if len(matched) < len(pairs) or not matched.keys() <= wanted.keys():
        return Score.of(0.0, answer)
    uses = Counter(matched.values())
    right = sum(uses[value] == 1 and wanted[key] == value for key, value in matched.items())
    return Score.of(right / len(wanted), answer)


def words(text: str) -> list[str]:
    """Lower-case word tokens, for F1."""
    return re.findall(r"\w+", text.lower())


def token_f1(answer: str, gold: str, max_words: int) -> float:
    """Bag-of-words F1 of the first ``max_words`` words of each (SQuAD's token F1, Rajpurkar et al. 2016, §6.1)."""
    said, true = Counter(words(answer)[:max_words]), Counter(words(gold)[:max_words])
    shared = sum((said & true).values())
    return 2 * shared / (said.total() + true.total()) if shared else 0.0


def score_text(reply: str, gold: str, baseline: float, max_words: int) -> Score:
    """Token F1 rescaled so that ``baseline`` (what the best constant earns) is 0 and a perfect answer 1."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    # Words past the cap are cut rather than punished: a longer answer can gain nothing by them.
    f1 = token_f1(answer, gold, max_words)
    return Score.of(max(0.0, (f1 - baseline) / (1 - baseline)), answer)
