"""Finds nodes by their ids, as another file writes them: in another Unicode form, or as a spreadsheet's numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

_WHOLE = re.compile(r"(-?\d+)\.0+")


def _plain(node: str) -> str:
    """What an id is in every spelling: 3.0 is 3, and é is one character."""
    match = _WHOLE.fullmatch(node)
    return match[1] if match else unicodedata.normalize("NFC", node)


class Ids:
    """The numbers of nodes by their ids. ``respelled`` counts the ids that were found in another spelling only."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._number_of: Mapping[str, int] = {node: number for number, node in enumerate(ids)}
        self._plain: dict[str, int | None] | None = None
        self._folded: dict[str, str | None] = {}
        self._longest = 0
        self.respelled = 0

    def find(self, node: str) -> int | None:
        """The number of a node, by its id as it is, else by one that differs from it in spelling alone."""
        number = self._number_of.get(node)
        if number is not None:
            return number
        if self._plain is None:
            self._plain = {}
            for each, place in self._number_of.items():
                key = _plain(each)
                # Two nodes that differ in spelling alone can only be told apart as they are written.
                self._plain[key] = None if key in self._plain else place
                # Kept for hints: a file may have as many unknown ids as edges, and each gets one.
                self._folded[key.casefold()] = None if key.casefold() in self._folded else each
                self._longest = max(self._longest, len(each))
        number = self._plain.get(_plain(node))
        self.respelled += number is not None
        return number

    def with_zeros(self, node: str) -> str:
        """The id that a spreadsheet would have turned into this one, by dropping zeros in front; ``""`` if none is."""
        if not node.isdecimal() or self._plain is None:
            return ""
        padded = (node.zfill(length) for length in range(len(node) + 1, min(self._longest, 64) + 1))
        return next((each for each in padded if each in self._number_of), "")

    def in_other_case(self, node: str) -> str:
        """The id that differs from this one in case alone; ``""`` if none does, or if several do."""
        return (self._folded.get(_plain(node).casefold()) or "") if node else ""
