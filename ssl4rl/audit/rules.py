"""Rules that answer without the context: fitted on what train asks and offers, or on the shape of the graph.

A rule gives every answer that may be given a weight; the audit follows it, and its reverse.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.answers import words
from ssl4rl.audit.offers import Offer, shown_options
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.view import edge_view
from ssl4rl.source import Source

Weights = Callable[[Offer], Sequence[float]]
"""What a fitted rule makes of one offer: the weight of each label; the heaviest are answered."""
Rule = Callable[[Sequence[Offer]], list[Sequence[float]]]
"""A fitted rule: the weights of many offers at once, as classifiers are slow on one."""

BINS = 12
"""Into how many equally full parts a number is divided before answers are counted per part."""


def one_by_one(weights: Weights) -> Rule:
    """The rule that weighs each offer by itself."""
    return lambda offers: [weights(offer) for offer in offers]


def fitted_rules(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """Every rule that can say something about such questions, by its name."""
    return {name: one_by_one(weights) for name, weights in _fitted(source, train).items()}


def _fitted(source: Source, train: Sequence[Offer]) -> dict[str, Weights]:
    rules = {"most frequent answer": _frequent(train)}
    if all(offer.example.scoring.function == "score_permutation" for offer in train):
        rules |= _order_rules()
    if all(offer.has_texts for offer in train):
        rules |= _option_rules(train)
    if isinstance(source, TextAttributedGraph):
        if all(offer.nodes for offer in train):
            rules |= _candidate_rules(source, train)
        elif all(len(offer.asked) == 2 for offer in train):
            rules |= _pair_rules(source, train)
    return rules


def _frequent(train: Sequence[Offer]) -> Weights:
    golds = Counter(label for offer in train for label in offer.right)
    return lambda offer: [golds[label] for label in offer.labels]


def _option_rules(train: Sequence[Offer]) -> dict[str, Weights]:
    """Of the options' texts: those that were right in train, how often, at what rate, their words and their length."""
    right, offered = Counter[Hashable](), Counter[Hashable]()
    right_words, offered_words = Counter[str](), Counter[str]()
    for offer in train:
        for label, text, thing in zip(offer.labels, offer.texts, offer.things, strict=True):
            used = set(words(text))
            offered[thing] += 1
            offered_words.update(used)
            if label in offer.right:
                right[thing] += 1
                right_words.update(used)
    base = math.log((sum(right.values()) + 1) / (sum(offered.values()) - sum(right.values()) + 1))

    def word(text: str) -> float:
        used = set(words(text))
        return sum(log_odds(right_words[each], offered_words[each]) - base for each in used) / (len(used) + 1)

    return {
        "memorised option": lambda offer: [float(right[thing] > 0) for thing in offer.things],
        "most frequent option": lambda offer: [right[thing] for thing in offer.things],
        "option most often right": lambda offer: [log_odds(right[thing], offered[thing]) for thing in offer.things],
        "words of right options": lambda offer: [word(text) for text in offer.texts],
        "longest option": lambda offer: [len(text) for text in offer.texts],
    }


def _order_rules() -> dict[str, Weights]:
    """Of pieces to be put in order, listed in the prompt: an order by their length, or by a mark at the beginning."""

    def by(number: Callable[[str], float]) -> Weights:
        def weights(offer: Offer) -> list[float]:
            pieces = shown_options(
                offer.example.text, [str(place + 1) for place in range(len(offer.texts[0].split(",")))]
            )
            order = sorted(pieces, key=lambda label: number(pieces[label]))
            return [float(text == ", ".join(order)) for text in offer.texts]

        return weights

    return {
        "shortest piece first": by(len),
        "piece with fewest words first": by(lambda piece: len(piece.split())),
        "piece that begins with a capital first": by(lambda piece: not piece[:1].isupper()),
        "piece that ends with a mark last": by(lambda piece: not piece[-1:].isalnum()),
    }


def log_odds(right: int, offered: int) -> float:
    """The logarithm of the odds of being right, smoothed by half an observation of either kind."""
    return math.log((right + 0.5) / (offered - right + 0.5))


def _candidate_rules(graph: TextAttributedGraph, train: Sequence[Offer]) -> dict[str, Weights]:
    """Of the nodes behind the options: their degree, and whether their group is that of right ones."""
    view = edge_view(graph)
    visible, full = view.visible.degrees, view.full.degrees
    rules: dict[str, Weights] = {
        "highest visible degree": lambda offer: [int(visible[node]) for node in offer.nodes],
        "highest degree": lambda offer: [int(full[node]) for node in offer.nodes],
    }
    groups = node_groups(graph)
    if groups is not None:
        rules["commonest kind among the options"] = lambda offer: [
            sum(groups[node] == groups[other] for other in offer.nodes) for node in offer.nodes
        ]
        rules["kind that fits the asked node"] = _fitting_kind(groups, train)
    return rules


