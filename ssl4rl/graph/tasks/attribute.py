"""Attribute masking: the descriptions of some nodes are hidden; match them with candidates, or write one.

What a node is can be read from its neighbours, so the task asks for the dependence between text and structure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice, permutations
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ssl4rl.answers import Scoring, extract, word_pattern, words
from ssl4rl.drafts import Draft, Redraw, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.budget import heads_of, read_head
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.task import PAPER_CONTEXT, node_item
from ssl4rl.graph.tasks.candidates import CandidateKnobs, CandidateTask
from ssl4rl.graph.tasks.constants import Constant, best_constant
from ssl4rl.graph.text import GraphText
from ssl4rl.prompts import OPTION_LETTERS, label_noun
from ssl4rl.rng import seeded_rng

MOST_NEIGHBORS = 64
"""Neighbours of a candidate that are compared with another's: of a hub, more than enough."""
CUTS = 8
"""Subgraphs that are drawn again until one tells the masked nodes from the other candidates."""

CONSTANT_SAMPLE = 300
"""Training texts on which the best constant description is measured."""


class AttributeKnobs(CandidateKnobs):
    """Settings of attribute masking."""

    fanout: int = Field(3, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    answer: Literal["choice", "generate"] = "choice"
    """``choice``: match hidden nodes with candidate descriptions; ``generate``: write the description."""
    num_masked: int = Field(1, ge=1, le=8)
    """Nodes whose descriptions are hidden (one, with ``answer=generate``)."""
    num_near: int = Field(len(OPTION_LETTERS), ge=0, le=len(OPTION_LETTERS))
    """Wrong descriptions drawn from two hops away (as many as there are, at most); the rest are any nodes'. (Nodes of
    the same class would need labels, and a self-supervised task has none.)"""
    max_words: int = Field(40, ge=4, le=400)
    """Words of a written description that count, with ``answer=generate``."""

    @model_validator(mode="after")
    def _fits(self) -> AttributeKnobs:
        if self.num_masked > self.num_candidates:
            raise ValueError(f"num_masked={self.num_masked} must be at most num_candidates={self.num_candidates}")
        if self.answer == "generate" and self.num_masked != 1:
            raise ValueError("answer=generate hides one description: num_masked must be 1")
        if self.answer == "choice" and self.num_hops == 0:
            raise ValueError("num_hops=0 shows no neighbour, and nothing else tells which description is right")
        return self


class Attribute(CandidateTask[AttributeKnobs]):
    """Which description belongs to which hidden node? Scored by the share of hidden nodes matched (or token F1)."""

    name: ClassVar[str] = "attribute"
    version: ClassVar[int] = 4
    knobs_type = AttributeKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_near": 0},
        "medium": {},
        "hard": {"num_masked": 3, "num_candidates": 6, "num_hops": 2},
        "generate": {"answer": "generate"},
        "paper": {**PAPER_CONTEXT, "num_masked": 3, "num_candidates": 6, "num_near": 0},
    }
    ladder: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"level": "easy", "num_candidates": 2},
        {"level": "easy"},
        {"level": "medium"},
        {"level": "medium", "num_candidates": 6},
        {"level": "hard"},
    )

    @property
    def unchanged_since(self) -> int:
        # Version 4: the right answer has no more words than a reply may. A subclass that raises its own changes all.
        return self.version if self.knobs.answer == "generate" else self.version - 1

    @property
    def num_slots(self) -> int:
        return self.knobs.num_candidates if self.knobs.answer == "choice" else 1

    def prepare(self) -> None:
        super().prepare()
        self.refuse_hidden_texts()
        self.maskable, self._is_maskable = self.kept_nodes("maskable", lambda: self._maskable(self.split))
        if len(self.maskable) < self.knobs.num_masked:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.maskable)} {self.split} nodes with a text and a visible edge; "
                f"task.num_masked={self.knobs.num_masked} needs more"
            )
        if self.knobs.answer == "generate" and self._constant.f1 >= 1:
            raise NotApplicable(f"graph {self.source.name}: one description is right for all nodes")

    def _maskable(self, split: str) -> IntArray:
        nodes = text_split(self.source)[split]
        return nodes[self.view.visible.degrees[nodes] > 0]

    def weights(self) -> NDArray[np.bool_]:
        return self._is_maskable

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        masked, candidates = self._draw_masked(rng), list[int]()
        choose = self.knobs.answer == "choice"
        if not choose and not words(self._beginning(masked[0])):
            raise Redraw("the text has no words")
        if not choose and not self._can_be_written(self._beginning(masked[0])):
            raise Redraw("the text holds tags of an answer")
        if choose:
            masked, candidates = self._choose(masked, rng, self.slot(index, self.num_slots))
        subgraph = self._cut_telling(masked, candidates, rng)
        written = self.write_with(subgraph, candidates, rng, masked=masked)
        if not self._tells(written.edges, masked, candidates):
            raise Redraw("what is shown of a hidden node holds of another candidate, too")
        heads = heads_of(self.source)
        texts = [heads.of(node, self.knobs.text_budget).text for node in masked]
        if self.is_told(texts, written, {*masked, *candidates}):
            raise Redraw("the hidden text is quoted")
        meta = self.meta(subgraph, written, masked=masked, candidates=candidates)
        return self._matching(masked, written, meta) if choose else self._generation(masked[0], written, meta)

    def _choose(self, masked: Sequence[int], rng: np.random.Generator, slot: int) -> tuple[list[int], list[int]]:
        """Of some candidates any of which could be told from the others, those that are masked, all as likely.

        So no property of a candidate is worth anything: not its degree, nor how near it is to the others.

        Raises:
            Redraw: if one of them could not be told from another.
        """
        candidates = self.mix(masked, masked, rng, taken=(), slot=slot, apart=True)
        if not self.are_apart(candidates):
            raise Redraw("two candidates are linked")
        if not all(self._differs(node, other) for node, other in permutations(candidates, 2)):
            raise Redraw("all neighbours of a candidate are another one's, too")
        chosen = [candidates[i] for i in rng.permutation(len(candidates))]
        first, *rest = chosen
        return chosen[: len(masked)], inserted(first, [rest[i] for i in rng.permutation(len(rest))], slot)

    def _differs(self, node: int, other: int) -> bool:
        """Whether ``node`` has a visible neighbour that no edge of the graph joins to ``other``."""
        around = self.view.visible.around(node)[:MOST_NEIGHBORS].tolist()
        return not all(self.is_joined(each, other) for each in around)

    def _cut_telling(self, masked: Sequence[int], candidates: Sequence[int], rng: np.random.Generator) -> Subgraph:
        """A subgraph around the masked nodes whose edges hold of no other candidate, if a few draws find one."""
        subgraph = self.cut(masked, rng, hidden_nodes=candidates)
        for _ in range(CUTS):
            if self._tells(subgraph.edges, masked, candidates):
                break
            subgraph = self.cut(masked, rng, hidden_nodes=candidates)
        return subgraph

    def _tells(self, edges: Sequence[int], masked: Sequence[int], candidates: Sequence[int]) -> bool:
        """Whether of each masked node a neighbour is shown that is not also each of the other candidates'.

        Edges that were rewired tell nothing.
        """
        if not candidates or self.knobs.corrupt == "edges":
            return True
        ends = self.shown[0].edge_index[:, list(edges)]
        for node in masked:
            around = {*ends[1, ends[0] == node].tolist(), *ends[0, ends[1] == node].tolist()}
            for other in candidates:
                if other != node and all(self.is_joined(each, other) for each in around):
                    return False
        return True

    def _matching(self, masked: Sequence[int], written: GraphText, meta: dict[str, Any]) -> Draft:
        letter = self.letter_of(meta["candidates"])
        in_order = sorted(masked, key=written.number.__getitem__)
        gold = {str(written.number[node]): letter[node] for node in in_order}
        *rest, last = (f"[{number}]" for number in gold)
        items = tuple(map(node_item, in_order))
        if not rest:
            question = f"Which of these descriptions is that of node {last}?"
            parts = self.prompt(written.text, question, written.options, self.form(label_noun(self.letters)))
            return Draft.any_of(parts, list(gold.values()), list(self.letters), items, meta)
        question = f"Which of these descriptions belong to nodes {', '.join(rest)} and {last}, in this order?"
        form = self.form(label_noun(self.letters, len(gold)))
        return Draft(
            parts=self.prompt(written.text, question, written.options, form),
            scoring=Scoring("score_matching", {"gold": gold, "values": list(self.letters)}),
            gold=", ".join(gold.values()),
            chance=1 / self.knobs.num_candidates,
            source_items=items,
            meta=meta,
        )

    def _generation(self, masked: int, written: GraphText, meta: dict[str, Any]) -> Draft:
        number, gold = written.number[masked], self._beginning(masked)
        question = f"What is the description of node [{number}]? Write at most {self.knobs.max_words} words."
        constant = self._constant
        arguments = {"gold": gold, "baseline": constant.f1, "max_words": self.knobs.max_words}
        return Draft(
            parts=self.prompt(written.text, question, self.form("the description")),
            scoring=Scoring("score_text", arguments),
            gold=gold,
            chance=constant.score,
            source_items=(node_item(masked),),
            meta=meta,
        )

    def _draw_masked(self, rng: np.random.Generator) -> list[int]:
        """The first anywhere in the split, the others two hops from it where the split has such nodes."""
        masked = {int(rng.choice(self.maskable)): None}
        first = next(iter(masked))
        for attempt in range(20 * self.knobs.num_masked):
            if len(masked) == self.knobs.num_masked:
                return list(masked)
            near = self.steps_from(first, rng) if attempt < 10 * self.knobs.num_masked else None
            node = int(rng.choice(self.maskable)) if near is None else near
            if self._is_maskable[node]:
                masked[node] = None
        if len(masked) < self.knobs.num_masked:
            raise Redraw("too few nodes to mask")
        return list(masked)

    @cached_property
    def _constant(self) -> Constant:
        train = self._maskable("train")
        rng = seeded_rng("constant", self.source.fingerprint)
        sample = rng.permutation(len(train))[:CONSTANT_SAMPLE]
        return best_constant([self._beginning(train[i]) for i in sample], self.knobs.max_words)

    def _can_be_written(self, text: str) -> bool:
        """Whether a reply with the text as its answer is read as that."""
        return extract(text if not self.knobs.reasoning else f"<answer>{text}</answer>", bare=True) == text.strip()

    def _beginning(self, node: int) -> str:
        """As much of a node's text as can count, which is what a reply may have."""
        head = read_head(self.source.texts[node], 8 * self.knobs.max_words).text.removesuffix(" …")
        return first_words(head, self.knobs.max_words)


def first_words(text: str, most: int) -> str:
    """The beginning of a text with at most that many of the words that token F1 counts.

    >>> first_words("A tree-like net, drawn.", 3)
    'A tree-like'
    """
    composed = unicodedata.normalize("NFC", text)
    found = list(islice(word_pattern(text.isascii()).finditer(composed), most + 1))
    return composed[: found[most - 1].end()] if len(found) > most else text
