"""What a task needs: how far rules get that read the texts alone, the structure alone, or both. Never a fault.

``both shuffled`` is the control: the options of one question beside the context of another. What is left above chance
there comes from neither texts nor structure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ssl4rl.answers import words
from ssl4rl.audit.offers import Offer, above_options
from ssl4rl.audit.rules import Rule, Weights, by_part, one_by_one
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.cloze import BLANK as BLANK_WORD
from ssl4rl.graph.view import edge_view
from ssl4rl.source import Source

MOST_TEXTS, RAREST = 5000, 12
"""Texts in which it is counted which words occur together, and how many words of a context are looked up."""
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)

TEXT, STRUCTURE = "texts alone: shared words", "structure alone: shared neighbours"
BOTH, SHUFFLED = "texts and structure", "both shuffled"
OWN, AROUND = "asked text alone: words seen together", "texts around it: words seen together"
OWN_AND_AROUND = "asked text and those around it"
BLANK = "blank image: words shared by question and option"


def need_rules(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """The rules that can say something about such questions, by what they look at."""
    listed = all(offer.has_texts for offer in train)
    if not isinstance(source, TextAttributedGraph):
        name = BLANK if train[0].example.images else TEXT
        return {name: one_by_one(_words_of_the_context(train))} if listed else {}
    rules: dict[str, Weights] = {}
    if all("blank" in offer.example.meta for offer in train):
        rules[OWN], rules[AROUND] = _seen_together(source, own=True), _seen_together(source, own=False)
    elif all(offer.are_lists for offer in train):
        rules[TEXT] = _incoherent(train)
    elif listed and not any(offer.named for offer in train):
        rules[TEXT] = _words_of_the_context(train)
    elif all(len(offer.asked) == 2 and not offer.named for offer in train):
        shared = _shared_words(source, train)
        rules[TEXT] = by_part(train, lambda offer: shared(*offer.asked))
    if all(offer.nodes and offer.asked and not offer.named for offer in train):
        neighbours = _shared_neighbours(source)
        rules[STRUCTURE] = lambda offer: [max(neighbours(asked, node) for asked in offer.asked) for node in offer.nodes]
    elif all(len(offer.asked) == 2 and not offer.named for offer in train):
        neighbours = _shared_neighbours(source)
        rules[STRUCTURE] = by_part(train, lambda offer: neighbours(*offer.asked))
    named = {name: one_by_one(weights) for name, weights in rules.items()}
    if OWN in rules:
        named[OWN_AND_AROUND] = one_by_one(_best_sum(train, rules[OWN], rules[AROUND]))
    elif len(rules) == 2:
        both = one_by_one(_together(*rules.values()))
        named |= {BOTH: both, SHUFFLED: lambda offers: both(_shuffled(offers))}
    return named


def _together(*rules: Weights) -> Weights:
    """The sum of several rules' weights, each scaled to the range from 0 to 1."""

    def scaled(weights: Sequence[float]) -> list[float]:
        low, high = min(weights), max(weights)
        return [(weight - low) / (high - low) if high > low else 0.0 for weight in weights]

    return lambda offer: [sum(parts) for parts in zip(*(scaled(weights(offer)) for weights in rules), strict=True)]


def _best_sum(train: Sequence[Offer], first: Weights, second: Weights) -> Weights:
    """The first rule's weights and a share of the second's: the share with which most of train is right."""
    known = [(offer, np.array(first(offer)), np.array(second(offer))) for offer in train]

    def right(share: float) -> int:
        return sum(offer.labels[int(np.argmax(one + share * other))] in offer.right for offer, one, other in known)

    best = max(SHARES, key=right)
    return lambda offer: (np.array(first(offer)) + best * np.array(second(offer))).tolist()


def _shuffled(offers: Sequence[Offer]) -> list[Offer]:
    """Each offer's options under the question of the one before; of two asked nodes, the second is that one's."""
    shuffled = []
    for offer, other in zip(offers, [offers[-1], *offers[:-1]], strict=True):
        if offer.has_texts:
            shuffled.append(replace(other, labels=offer.labels, texts=offer.texts, nodes=offer.nodes))
        else:
            shuffled.append(replace(offer, asked=(offer.asked[0], other.asked[1])))
    return shuffled