def _fitting_kind(groups: NDArray[Any], train: Sequence[Offer]) -> Weights:
    right, offered = Counter[Hashable](), Counter[Hashable]()
    for offer in train:
        for label, node in zip(offer.labels, offer.nodes, strict=True):
            for asked in offer.asked[:1]:
                offered[groups[asked], groups[node]] += 1
                right[groups[asked], groups[node]] += label in offer.right

    def weights(offer: Offer) -> list[float]:
        asked = groups[offer.asked[0]] if offer.asked else -1
        return [log_odds(right[asked, groups[node]], offered[asked, groups[node]]) for node in offer.nodes]

    return weights


def _pair_rules(graph: TextAttributedGraph, train: Sequence[Offer]) -> dict[str, Weights]:
    """Of the two asked nodes: their degrees, their groups, and how often each was asked about with which answer."""
    degrees = edge_view(graph).visible.degrees
    numbers: dict[str, Callable[[int, int], float]] = {
        "sum of degrees": lambda a, b: float(a + b),
        "product of degrees": lambda a, b: float(a * b),
        "smaller degree": lambda a, b: float(min(a, b)),
        "larger degree": lambda a, b: float(max(a, b)),
        "difference of degrees": lambda a, b: float(abs(a - b)),
    }
    rules = {}
    about_texts = any(offer.has_texts for offer in train)
    for name, number in numbers.items():

        def value(offer: Offer, number: Callable[[int, int], float] = number) -> float:
            return number(*(int(degrees[node]) for node in offer.asked))

        rules[name] = _of_other_nodes(graph, train, value) if about_texts else by_part(train, value)
    if not about_texts:
        # Whether nodes are linked more than others. (Which relations a node takes is what its text is read for.)
        rules["memorised nodes"] = _memorised_nodes(train)
    groups = node_groups(graph)
    if groups is not None:
        rules["kinds of the two"] = _by(train, lambda offer: tuple(sorted(int(groups[node]) for node in offer.asked)))
        rules["same kind"] = _by(train, lambda offer: len({int(groups[node]) for node in offer.asked}))
    return rules


def _by(train: Sequence[Offer], key: Callable[[Offer], Hashable]) -> Weights:
    """The most frequent answer among the questions of train with the same key (what it stands for, not its letter)."""
    right: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for offer in train:
        right[key(offer)].update(right_texts(offer))

    def weights(offer: Offer) -> list[float]:
        answers = right[key(offer)]
        return [answers[text] for text in offer.texts]

    return weights


def by_part(train: Sequence[Offer], value: Callable[[Offer], float]) -> Weights:
    """The most frequent answer among the questions of train in the same part of a number's range."""
    edges = np.unique(np.quantile([value(offer) for offer in train], np.linspace(0, 1, BINS + 1)[1:-1]))
    return _by(train, lambda offer: int(np.searchsorted(edges, value(offer))))


def _of_other_nodes(graph: TextAttributedGraph, train: Sequence[Offer], value: Callable[[Offer], float]) -> Weights:
    """The same, but fitted on questions about other nodes: half of the nodes are asked by what the other half tells.

    Where few nodes have a degree it names them, and which relations a node takes is what its text is read for. Of a
    node of either half nothing is said.
    """
    half = np.random.default_rng(0).integers(2, size=graph.num_nodes)

    def side(offer: Offer) -> int | None:
        sides = {int(half[node]) for node in offer.asked}
        return sides.pop() if len(sides) == 1 else None

    by_side = [[offer for offer in train if side(offer) == each] for each in (0, 1)]
    rules = [by_part(offers, value) if offers else None for offers in by_side]

    def weights(offer: Offer) -> Sequence[float]:
        own = side(offer)
        rule = None if own is None else rules[1 - own]
        return [0.0] * len(offer.labels) if rule is None else rule(offer)

    return weights


def _memorised_nodes(train: Sequence[Offer]) -> Weights:
    right: dict[int, Counter[str]] = defaultdict(Counter)
    for offer in train:
        for node in offer.asked:
            right[node].update(right_texts(offer))

    def weights(offer: Offer) -> list[float]:
        seen = [right[node] for node in offer.asked]
        return [sum(math.log(each[text] + 0.5) for each in seen) for text in offer.texts]

    return weights


def right_texts(offer: Offer) -> list[str]:
    """What the right labels stand for."""
    return [text for label, text in zip(offer.labels, offer.texts, strict=True) if label in offer.right]
