"""How much of a text is shown: lengths that depend on no model's tokenizer, cuts between words, and fair shares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from unicodedata import east_asian_width

from ssl4rl.graph.graph import TextAttributedGraph

_PIECE = re.compile(r"[A-Za-z0-9_]{1,8}|[^\sA-Za-z0-9_]")

FEWEST_WORDS, ENOUGH_WORDS = 12, 20
"""Words that are shown of every text, or all of it: less is nothing to reason from. And how many a node beyond the
needed ones has to leave to each."""
PIECES_PER_WORD = 8
"""Pieces that a word may take of these at most: some "words" are very long."""
MOST_HEADS, MOST_CHARACTERS = 20_000, 1 << 22
"""Beginnings of texts that are kept, and characters of them."""


def count_pieces(text: str) -> int:
    """The built-in length of a text: runs of up to 8 ASCII letters or digits, and every other visible character.

    About the number of tokens of a common tokenizer on English, and an upper bound in scripts without spaces.
    """
    return len(_PIECE.findall(text))


def cut(text: str, pieces: int) -> str:
    """``text`` with at most ``pieces`` pieces, cut between two words and marked by "…"; white space is collapsed.

    >>> cut("graph-based neural networks", 3)
    'graph-based …'
    """
    text = " ".join(text.split())
    found = list(_PIECE.finditer(text))
    if len(found) <= pieces:
        return text
    within = found[pieces - 1].end() if pieces > 0 else 0
    end = within
    while end > 0 and not _is_between_words(text, end):
        end -= 1
    if end == 0 and pieces >= FEWEST_WORDS:
        end = within  # one endless word: half of it says more than nothing
    return (text[:end].rstrip() + " …").lstrip()


def _is_between_words(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    # Scripts without spaces have wide characters: each may end a line.
    return before == " " or after == " " or east_asian_width(before) in "WF" or east_asian_width(after) in "WF"


class Head(NamedTuple):
    """The beginning of a text, as far as a budget may ever show it."""

    text: str
    pieces: int
    least: int
    """Pieces of its first words, which are shown in any case."""
    enough: int
    """Pieces of as many words as make the node worth showing."""
    length: int
    """Characters of the whole text."""


def read_head(text: str, pieces: int) -> Head:
    """The beginning of ``text`` of at most that many pieces; what is far behind it is not read."""
    size = 16 * pieces
    while size < len(text) and count_pieces(text[:size]) <= pieces:
        size *= 4
    head = cut(text[:size], pieces)
    plain = head.removesuffix(" …")
    total = count_pieces(plain)
    least, enough = (
        min(total, PIECES_PER_WORD * number, count_pieces(" ".join(plain.split(" ", number)[:number])))
        for number in (FEWEST_WORDS, ENOUGH_WORDS)
    )
    return Head(head, total, least, enough, len(text))


class Heads:
    """The beginnings of a graph's texts, each cut once for all prompts."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[int, int], Head] = {}
        self._characters = 0

    def of(self, node: int, pieces: int) -> Head:
        head = self._known.get((node, pieces))
        if head is None:
            if len(self._known) >= MOST_HEADS or self._characters >= MOST_CHARACTERS:
                self._known.clear()
                self._characters = 0
            head = self._known[node, pieces] = read_head(self._graph.texts[node], pieces)
            self._characters += len(head.text)
        return head


@lru_cache(maxsize=2)
def heads_of(graph: TextAttributedGraph) -> Heads:
    """What has been cut of the graph's texts so far."""
    return Heads(graph)


def fair_shares(lengths: Sequence[int], budget: int, least: Sequence[int] | None = None) -> list[int]:
    """Splits ``budget`` so that the smallest share is as large as possible; no share exceeds its length.

    No share is below ``least``, even where that takes more than the budget.

    >>> fair_shares([3, 10, 10], 15), fair_shares([3, 10, 10], 8, [3, 4, 4])
    ([3, 6, 6], [3, 4, 4])
    """
    floor = [0] * len(lengths) if least is None else list(least)

    def shares(level: int) -> list[int]:
        return [min(length, max(level, low)) for length, low in zip(lengths, floor, strict=True)]

    low, high = 0, max(lengths, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(shares(middle)) <= budget else (low, middle - 1)
    result = shares(low)
    left = budget - sum(result)
    # What is left is less than a piece for each: the first ones get it.
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if left > 0 and result[index] == low < lengths[index]:
            result[index] += 1
            left -= 1
    return result


def shown_part(head: Head, pieces: int) -> str:
    """At most that many pieces of the beginning of a text."""
    return head.text if pieces >= head.pieces else cut(head.text.removesuffix(" …"), pieces)
