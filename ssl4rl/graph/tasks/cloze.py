"""Cloze: a word of a node's text is left out; which of several equally frequent words is it?

After Taylor ("Cloze Procedure", Journalism Quarterly 1953) and masked language models (Devlin et al., NAACL 2019); that
linked texts help is the idea of LinkBERT (Yasunaga et al., ACL 2022). So words are asked that linked texts share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import log2
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.budget import count_pieces
from ssl4rl.graph.quotes import is_quoted
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.alike import TRIES, AlikeTask, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs
from ssl4rl.prompts import OPTION_LETTERS, label_noun, write_options
from ssl4rl.rng import seeded_rng

WORD = re.compile(r"[^\W\d_]{4,}")
BLANK = "____"
STEM = 4
"""Words that begin with the same so many letters count as forms of one word: "network" and "networks"."""
MOST_TEXTS, MOST_EDGES = 20_000, 50_000
"""Texts of train, and edges, in which words are counted."""
FEWEST, MOST_SHARE = 3, 0.1
"""Content words are in so many of these texts at least, and in so large a share of them at most."""
LIFT = 2.0
"""And the ends of an edge have them both so many times as often as any two texts."""


class ClozeKnobs(CandidateKnobs):
    """Settings of cloze."""

    num_near: int = Field(0, ge=0, le=len(OPTION_LETTERS))
    """Whether wrong words are of texts two steps away (if not 0) or of any."""
    fanout: int = Field(3, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    num_words: int = Field(40, ge=4, le=400)
    """Words of the text that are shown, from its beginning."""


class Cloze(AlikeTask[ClozeKnobs]):
    """Which word is missing in a node's text? Scored 0 or 1."""

    name: ClassVar[str] = "cloze"
    knobs_type = ClozeKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2},
        "medium": {},
        "hard": {"num_candidates": 6, "num_near": 6},
    }

    def prepare(self) -> None:
        super().prepare()
        if len(self._frequency) < self.knobs.num_candidates:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self._frequency)} words that linked texts share more often than "
                "others do; longer texts or more of them are needed"
            )
        own = self.own_nodes[self.view.visible.degrees[self.own_nodes] > 0]
        self.set_pool(own, "with a text and a visible edge")

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_candidates

        def draw(found: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
            node = self.draw_like(found[0][0] if found else None, rng)
            likes = self._class(found[0][1]) if found else None
            known = [word for word in self._content(node) if likes in (None, self._class(word))]
            return (node, known[rng.integers(len(known))]) if known else None

        # Each word could be the one that is missing, in the text that it was drawn from.
        alike = drawn_apart(draw, self._are_apart, count, TRIES * count)
        (target, word), drawn = one_of(alike, self.slot(index, count), rng)
        passage = self._passage(target)
        blanked = re.sub(rf"\b{re.escape(word)}\b", BLANK, passage, flags=re.IGNORECASE)
        left = max(self.knobs.text_budget - count_pieces(passage), self.knobs.text_budget // 4)
        subgraph = self.cut([target], rng)
        written = self.write(subgraph, rng, left, masked={target: blanked})
        if is_quoted(passage, list(written.shown.values())):
            raise Redraw("the text is quoted")
        question = f"Which word is left out of the text of node [{written.number[target]}]?"
        options = write_options([other for _, other in drawn])
        parts = self.prompt(written.text, question, options, self.form(label_noun(self.letters)))
        gold = self.letters[drawn.index((target, word))]
        return Draft.any_of(
            parts,
            [gold],
            list(self.letters),
            (node_item(target),),
            self.meta(subgraph, written, target=target, blank=word),
        )

    def _passage(self, node: int) -> str:
        """The beginning of a node's text."""
        words = self.source.texts[node].split(None, self.knobs.num_words)
        return " ".join(words[: self.knobs.num_words]) + (" …" if len(words) > self.knobs.num_words else "")

    def _words(self, node: int) -> set[str]:
        return {word.lower() for word in WORD.findall(self._passage(node))}

    def _content(self, node: int) -> list[str]:
        """The content words of a passage of which it has no other form."""
        passage = self._passage(node)
        used = [word.lower() for word in WORD.findall(passage)]
        forms = Counter(word[:STEM] for word in used)
        known = [word for word in used if forms[word[:STEM]] == 1 and word in self._frequency]
        return [] if BLANK in passage else known

    def _class(self, word: str) -> int:
        """Words of one class are about as frequent: within a factor of the square root of two."""
        return int(2 * log2(self._frequency[word]))

    def _are_apart(self, one: tuple[int, str], other: tuple[int, str]) -> bool:
        """Whether neither text has the other's word, in any form."""
        return all(
            word[:STEM] not in {used[:STEM] for used in self._words(node)}
            for (node, _), (_, word) in ((one, other), (other, one))
        )

    @cached_property
    def _frequency(self) -> dict[str, int]:
        """Of each content word, how many passages of train have it."""
        rng = seeded_rng("words", self.source.fingerprint)
        sample = rng.permutation(text_split(self.source)["train"])[:MOST_TEXTS].tolist()
        edges = rng.permutation(self.view.asked["train"])[:MOST_EDGES]
        ends = self.source.edge_index[:, edges].T.tolist()
        used = {node: self._words(node) for node in {*sample, *(node for pair in ends for node in pair)}}
        having = Counter(word for node in sample for word in used[node])
        shared = Counter(word for one, other in ends for word in used[one] & used[other])
        by_chance = len(ends) * LIFT / len(sample) ** 2
        return {
            word: number
            for word, number in having.items()
            if FEWEST <= number <= MOST_SHARE * len(sample) and shared[word] > max(1, by_chance * number**2)
        }
