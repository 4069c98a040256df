"""Cloze: a word of a node's text is left out; which of several equally frequent words is it?

After Taylor ("Cloze Procedure", Journalism Quarterly 1953) and masked language models (Devlin et al., NAACL 2019); that
linked texts help is the idea of LinkBERT (Yasunaga et al., ACL 2022). So words are asked that linked texts share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.budget import count_pieces
from ssl4rl.graph.content import ContentWords, letter
from ssl4rl.graph.task import node_item
from ssl4rl.graph.tasks.alike import TRIES, AlikeTask, drawn_apart, one_of
from ssl4rl.graph.tasks.candidates import CandidateKnobs
from ssl4rl.prompts import OPTION_LETTERS, label_noun, write_options

BLANK = "____"


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
    version: ClassVar[int] = 2
    knobs_type = ClozeKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_candidates": 2},
        "medium": {},
        "hard": {"num_candidates": 6, "num_near": 6},
    }

    def prepare(self) -> None:
        super().prepare()
        self._content = ContentWords(self.source, self.knobs.num_words)
        count = len(self._content.frequency)
        if count < self.knobs.num_candidates:
            raise NotApplicable(
                f"graph {self.source.name} has too few words that linked texts share more often than others do "
                f"({count}); longer texts or more of them are needed"
            )

        def find() -> IntArray:
            return self.own_nodes[self.view.visible.degrees[self.own_nodes] > 0]

        self.set_pool(find, "with a text and a visible edge")

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_candidates

        def draw(found: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
            node = self.draw_like(found[0][0] if found else None, rng)
            words, rank = self._content.of(node), self._content.rank
            known = [word for word in words if not found or rank(word) == rank(found[0][1])]
            unclear = BLANK in self._content.passage(node)
            return (node, known[rng.integers(len(known))]) if known and not unclear else None

        # Each word could be the one that is missing, in the text that it was drawn from.
        alike = drawn_apart(draw, self._are_apart, count, TRIES * count)
        (target, word), drawn = one_of(alike, self.slot(index, count), rng)
        passage = self._content.passage(target)
        # What the word was found by: in "covid19" and in "__main__" it is a run of letters, too.
        blanked = re.sub(rf"(?<!{letter()}){re.escape(word)}(?!{letter()})", BLANK, passage, flags=re.IGNORECASE)
        if BLANK not in blanked:
            raise Redraw("the word cannot be left out")
        left = max(self.knobs.text_budget - count_pieces(passage), self.knobs.text_budget // 4)
        subgraph = self.cut([target], rng)
        written = self.write(subgraph, rng, left, masked={target: blanked})
        if self.is_told([passage], written):
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

    def _are_apart(self, one: tuple[int, str], other: tuple[int, str]) -> bool:
        """Whether neither text has the other's word, in any form."""
        return not (self._content.has_form(one[0], other[1]) or self._content.has_form(other[0], one[1]))
