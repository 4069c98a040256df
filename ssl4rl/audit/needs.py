"""What a task can be answered by: rules that read the texts alone, or the structure alone. Reported, never a fault."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ssl4rl.answers import words
from ssl4rl.audit.offers import Offer, above_options
from ssl4rl.audit.rules import Weights, by_part
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import edge_view
from ssl4rl.source import Source

TEXT, STRUCTURE = "texts alone: shared words", "structure alone: shared neighbours"


def need_rules(source: Source, train: Sequence[Offer]) -> dict[str, Weights]:
    """The rules that can say something about such questions, by what they look at; none for images."""
    if not isinstance(source, TextAttributedGraph):
        return {}
    rules: dict[str, Weights] = {}
    if all(offer.texts != offer.labels for offer in train):
        rules[TEXT] = _words_of_the_context(train)
    elif all(len(offer.asked) == 2 for offer in train):
        rules[TEXT] = by_part(train, _shared_words(source, train))
    if all(offer.nodes and offer.asked for offer in train):
        neighbours = _shared_neighbours(source)
        rules[STRUCTURE] = lambda offer: [max(neighbours(asked, node) for asked in offer.asked) for node in offer.nodes]
    elif all(len(offer.asked) == 2 for offer in train):
        neighbours = _shared_neighbours(source)
        rules[STRUCTURE] = by_part(train, lambda offer: neighbours(*offer.asked))
    return rules


def _weights(texts: Sequence[str]) -> Callable[[str], float]:
    """Inverse document frequency: a word that few of the texts have says more."""
    having = Counter(word for text in texts for word in set(words(text)))
    return lambda word: math.log((len(texts) + 1) / (having[word] + 1))


def _words_of_the_context(train: Sequence[Offer]) -> Weights:
    weight = _weights([text for offer in train for text in offer.texts])

    def weights(offer: Offer) -> list[float]:
        context = set(words(above_options(offer)))
        options = [set(words(text)) for text in offer.texts]
        return [sum(map(weight, used & context)) / (sum(map(weight, used)) + 1) for used in options]

    return weights


def _shared_words(graph: TextAttributedGraph, train: Sequence[Offer]) -> Callable[[Offer], float]:
    weight = _weights([graph.texts[node] for offer in train for node in offer.asked])

    def shared(offer: Offer) -> float:
        one, other = (set(words(graph.texts[node])) for node in offer.asked)
        return sum(map(weight, one & other)) / (sum(map(weight, one | other)) + 1)

    return shared


def _shared_neighbours(graph: TextAttributedGraph) -> Callable[[int, int], float]:
    """How many visible neighbours two nodes share, each by the inverse logarithm of its degree (Adamic, Adar 2003)."""
    visible = edge_view(graph).visible

    def shared(one: int, other: int) -> float:
        common = set(visible.around(one).tolist()) & set(visible.around(other).tolist())
        return sum(1 / math.log(2 + int(visible.degrees[node])) for node in common)

    return shared
