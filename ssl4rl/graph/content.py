"""Content words of a graph's texts: those that the texts of linked nodes share more often than any two texts do.

They need no list of stop words, and so work in any language that has spaces between words.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from math import log2

from ssl4rl.answers import marks
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.view import edge_view
from ssl4rl.rng import seeded_rng

STEM = 4
"""Words that begin with the same so many letters count as forms of one word: "fern" and "ferns"."""
MOST_TEXTS, MOST_EDGES = 20_000, 50_000
"""Texts of train, and edges, in which words are counted."""
FEWEST, MOST_SHARE = 3, 0.1
"""Content words are in so many of these texts at least, and in so large a share of them at most."""
LIFT = 2.0
"""And the ends of an edge have them both so many times as often as any two texts."""


@lru_cache
def letter() -> str:
    """A letter or a mark that belongs to one, as a regular expression."""
    return rf"(?:[^\W\d_]|[{marks()}])"


@lru_cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[^\W\d_]{letter()}{{{STEM - 1},}}")


class ContentWords:
    """The content words of the beginnings of a graph's texts, ``num_words`` words of each."""

    def __init__(self, graph: TextAttributedGraph, num_words: int) -> None:
        self._texts, self._num_words = graph.texts, num_words
        # A draft looks at many nodes, and drafts come back to the same ones.
        for name in ("passage", "words", "of", "_stems"):
            setattr(self, name, lru_cache(MOST_TEXTS)(getattr(self, name)))
        rng = seeded_rng("words", graph.fingerprint)
        sample = rng.permutation(text_split(graph)["train"])[:MOST_TEXTS].tolist()
        edges = rng.permutation(edge_view(graph).asked["train"])[:MOST_EDGES]
        ends = graph.edge_index[:, edges].T.tolist()
        used = {node: self.words(node) for node in {*sample, *(node for pair in ends for node in pair)}}
        having = Counter(word for node in sample for word in used[node])
        shared = Counter(word for one, other in ends for word in used[one] & used[other])
        most, by_chance = MOST_SHARE * len(sample), len(ends) * LIFT / max(len(sample), 1) ** 2
        self.frequency = {
            word: number
            for word, number in having.items()
            if FEWEST <= number <= most and shared[word] > max(1, by_chance * number**2)
        }
        """Of each content word, how many of the texts of train have it."""

    def passage(self, node: int) -> str:
        """The beginning of a node's text."""
        words = self._texts[node].split(None, self._num_words)
        return " ".join(words[: self._num_words]) + (" …" if len(words) > self._num_words else "")

    def words(self, node: int) -> frozenset[str]:
        """Every word of a passage that is long enough, in lower case."""
        return frozenset(word.lower() for word in _word().findall(self.passage(node)))

    def of(self, node: int) -> tuple[str, ...]:
        """The content words of a passage of which it has no other form, nor the word again."""
        used = [word.lower() for word in _word().findall(self.passage(node))]
        forms = Counter(word[:STEM] for word in used)
        return tuple(word for word in used if forms[word[:STEM]] == 1 and word in self.frequency)

    def has_form(self, node: int, word: str) -> bool:
        """Whether a passage has a word in any form."""
        return word[:STEM] in self._stems(node)

    def _stems(self, node: int) -> frozenset[str]:
        return frozenset(used[:STEM] for used in self.words(node))

    def rank(self, word: str) -> int:
        """About how frequent a word is: equal for words within a factor of the square root of two."""
        return int(2 * log2(self.frequency[word]))