def _weights(texts: Sequence[str]) -> Callable[[str], float]:
    """Inverse document frequency: a word that few of the texts have says more."""
    having = Counter(word for text in texts for word in set(words(text)))
    return cache(lambda word: math.log((len(texts) + 1) / (having[word] + 1)))


def _words_of_the_context(train: Sequence[Offer]) -> Weights:
    weight = _weights([text for offer in train for text in offer.texts])

    def weights(offer: Offer) -> list[float]:
        context = set(words(above_options(offer)))
        options = [set(words(text)) for text in offer.texts]
        return [sum(map(weight, used & context)) / (sum(map(weight, used)) + 1) for used in options]

    return weights


def _seen_together(graph: TextAttributedGraph, own: bool) -> Weights:
    """How often the texts of other nodes have an option beside the rarest words of the asked text, or of those around.

    Pointwise mutual information, summed; a text around that has the option itself counts as one more such word.
    """
    having: dict[str, set[int]] = {}
    total_texts = min(MOST_TEXTS, graph.num_nodes)
    for node in np.random.default_rng(0).permutation(graph.num_nodes)[:MOST_TEXTS].tolist():
        for word in set(words(graph.texts[node])):
            having.setdefault(word, set()).add(node)

    def weights(offer: Offer) -> list[float]:
        [asked] = offer.asked
        lines = [line for line in above_options(offer).splitlines() if line.startswith("[")]
        used = {word for line in lines if (BLANK_WORD in line) == own for word in words(line)}
        known = {word: having[word] - {asked} for word in used & having.keys()}
        rarest = sorted((word for word in known if len(known[word]) > 1), key=lambda word: (len(known[word]), word))
        return [_information(having.get(option, set()) - {asked}, option, known, rarest) for option in offer.texts]

    def _information(mine: set[int], option: str, known: dict[str, set[int]], rarest: Sequence[str]) -> float:
        total = math.log(total_texts / (len(mine) + 1)) if option in known else 0.0
        for word in rarest[:RAREST]:
            expected = (len(mine) + 1) * len(known[word]) / total_texts
            total += math.log((len(mine & known[word]) + expected) / (2 * expected))
        return total

    return weights


def _incoherent(train: Sequence[Offer]) -> Weights:
    """Of options that list several texts, how few words one of these shares with the rest of its list."""
    weight = _weights([text for offer in train for text in offer.texts])

    def shared(texts: Sequence[set[str]], place: int) -> float:
        rest = set().union(*(each for other, each in enumerate(texts) if other != place))
        return sum(map(weight, texts[place] & rest)) / (sum(map(weight, texts[place])) + 1)

    def weights(offer: Offer) -> list[float]:
        lists = [[set(words(text)) for text in option.split(" | ")] for option in offer.texts]
        return [-min(shared(texts, place) for place in range(len(texts))) for texts in lists]

    return weights


def _shared_words(graph: TextAttributedGraph, train: Sequence[Offer]) -> Callable[[int, int], float]:
    weight = _weights([graph.texts[node] for offer in train for node in offer.asked])
    used = cache(lambda node: set(words(graph.texts[node])))

    def shared(one_node: int, other_node: int) -> float:
        one, other = used(one_node), used(other_node)
        return sum(map(weight, one & other)) / (sum(map(weight, one | other)) + 1)

    return shared


def _shared_neighbours(graph: TextAttributedGraph) -> Callable[[int, int], float]:
    """How many visible neighbours two nodes share, each by the inverse logarithm of its degree (Adamic, Adar 2003)."""
    visible = edge_view(graph).visible

    def shared(one: int, other: int) -> float:
        common = set(visible.around(one).tolist()) & set(visible.around(other).tolist())
        return sum(1 / math.log(2 + int(visible.degrees[node])) for node in common)

    return shared
