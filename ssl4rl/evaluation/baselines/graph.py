"""What models without language answer to questions about a graph.

They show what the words of the texts earn without the graph, what the edges earn without the texts, and what a graph
neural network, which a user would otherwise train, earns with both. All of them see what a prompt may show (the texts,
and the edges that prompts are cut from) and the labels of train; thresholds and epochs are chosen on val; nothing of
test is read except the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssl4rl.benchmarks import Benchmark, accepted_answers
from ssl4rl.errors import NotApplicable
from ssl4rl.evaluation.baselines.base import BaselineAnswers
from ssl4rl.evaluation.baselines.classical import (
    LeftOut,
    Scores,
    SparseMatrix,
    common_neighbours,
    cosine,
    degree_product,
    joined,
    label_propagation,
    text_to_class,
    text_to_relation,
    tfidf,
)
from ssl4rl.example import Example
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.benchmarks.relation import RelationPrediction
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import edge_view

MAX_TUNING_PAIRS = 1000
"""Validation items of `link` on which thresholds are chosen."""

GraphBenchmark: TypeAlias = Benchmark[TextAttributedGraph, Any]
Features: TypeAlias = Callable[[], SparseMatrix]
"""TF-IDF of all nodes, computed when it is first needed."""


def has_baselines(benchmark: Benchmark[Any, Any]) -> bool:
    """Whether :func:`predict` knows baselines for it."""
    return isinstance(benchmark, NodeClassification | LinkPrediction | RelationPrediction)


def predict(
    benchmark: GraphBenchmark, examples: Sequence[Example], say: Callable[[str], None] = lambda _: None
) -> BaselineAnswers:
    """The baselines' answers to ``examples`` of a benchmark for which :func:`has_baselines` is true.

    ``first option`` is the label offered first. ``majority`` is the class most frequent in train among those offered
    (of equally frequent ones the most frequent in val), a constant for `link`. ``text only`` is a linear model on
    TF-IDF, for `link` the cosine similarity of the two texts. ``label propagation``, ``common neighbours`` and
    ``degree product`` read edges alone (for `relation`, ``majority`` is the baseline without text). ``gcn`` is a
    two-layer graph convolutional network on TF-IDF. Everything is seeded. ``say`` gets a line for each that is fitted.
    """
    baselines = BaselineAnswers({"first option": [next(iter(benchmark.choices(example))) for example in examples]})
    if benchmark.split == "train":
        baselines.notes.append("the baselines are fitted on train, so they are left out for items of train")
        return baselines
    features = cache(lambda: tfidf(benchmark.source.texts))
    for name, make in _makers(benchmark, examples, features, baselines.notes):
        say(f"baseline: {name}")
        try:
            baselines.answers[name] = make()
        except LeftOut as reason:
            baselines.notes.append(f"{name} is left out: {reason}")
        except ModuleNotFoundError as error:
            baselines.notes.append(f"{name} is left out: it needs {error.name}, pip install 'ssl4rl[graph]'")
    return baselines


_Makers: TypeAlias = Iterator[tuple[str, Callable[[], list[str]]]]
"""Names of baselines, and functions that compute the answers of each."""


def _makers(benchmark: GraphBenchmark, examples: Sequence[Example], features: Features, notes: list[str]) -> _Makers:
    match benchmark:
        case NodeClassification():
            return _node(benchmark, examples, features, notes)
        case LinkPrediction():
            return _link(benchmark, examples, features, notes)
        case RelationPrediction():
            return _relation(benchmark, examples, features, notes)
    raise NotApplicable(f"no baselines are known for benchmark {benchmark.name}")


def _best_offered(benchmark: GraphBenchmark, examples: Sequence[Example], scores: Callable[[int], Scores]) -> list[str]:
    """The offered label whose class scores highest; among equals, the class that comes first in the graph.

    ``scores(row)`` gives one value per class of the graph.
    """
    answers = []
    for row, example in enumerate(examples):
        values, options = scores(row), np.asarray(example.meta["options"])
        best = np.lexsort((options, -values[options]))[0]
        answers.append(list(benchmark.choices(example))[best])
    return answers


def _frequencies(classes: IntArray, count: int) -> Scores:
    return np.bincount(classes, minlength=count).astype(np.float64)


def _node(benchmark: NodeClassification, examples: Sequence[Example], features: Features, notes: list[str]) -> _Makers:
    graph, split = benchmark.source, benchmark.parts
    labels, count = benchmark.labels, len(graph.label_names)
    nodes = np.array([example.meta["node"] for example in examples])
    train = split["train"][labels[split["train"]] >= 0]
    # Items of val are predicted from train alone: no epoch may be chosen on them.
    val = split["val"][labels[split["val"]] >= 0] if benchmark.split == "test" else split["val"][:0]
    if not len(train):
        notes.append(f"graph {graph.name} has no labelled training nodes to fit baselines to")
        return
    # Planetoid's splits have equally many training nodes of every class: val decides among them.
    frequent = _frequencies(labels[train], count) + _frequencies(labels[val], count) / (len(val) + 1)
    matrix = _visible(graph)

    def by_node(scores: Scores) -> list[str]:
        return _best_offered(benchmark, examples, lambda row: scores[nodes[row]])

    def propagated() -> list[str]:
        return by_node(label_propagation(matrix, train, labels[train], count))

    def gcn() -> list[str]:
        from ssl4rl.evaluation.baselines import gcn as network

        return by_node(network.classify_nodes(features(), matrix, labels, train, val, count))

    yield "majority", lambda: _best_offered(benchmark, examples, lambda _: frequent)
    yield "text only", lambda: by_node(text_to_class(features(), train, labels[train], count))
    yield "label propagation", propagated
    yield "gcn", gcn


def _link(benchmark: LinkPrediction, examples: Sequence[Example], features: Features, notes: list[str]) -> _Makers:
    graph, matrix = benchmark.source, _visible(benchmark.source)
    yield "majority", lambda: ["yes"] * len(examples)
    tuning = _tuning_examples(benchmark, notes)
    if not tuning:
        notes.append(f"graph {graph.name} has no pairs to choose the thresholds of other baselines on")
        return
    tuning_pairs, pairs = _pairs(tuning), _pairs(examples)
    linked = np.array([accepted_answers(example) == ["yes"] for example in tuning])
    both = np.concatenate([tuning_pairs, pairs], axis=1)

    def above_threshold(scores: Scores) -> list[str]:
        """Yes above the best threshold for the tuning pairs, which come first in ``scores``."""
        threshold = best_threshold(scores[: len(linked)], linked)
        return ["yes" if score > threshold else "no" for score in scores[len(linked) :]]

    def gcn() -> list[str]:
        from ssl4rl.evaluation.baselines import gcn as network

        return above_threshold(network.score_pairs(features(), matrix, tuning_pairs, linked, both))

    yield "text only", lambda: above_threshold(cosine(features(), both))
    yield "common neighbours", lambda: above_threshold(common_neighbours(matrix, both))
    yield "degree product", lambda: above_threshold(degree_product(matrix, both))
    yield "gcn", gcn


def _relation(
    benchmark: RelationPrediction, examples: Sequence[Example], features: Features, notes: list[str]
) -> _Makers:
    graph, asked = benchmark.source, edge_view(benchmark.source).asked
    relations, count, train = benchmark.relations, len(graph.relation_names), asked["train"]
    val = asked["val"] if benchmark.split == "test" else asked["val"][:0]
    if not len(train):
        notes.append(f"graph {graph.name} has no training triples to fit baselines to")
        return
    frequent, pairs = _frequencies(relations[train], count), _pairs(examples)

    def by_row(scores: Scores) -> list[str]:
        return _best_offered(benchmark, examples, scores.__getitem__)

    def triples(edges: IntArray) -> tuple[IntArray, IntArray]:
        return graph.edge_index[:, edges], relations[edges]

    def gcn() -> list[str]:
        from ssl4rl.evaluation.baselines import gcn as network

        return by_row(network.classify_pairs(features(), *triples(train), *triples(val), pairs, count))

    yield "majority", lambda: _best_offered(benchmark, examples, lambda _: frequent)
    yield "text only", lambda: by_row(text_to_relation(features(), *triples(train), pairs, count))
    yield "gcn", gcn


def _visible(graph: TextAttributedGraph) -> SparseMatrix:
    """Which nodes are joined by an edge that prompts may show, [N, N]."""
    return joined(graph.num_nodes, graph.edge_index[:, edge_view(graph).asked["train"]])


def _pairs(examples: Sequence[Example]) -> IntArray:
    """The two nodes that each example asks about, [2, n]."""
    return np.array([example.meta["asked"] for example in examples], dtype=np.int64).reshape(-1, 2).T


def _tuning_examples(benchmark: LinkPrediction, notes: list[str]) -> list[Example]:
    """Items to choose thresholds on: those of val, or of train if val is asked about or has none."""
    for split in ("val", "train"):
        if split == benchmark.split:
            continue
        try:
            other: Any = benchmark.on_split(split)
            examples = [other.example(index) for index in range(min(other.size, MAX_TUNING_PAIRS))]
        except NotApplicable:
            continue
        if split == "train":
            notes.append("thresholds are chosen on training pairs, which the gcn was fitted to")
        return examples
    return []


def best_threshold(scores: Scores, linked: NDArray[np.bool_]) -> float:
    """The threshold above which "yes" is right most often; the lowest of equally good ones.

    The candidates are below all scores, above all, and halfway between neighbouring values.
    """
    values = np.unique(scores)
    candidates = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
    # Right answers above a threshold: linked pairs from it on, and unlinked ones below it.
    yes, no = np.sort(scores[linked]), np.sort(scores[~linked])
    right = len(yes) - np.searchsorted(yes, candidates, "right") + np.searchsorted(no, candidates, "right")
    return float(candidates[np.argmax(right)])
