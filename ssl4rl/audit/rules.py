"""Rules that answer without the context: fitted on what train asks and offers, or on the shape of the graph.

A rule gives every answer that may be given a weight; the audit follows it, and its reverse.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any
from zlib import crc32

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
ERRORS_OF_EXCESS = 2
"""Standard errors by which an answer is more frequent with some property before that is taken for more than chance."""
FEWEST_FITTED = 30
"""Questions that a half must have for rules to be fitted on it."""


def one_by_one(weights: Weights) -> Rule:
    """The rule that weighs each offer by itself."""
    return lambda offers: [weights(offer) for offer in offers]


def fixed_rules(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """Every rule that needs no fitting and can say something about such questions, by its name."""
    rules: dict[str, Weights] = {}
    if all(offer.example.scoring.function == "score_permutation" for offer in train):
        rules |= _order_rules()
    if all(offer.has_texts for offer in train):
        rules["longest option"] = lambda offer: [len(text) for text in offer.texts]
    if isinstance(source, TextAttributedGraph) and all(offer.nodes for offer in train):
        rules |= _candidate_rules(source)
    return {name: one_by_one(weights) for name, weights in rules.items()}


def fitted_rules(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """Every rule that says what answers of some property were right in train, by its name."""
    rules: dict[str, Weights] = {"most frequent answer": _frequent(train)}
    groups = node_groups(source) if isinstance(source, TextAttributedGraph) else None
    if isinstance(source, TextAttributedGraph) and not all(offer.nodes for offer in train):
        rules |= _pair_rules(source, train) if all(len(offer.asked) == 2 for offer in train) else {}
    elif groups is not None:
        rules["kind that fits the asked node"] = _fitting_kind(groups, train)
    return {name: one_by_one(weights) for name, weights in rules.items()}


def remembering_rules(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """Rules that remember what single options or asked nodes were in train, each of which is in many questions."""
    rules: dict[str, Weights] = {}
    if all(offer.has_texts for offer in train):
        rules |= _option_rules(train)
    elif isinstance(source, TextAttributedGraph) and all(len(offer.asked) == 2 for offer in train):
        # Whether nodes are linked more than others. (Which relations a node takes is what its text is read for.)
        rules["memorised nodes"] = _memorised_nodes(train)
    return {name: one_by_one(weights) for name, weights in rules.items()}


def by_other_items(fit: Callable[[Sequence[Offer]], dict[str, Rule]], train: Sequence[Offer]) -> dict[str, Rule]:
    """The rules that ``fit`` finds, each question being answered by those of train that are about other items.

    Half of the items is asked by what the other half tells, and the other way round. In a small source the same edges
    and nodes are asked about again and again; what a rule remembers of these is no property by which they can be told.
    (Their reverse says nothing: where all items together are balanced, what one half has too much of the other lacks.)
    """
    halves = [[offer for offer in train if _half(offer) == each] for each in (0, 1)]
    if min(map(len, halves)) < FEWEST_FITTED:
        return fit(train)
    by_half = [fit(half) for half in halves]

    def rule(name: str) -> Rule:
        def weights(offers: Sequence[Offer]) -> list[Sequence[float]]:
            found: list[Sequence[float]] = [()] * len(offers)
            for half, rules in enumerate(by_half):
                places = [place for place, offer in enumerate(offers) if _half(offer) != half]
                weights_there = rules[name]([offers[place] for place in places]) if places else ()
                for place, own in zip(places, weights_there, strict=True):
                    found[place] = own
            return found

        return weights

    return {name: rule(name) for name in by_half[0] if name in by_half[1]}


def _half(offer: Offer) -> int:
    return crc32(offer.example.source_items[0].encode("utf-8", "surrogatepass")) & 1


def _frequent(train: Sequence[Offer]) -> Weights:
    golds = Counter(label for offer in train for label in offer.right)
    return lambda offer: [golds[label] for label in offer.labels]


def _option_rules(train: Sequence[Offer]) -> dict[str, Weights]:
    """Of the options' texts: those that were right in train, how often, at what rate, and their words."""
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


def _candidate_rules(graph: TextAttributedGraph) -> dict[str, Weights]:
    """Of the nodes behind the options: their degree, and whether most are of their kind."""
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
    """Of the two asked nodes: their degrees and their groups."""
    degrees = edge_view(graph).visible.degrees
    numbers: dict[str, Callable[[int, int], float]] = {
        "sum of degrees": lambda a, b: float(a + b),
        "product of degrees": lambda a, b: float(a * b),
        "smaller degree": lambda a, b: float(min(a, b)),
        "larger degree": lambda a, b: float(max(a, b)),
        "difference of degrees": lambda a, b: float(abs(a - b)),
    }
    rules: dict[str, Weights] = {}
    about_texts = any(offer.has_texts for offer in train)
    apart = [offer for offer in train if not about_texts and not offer.shares_neighbors]
    for name, number in numbers.items():

        def of_all(offer: Offer, number: Callable[[int, int], float] = number) -> float:
            return number(*(int(degrees[node]) for node in offer.asked))

        def of_shown(offer: Offer, number: Callable[[int, int], float] = number) -> float:
            first, second = (sum(offer.edges_shown(node)) for node in offer.asked)
            return number(first, second)

        rules[name] = _of_other_nodes(graph, train, of_all) if about_texts else by_part(train, of_all)
        if apart:
            rules[f"{name}, as shown"] = _of_apart(_by(apart, of_shown), by_part(apart, of_all))
    if apart and graph.directed:
        columns = np.unique(edge_view(graph).visible.edges)
        out, into = (np.bincount(ends, minlength=graph.num_nodes) for ends in graph.edge_index[:, columns])

        def leanings(ends: Iterable[tuple[int, int]]) -> tuple[int, ...]:
            return tuple(sorted((entering > leaving) - (entering < leaving) for entering, leaving in ends))

        rules["arrows shown of the two"] = _of_apart(
            _by(apart, lambda offer: leanings(map(offer.edges_shown, offer.asked))),
            _by(apart, lambda offer: leanings((int(into[node]), int(out[node])) for node in offer.asked)),
        )
    groups = node_groups(graph)
    if groups is not None:
        rules["kinds of the two"] = _by(train, lambda offer: tuple(sorted(int(groups[node]) for node in offer.asked)))
        rules["same kind"] = _by(train, lambda offer: len({int(groups[node]) for node in offer.asked}))
    return rules


def _of_apart(as_shown: Weights, as_it_is: Weights) -> Weights:
    """The answer that is more frequent after what is shown than after what the graph has, of nodes that are shown no
    neighbour of both.

    What a prompt hides may be missing at one kind of pair only. But the more edges two nodes have, the more neighbours
    they share if there is one between them: that none is shown is to be read, and says more the more edges there are.
    """

    def weights(offer: Offer) -> list[float]:
        counts, usual = as_shown(offer), as_it_is(offer)
        expected = [sum(counts) * number / max(sum(usual), 1) for number in usual]
        excess = [count - number for count, number in zip(counts, expected, strict=True)]
        by_chance = max(map(abs, excess)) <= ERRORS_OF_EXCESS * math.sqrt(sum(counts)) / 2
        return [0.0] * len(counts) if offer.shares_neighbors or by_chance else excess

    return weights


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
