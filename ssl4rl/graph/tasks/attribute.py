"""Attribute masking: the descriptions of some nodes are hidden; match them with candidates, or write one.

What a node is can be read from its neighbours, so the task asks for the dependence between text and structure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from ssl4rl.answers import OPTION_LETTERS, score_matching, score_text, token_f1, words
from ssl4rl.example import Example, Score
from ssl4rl.graph.graph import IntArray
from ssl4rl.graph.splits import node_split
from ssl4rl.graph.task import PAPER_CONTEXT, ContextKnobs, GraphTask
from ssl4rl.graph.text import write_subgraph
from ssl4rl.tasks import REPLY_FORMAT, Draft, NotApplicable, Redraw, seeded_rng

QUOTE_WORDS = 8
"""A run of this many words (or the whole text, if shorter) that occurs elsewhere counts as a quotation."""


class AttributeKnobs(ContextKnobs):
    """Settings of attribute masking."""

    fanout: int = Field(3, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    answer: Literal["choice", "generate"] = "choice"
    """``choice``: match hidden nodes with candidate descriptions; ``generate``: write the description."""
    num_masked: int = Field(1, ge=1, le=8)
    """Nodes whose descriptions are hidden (one, with ``answer=generate``)."""
    num_candidates: int = Field(4, ge=2, le=len(OPTION_LETTERS))
    """Descriptions to choose from, the hidden ones among them."""
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
        return self


class Attribute(GraphTask[AttributeKnobs]):
    """Which description belongs to which hidden node? Scored by the share of hidden nodes matched (or token F1)."""

    name: ClassVar[str] = "attribute"
    knobs_type = AttributeKnobs
    levels: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "easy": {"num_near": 0},
        "medium": {},
        "hard": {"num_masked": 3, "num_candidates": 6, "num_hops": 2},
        "generate": {"answer": "generate"},
        "paper": {**PAPER_CONTEXT, "num_masked": 3, "num_candidates": 6, "num_near": 0},
    }

    def prepare(self) -> None:
        super().prepare()
        self.maskable = self._maskable(self.split)
        if len(self.maskable) < self.knobs.num_masked:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.maskable)} {self.split} nodes with a text and a visible edge; "
                f"task.num_masked={self.knobs.num_masked} needs more"
            )
        self._is_maskable = np.zeros(self.source.num_nodes, dtype=bool)
        self._is_maskable[self.maskable] = True

    def _maskable(self, split: str) -> IntArray:
        nodes = node_split(self.source)[split]
        return nodes[self.source.has_text[nodes] & (self.view.visible.degrees[nodes] > 0)]

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        masked = self._draw_masked(rng)
        subgraph = self.cut(masked, rng)
        if self.knobs.answer == "choice":
            num_wrong = self.knobs.num_candidates - len(masked)
            wrong = self.distractors(masked, num_wrong, self.knobs.num_near, rng, subgraph.nodes)
            options = [int(node) for node in rng.permutation([*masked, *wrong])]
        else:
            options = []
        written = write_subgraph(
            self.source, subgraph, rng, text_budget=self.knobs.text_budget, masked=masked, options=options
        )
        others = [written.shown[node] for node in subgraph.nodes if node not in masked]
        if any(is_quoted(self.source.texts[node], others) for node in masked):
            raise Redraw("the hidden text is quoted")
        if len({written.shown[node] for node in options}) < len(options):
            raise Redraw("two candidates read the same")
        meta = self.meta(subgraph, written, masked=masked, candidates=options)
        if self.knobs.answer == "generate":
            number = written.number[masked[0]]
            question = f"What is the description of node [{number}]? Write at most {self.knobs.max_words} words."
            parts = self.prompt(written.text, question, REPLY_FORMAT.format(what="the description"))
            return Draft(parts, " ".join(self.source.texts[masked[0]].split()), meta)
        letters = dict(zip(options, OPTION_LETTERS, strict=False))
        gold = {str(written.number[node]): letters[node] for node in sorted(masked, key=written.number.__getitem__)}
        *rest, last = (f"[{number}]" for number in gold)
        if rest:
            question = f"Which of these descriptions belong to nodes {', '.join(rest)} and {last}?"
        else:
            question = f"Which of these descriptions is that of node {last}?"
        what = "number=letter" if len(gold) == 1 else "number=letter for each, separated by commas,"
        parts = self.prompt(written.text, question, written.options, REPLY_FORMAT.format(what=what))
        return Draft(parts, gold, meta)

    def _draw_masked(self, rng: np.random.Generator) -> list[int]:
        """The first anywhere in the split, the others two hops from it where the split has such nodes."""
        masked = {int(rng.choice(self.maskable)): None}
        first = next(iter(masked))
        for attempt in range(20 * self.knobs.num_masked):
            if len(masked) == self.knobs.num_masked:
                return list(masked)
            near = self.two_steps_from(first, rng) if attempt < 10 * self.knobs.num_masked else None
            node = int(rng.choice(self.maskable)) if near is None else near
            if self._is_maskable[node]:
                masked[node] = None
        if len(masked) < self.knobs.num_masked:
            raise Redraw("too few nodes to mask")
        return list(masked)

    def score(self, reply: str, example: Example) -> Score:
        if isinstance(example.target, str):
            return score_text(reply, example.target, self._constant.f1, self.knobs.max_words)
        return score_matching(reply, example.target)

    def chance(self, example: Example) -> float:
        return self._constant.score if isinstance(example.target, str) else 1 / self.knobs.num_candidates

    def gold(self, example: Example) -> str:
        if isinstance(example.target, str):
            return example.target
        return ", ".join(f"{number}={letter}" for number, letter in example.target.items())

    @cached_property
    def _constant(self) -> Constant:
        train = self._maskable("train")
        rng = seeded_rng("constant", self.source.fingerprint)
        sample = [self.source.texts[train[i]] for i in rng.permutation(len(train))[:300]]
        return best_constant(sample, self.knobs.max_words)


class Constant(NamedTuple):
    """What the best constant description earns."""

    f1: float
    """Mean token F1."""
    score: float
    """Mean score, that is of F1 rescaled by ``f1``: above 0, because below ``f1`` nothing is lost."""


def best_constant(texts: Sequence[str], max_words: int) -> Constant:
    """Measured on ``texts``, over the most frequent words (1, 2, 4 … of them) and some of the texts themselves."""
    frequency = Counter(word for text in texts for word in set(words(text)[:max_words]))
    common = [word for word, _ in frequency.most_common(max_words)]
    lengths = [length for length in (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64) if length < len(common)]
    constants = [" ".join(common[:length]) for length in (*lengths, len(common))] + list(texts[:30])
    f1 = np.array([[token_f1(constant, text, max_words) for text in texts] for constant in constants])
    best = float(f1.mean(axis=1).max())
    rescaled = np.maximum(0.0, (f1 - best) / (1 - best)) if best < 1 else f1
    return Constant(best, float(rescaled.mean(axis=1).max()))


def is_quoted(text: str, others: Sequence[str]) -> bool:
    """Whether a run of 8 words of ``text`` (or all of it, if shorter) occurs in one of ``others``."""
    hidden = words(text)
    run = min(QUOTE_WORDS, len(hidden))
    # Spaces around both sides, so that a run matches whole words only.
    padded = [f" {' '.join(words(other))} " for other in others]
    runs = {f" {' '.join(hidden[i : i + run])} " for i in range(len(hidden) - run + 1)} if run else set()
    return any(piece in other for other in padded for piece in runs)
