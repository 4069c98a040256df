"""Order: pieces of a node's text are shuffled; in which order do they stand in it?

After the sentence permutation of BART (Lewis et al., ACL 2020) and the word order of StructBERT (Wang et al., ICLR
2020). Pieces are runs of equally many words from anywhere in a text, in lower case, and every order by their lengths is
as frequent: neither lengths nor capitals tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, permutations
from math import factorial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, Redraw
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.budget import count_pieces
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.task import ContextKnobs, GraphTask, node_item
from ssl4rl.graph.view import in_train_only
from ssl4rl.prompts import read_alike, write_options

FEWEST_WORDS = 2
"""Words of a piece; where texts are too short for that, nothing is asked."""
TRIES = 20
"""Texts that are tried for each order that pieces may have."""
EDGES = ".,;:!?()[]\"'…"
"""What is taken off the ends of pieces."""


class OrderKnobs(ContextKnobs):
    """Settings of order."""

    num_pieces: int = Field(3, ge=2, le=5)
    """Pieces to put in order."""
    piece_words: int = Field(10, ge=FEWEST_WORDS, le=60)
    """Words of each piece, or as many as a short text has for it."""
    reward: Literal["exact", "partial"] = "exact"
    """``exact``: 1 for all places right, else 0; ``partial``: the share of places right, if it is a permutation."""


class Order(GraphTask[OrderKnobs]):
    """In which order do these pieces stand in a node's text? Scored 0 or 1, or by the share of places."""

    name: ClassVar[str] = "order"
    version: ClassVar[int] = 2
    knobs_type = OrderKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_pieces": 2},
        "medium": {},
        "hard": {"num_pieces": 4, "reward": "partial"},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy"},
        {"level": "medium", "reward": "partial"},
        {"level": "medium"},
        {"level": "hard"},
    )

    @property
    def num_slots(self) -> int:
        return factorial(self.knobs.num_pieces)

    def prepare(self) -> None:
        super().prepare()
        self.refuse_hidden_texts()
        least, own = FEWEST_WORDS * self.knobs.num_pieces, text_split(self.source)[self.split]
        if self.knobs.inductive and self.split == "train":
            own = own[in_train_only(self.source)[own]]
        self.targets = self.kept("targets", lambda: {"nodes": own[self.source.num_words[own] >= least]})["nodes"]
        if not len(self.targets):
            raise NotApplicable(
                f"graph {self.source.name} has no {self.split} text of {least} words; lower task.num_pieces"
            )

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        count = self.knobs.num_pieces
        target, pieces = self._draw_pieces(rng)
        if read_alike(pieces):
            raise Redraw("two pieces read alike")
        # The answer is the inverse of the order of showing: not where a piece goes, but which piece a place gets.
        answer = next(islice(permutations(range(count)), self.slot(index, self.num_slots), None))
        shown = [pieces[answer.index(number)] for number in range(count)]
        subgraph = self.cut([target], rng)
        left = max(self.knobs.text_budget - sum(map(count_pieces, pieces)), self.knobs.text_budget // 4)
        written = self.write(subgraph, rng, left, masked=[target])
        if self.is_told([self.source.texts[target]], written):
            raise Redraw("the hidden text is quoted")
        node = f"node [{written.number[target]}]"
        listed = write_options(shown, [str(number + 1) for number in range(count)])
        intro = f"These are {count} consecutive pieces of the description of {node}, in random order:"
        question = "In which order do they stand in the description?"
        gold = [number + 1 for number in answer]
        return Draft(
            parts=self.prompt(
                written.text, intro, listed, question, self.form(f"the {count} numbers separated by commas")
            ),
            scoring=Scoring("score_permutation", {"gold": gold, "reward": self.knobs.reward}),
            gold=", ".join(map(str, gold)),
            chance=1 / factorial(count) if self.knobs.reward == "exact" else 1 / count,
            source_items=(node_item(target),),
            meta=self.meta(subgraph, written, masked=[target]),
        )

    def _draw_pieces(self, rng: np.random.Generator) -> tuple[int, list[str]]:
        """A node, and runs of its text, one after another, whose lengths have an order that was drawn beforehand.

        Raises:
            Redraw: if none is found.
        """
        wanted = rng.permutation(self.knobs.num_pieces).tolist()
        for _ in range(TRIES * self.num_slots):
            target = int(rng.choice(self.targets))
            pieces = self._cut_text(target, rng)
            lengths = [len(piece) + rng.random() for piece in pieces]
            if np.argsort(lengths).tolist() == wanted:
                return target, pieces
        raise Redraw("no text with pieces of such lengths")

    def _cut_text(self, node: int, rng: np.random.Generator) -> list[str]:
        """Runs of equally many words, one after another, from anywhere in the text."""
        words = self.source.texts[node].lower().split()
        count = self.knobs.num_pieces
        size = min(self.knobs.piece_words, len(words) // count)
        start = int(rng.integers(len(words) - size * count + 1))
        return [" ".join(words[start + size * i : start + size * (i + 1)]).strip(EDGES + " ") for i in range(count)]
