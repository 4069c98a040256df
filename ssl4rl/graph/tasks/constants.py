"""What a reply earns that writes the same description to every question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssl4rl.answers import token_f1, words

SEARCHED = 120
"""The most frequent words, from which constants are made; a word's second time in a text is one of its own."""
STARTS = 12
"""Words that a constant is begun with in turn: the first that pays most need not lead to the best constant."""
PATIENCE = 6
"""Words up to which a constant grows even while that does not pay."""


class Constant(NamedTuple):
    """What the best constant description earns."""

    f1: float
    """Mean token F1."""
    score: float
    """Mean score, that is of F1 rescaled by ``f1``: above 0, because below ``f1`` nothing is lost."""


def best_constant(texts: Sequence[str], max_words: int) -> Constant:
    """Measured on ``texts``: the most frequent words, some of the texts, and words that are added while they pay."""
    counts = [Counter(words(text)[:max_words]) for text in texts]
    frequency = Counter((word, time) for each in counts for word, n in each.items() for time in range(1, n + 1))
    found = [each for each, _ in frequency.most_common(max(max_words, SEARCHED))]
    if not found:
        return Constant(0.0, 0.0)
    common = [word for word, _ in found]
    lengths = [length for length in (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64) if length < min(len(common), max_words)]
    constants = [" ".join(common[:length]) for length in (*lengths, max_words)] + list(texts[:30])
    f1 = np.array([[token_f1(constant, text, max_words) for text in texts] for constant in constants])
    best = max(float(f1.mean(axis=1).max()), _search(counts, found[:SEARCHED], max_words, 0.0))
    if best >= 1:
        return Constant(best, 0.0)
    rescaled = np.maximum(0.0, (f1 - best) / (1 - best))
    # Of texts that differ, a constant that is good for some earns more by the rescaled score than the best by F1.
    return Constant(best, max(float(rescaled.mean(axis=1).max()), _search(counts, found[:SEARCHED], max_words, best)))


def _search(
    counts: Sequence[Counter[str]], common: Sequence[tuple[str, int]], max_words: int, baseline: float
) -> float:
    """The mean of F1, rescaled by ``baseline``, of the constant that grows by the word that pays most.

    A word pays once for each time that it is in a text: ``common`` has the first, second, third time apart. The first
    is in at least the texts that the second is in, and so comes first.
    """
    has = np.array([[each[word] >= time for word, time in common] for each in counts], dtype=np.float64)
    length = np.array([each.total() for each in counts], dtype=np.float64)
    best = 0.0
    for start in (None, *range(min(len(common), STARTS))):
        shared = np.zeros(len(counts)) if start is None else has[:, start].copy()
        taken = np.arange(len(common)) == (-1 if start is None else start)
        for size in range(int(taken.sum()) + 1, max_words + 1):
            f1 = 2 * (shared[:, None] + has) / (size + length)[:, None]
            means = np.where(taken, -1.0, np.maximum(0.0, (f1 - baseline) / (1 - baseline)).mean(axis=0))
            word = int(means.argmax())
            if means[word] < best and size > PATIENCE:
                break
            best = max(best, float(means[word]))
            shared, taken[word] = shared + has[:, word], True
            if taken.all():
                break
    return best
