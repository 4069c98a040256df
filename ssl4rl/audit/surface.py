"""Classifiers of what shows on an answer's surface: its place, length, popularity, degree and kind, all of it at once.

They find what no single rule does: a degree that tells among short options only. Of the question's content they see
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.answers import words
from ssl4rl.audit.offers import Offer
from ssl4rl.audit.rules import Rule, log_odds, right_texts
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.population import Population
from ssl4rl.graph.view import edge_view
from ssl4rl.rng import seeded_rng
from ssl4rl.source import Source

Array = NDArray[np.float64]


def fitted_classifiers(source: Source, train: Sequence[Offer]) -> dict[str, Rule]:
    """Logistic regression and gradient boosting, where there are options or two asked nodes to see something of."""
    graph = source if isinstance(source, TextAttributedGraph) and source.num_edges else None
    if all(offer.has_texts for offer in train):
        return _by_option(train, _option_features(graph, train))
    if graph is not None and all(len(offer.asked) == 2 and not offer.has_texts for offer in train):
        order = seeded_rng("halves", len(train)).permutation(len(train)).tolist()
        # What was right of the kinds is counted on other questions than those the classifier is fitted on: on its own
        # ones the count would hold the answer.
        counted, fitted = ([train[place] for place in order[half::2]] for half in (0, 1))
        return _by_question(fitted, _pair_features(graph, counted))
    return {}


def _classifiers() -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    boosting = HistGradientBoostingClassifier(max_iter=50, min_samples_leaf=30, early_stopping=False, random_state=0)
    return {
        "logistic regression on surface features": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "gradient boosting on surface features": boosting,
    }


def _by_option(fitted: Sequence[Offer], features: Callable[[Offer], Array]) -> dict[str, Rule]:
    """Rules that weigh each option by the probability that such a one is right."""
    seen = np.concatenate([features(offer) for offer in fitted])
    right = np.array([label in offer.right for offer in fitted for label in offer.labels])
    if len(set(right.tolist())) < 2:
        return {}

    def rule(model: Any) -> Rule:
        model.fit(seen, right)

        def weights(offers: Sequence[Offer]) -> list[Sequence[float]]:
            chance = model.predict_proba(np.concatenate([features(offer) for offer in offers]))[:, 1]
            ends = np.cumsum([len(offer.labels) for offer in offers])[:-1]
            return [part.tolist() for part in np.split(chance, ends)]

        return weights

    return {name: rule(model) for name, model in _classifiers().items()}


def _by_question(fitted: Sequence[Offer], features: Callable[[Offer], Array]) -> dict[str, Rule]:
    """Rules that weigh each answer by its probability for such a question."""
    if not fitted:
        return {}
    seen = np.stack([features(offer) for offer in fitted])
    golds = np.array([right_texts(offer)[0] for offer in fitted])
    if len(set(golds.tolist())) < 2:
        return {}

    def rule(model: Any) -> Rule:
        model.fit(seen, golds)
        place = {text: number for number, text in enumerate(model.classes_)}

        def weights(offers: Sequence[Offer]) -> list[Sequence[float]]:
            rows = model.predict_proba(np.stack([features(offer) for offer in offers]))
            return [
                [float(row[place[text]]) if text in place else 0.0 for text in offer.texts]
                for offer, row in zip(offers, rows, strict=True)
            ]

        return weights

    return {name: rule(model) for name, model in _classifiers().items()}


def _counts(pairs: Iterable[tuple[Hashable, bool]]) -> Callable[[Hashable], list[float]]:
    """How often a thing was right and was offered, and the logarithm of the odds of that."""
    right, offered = Counter[Hashable](), Counter[Hashable]()
    for thing, is_right in pairs:
        offered[thing] += 1
        right[thing] += is_right
    return lambda thing: [right[thing], offered[thing], log_odds(right[thing], offered[thing])]


def _option_features(graph: TextAttributedGraph | None, train: Sequence[Offer]) -> Callable[[Offer], Array]:
    """[options, F] of an offer: of each option, and how far that is from the mean of its offer.

    Not how often it was right elsewhere, which has rules of its own: it names the option, and a small source has few.
    """
    of_nodes = _node_features(graph) if graph is not None and all(offer.nodes for offer in train) else None

    def features(offer: Offer) -> Array:
        used = [set(words(text)) for text in offer.texts]
        rows = []
        for place, (text, own) in enumerate(zip(offer.texts, used, strict=True)):
            others = set().union(*(each for other, each in enumerate(used) if other != place))
            # Of a list how many different words it has is what is to be read: whether its texts belong together.
            shared = 0.0 if offer.are_lists else len(own & others) / max(len(own), 1)
            # Its rank among the options: they are all cut where the context leaves no room, which tells of the context.
            shorter = sum(len(other) < len(text) for other in offer.texts)
            rows.append([shorter, shared])
        own_rows = np.array(rows, dtype=np.float64)
        if of_nodes is not None:
            own_rows = np.hstack([own_rows, of_nodes(offer)])
        places = np.arange(len(rows), dtype=np.float64)[:, None]
        return np.hstack([places, own_rows, own_rows - own_rows.mean(axis=0)])

    return features


def _node_features(graph: TextAttributedGraph) -> Callable[[Offer], Array]:
    view, groups = edge_view(graph), node_groups(graph)

    def features(offer: Offer) -> Array:
        nodes = list(offer.nodes)
        columns = [np.log1p(view.visible.degrees[nodes]), np.log1p(view.full.degrees[nodes])]
        if groups is not None:
            kinds = groups[nodes]
            columns.append((kinds[:, None] == kinds).sum(axis=1))
            columns.append(kinds == groups[offer.asked[0]] if offer.asked else np.zeros(len(nodes)))
        if offer.named:
            columns += list(np.array([offer.edges_shown(node) for node in nodes]).T)
        return np.stack(columns, axis=1).astype(np.float64)

    return features


@lru_cache(maxsize=4)
def _node_classes(graph: TextAttributedGraph) -> list[Population]:
    """The nodes by degree, and by length of text, in classes: in a small graph the exact numbers name the nodes."""
    lengths = np.array([len(text) for text in graph.texts], dtype=np.int64)
    return [Population.build(np.ones(len(each)), each, None) for each in (edge_view(graph).visible.degrees, lengths)]


def _pair_features(graph: TextAttributedGraph, counted: Sequence[Offer]) -> Callable[[Offer], Array]:
    """[F] of an offer: degrees, lengths of texts and kinds of its two nodes, and what was right of these kinds.

    Not what was right of the nodes elsewhere, which has a rule of its own: it names them, and with names a classifier
    remembers the edges of a small graph.
    """
    groups, classes = node_groups(graph), _node_classes(graph)
    first = right_texts(counted[0])[0]

    def kinds(offer: Offer) -> tuple[int, ...]:
        return () if groups is None else tuple(sorted(int(groups[node]) for node in offer.asked))

    of_kinds = _counts((kinds(offer), first in right_texts(offer)) for offer in counted)

    def features(offer: Offer) -> Array:
        pair = np.array([[each.cell(node) for each in classes] for node in offer.asked], dtype=np.float64)
        return np.concatenate([pair.min(axis=0), pair.max(axis=0), pair.sum(axis=0), of_kinds(kinds(offer))])

    return features
