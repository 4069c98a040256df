"""What models without language answer to questions about a graph.

They show what the words of the texts earn without the graph, what the edges earn without the texts, and what a graph
neural network, which a user would otherwise train, earns with both. All of them see what a prompt may show (the texts,
and the edges that prompts are cut from) and the labels of train; thresholds and epochs are chosen on val; nothing of
test is read except the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssl4rl.benchmarks import Benchmark, accepted_answers
from ssl4rl.errors import NotApplicable
from ssl4rl.evaluation.baselines.base import (
    LEFT_OUT_ON_TRAIN,
    AnswerCache,
    Baseline,
    BaselineAnswers,
    Features,
    LeftOut,
    fit,
)
from ssl4rl.evaluation.baselines.classical import (
    PAIR_SCORES,
    Scores,
    SparseMatrix,
    cosine,
    frequency_at_ends,
    joined,
    label_propagation,
    text_to_class,
    text_to_relation,
    tfidf,
)
from ssl4rl.evaluation.baselines.encoder import TextEncoder
from ssl4rl.example import Example
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.graph.benchmarks.relation import RelationPrediction
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import edge_view

MAX_TUNING_PAIRS = 1000
"""Validation items of `link` on which thresholds are chosen."""
NODE_NETWORKS = ("mlp", "gcn", "graphsage", "gat")
PAIR_NETWORKS = ("gcn", "graphsage", "gat")

GraphBenchmark: TypeAlias = Benchmark[TextAttributedGraph, Any]
Say: TypeAlias = Callable[[str], None]


def has_baselines(benchmark: Benchmark[Any, Any]) -> bool:
    """Whether :func:`predict` knows baselines for it."""
    return isinstance(benchmark, NodeClassification | LinkPrediction | RelationPrediction)


def predict(
    benchmark: GraphBenchmark,
    examples: Sequence[Example],
    say: Say = lambda _: None,
    encoder: TextEncoder | None = None,
) -> BaselineAnswers:
    """The baselines' answers to ``examples`` of a benchmark for which :func:`has_baselines` is true.

    ``first option`` is the label offered first. ``majority`` is the class most frequent in train among those offered
    (of equally frequent ones the most frequent in val), a constant for `link`. ``text only`` is a linear model on
    TF-IDF, for `link` the cosine similarity of the two texts. ``label propagation``, ``common neighbours``,
    ``adamic-adar``, ``degree product`` and, for `relation`, ``frequency at ends`` and ``complex`` read edges alone.
    ``mlp``, ``gcn``, ``graphsage`` and ``gat`` are neural networks on TF-IDF. With an ``encoder``, what reads texts is
    fitted to its embeddings as well. Everything is seeded, and answers are kept: those to the same questions are not
    computed again. ``say`` gets a line for each baseline that is fitted.
    """
    first = [next(iter(benchmark.choices(example))) for example in examples]
    baselines = BaselineAnswers({"first option": first})
    if benchmark.split == "train":
        baselines.notes.append(LEFT_OUT_ON_TRAIN)
        return baselines
    fitted = _fitted(benchmark, examples, _features(benchmark.source, encoder, say), baselines.notes)
    for name, answers, seconds in fit(fitted, _cache(benchmark, examples), baselines.notes, say):
        baselines.answers[name], baselines.seconds[name] = answers, seconds
    return baselines


def _cache(benchmark: GraphBenchmark, examples: Sequence[Example]) -> AnswerCache:
    """What was answered to the same questions, whatever their prompts show of the graph."""
    asked = [
        [example.meta["item"], example.meta.get("options"), list(benchmark.choices(example))] for example in examples
    ]
    # The pairs that thresholds are chosen on are drawn as the questions are; of nodes, a test set may have several
    # training sets.
    drawn = [benchmark.name, benchmark.version, benchmark.split, benchmark.seed]
    fitted_to: Any = getattr(benchmark.knobs, "negatives", None)
    if isinstance(benchmark, NodeClassification):
        fitted_to = {part: nodes.tolist() for part, nodes in benchmark.parts.items()}
    return AnswerCache(benchmark.source.fingerprint, [drawn, fitted_to, asked])


def _features(graph: TextAttributedGraph, encoder: TextEncoder | None, say: Say) -> list[Features]:
    found = [Features("", "tf-idf", cache(lambda: tfidf(graph.texts)))]
    if encoder is not None:
        embed = cache(lambda: encoder.embed(graph.texts, say))
        found.append(Features(" on embeddings", encoder.fingerprint, embed))
    return found


def _fitted(
    benchmark: GraphBenchmark, examples: Sequence[Example], features: Sequence[Features], notes: list[str]
) -> Iterator[Baseline]:
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


def _node(
    benchmark: NodeClassification, examples: Sequence[Example], features: Sequence[Features], notes: list[str]
) -> Iterator[Baseline]:
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
    visible = cache(lambda: _visible(graph))

    def by_node(scores: Scores) -> list[str]:
        return _best_offered(benchmark, examples, lambda row: scores[nodes[row]])

    def network(kind: str, rows: Any) -> list[str]:
        from ssl4rl.evaluation.baselines import networks

        return by_node(networks.classify_nodes(kind, rows, visible(), labels, (train, val), count))

    yield Baseline("majority", lambda _: _best_offered(benchmark, examples, lambda _: frequent))
    yield Baseline("label propagation", lambda _: by_node(label_propagation(visible(), train, labels[train], count)))
    for read in features:
        yield Baseline("text only", lambda rows: by_node(text_to_class(rows, train, labels[train], count)), read)
        for kind in NODE_NETWORKS:
            yield Baseline(kind, partial(network, kind), read, _importing("networks"))


def _link(
    benchmark: LinkPrediction, examples: Sequence[Example], features: Sequence[Features], notes: list[str]
) -> Iterator[Baseline]:
    graph, visible = benchmark.source, cache(lambda: _visible(benchmark.source))
    yield Baseline("majority", lambda _: ["yes"] * len(examples))
    tuned = _tuned_on(benchmark, notes)
    if tuned is None:
        notes.append(f"graph {graph.name} has no pairs to choose the thresholds of other baselines on")
        return

    @cache
    def tuning() -> tuple[IntArray, NDArray[np.bool_]]:
        """The pairs that thresholds are chosen on, [2, n], and which of them are linked, [n]."""
        try:
            items = [tuned.example(index) for index in range(min(tuned.size, MAX_TUNING_PAIRS))]
        except NotApplicable as reason:  # not every graph has unlinked pairs enough for two splits
            raise LeftOut(str(reason)) from reason
        return _pairs(items), np.array([accepted_answers(example) == ["yes"] for example in items])

    def structural(score: Callable[[SparseMatrix, IntArray], Scores], _: None) -> list[str]:
        return above_threshold(score(visible(), both()))

    def prepare() -> None:
        _importing("networks")()
        tuning()

    def both() -> IntArray:
        return np.concatenate([tuning()[0], _pairs(examples)], axis=1)

    def above_threshold(scores: Scores) -> list[str]:
        """Yes above the best threshold for the tuning pairs, which come first in ``scores``."""
        linked = tuning()[1]
        threshold = best_threshold(scores[: len(linked)], linked)
        return ["yes" if score > threshold else "no" for score in scores[len(linked) :]]

    def network(kind: str, rows: Any) -> list[str]:
        from ssl4rl.evaluation.baselines import networks

        return above_threshold(networks.score_pairs(kind, rows, visible(), *tuning(), both()))

    for name, score in PAIR_SCORES.items():
        yield Baseline(name, partial(structural, score), prepare=tuning)
    for read in features:
        yield Baseline("text only", lambda rows: above_threshold(cosine(rows, both())), read, tuning)
        for kind in PAIR_NETWORKS:
            yield Baseline(kind, partial(network, kind), read, prepare)


def _relation(
    benchmark: RelationPrediction, examples: Sequence[Example], features: Sequence[Features], notes: list[str]
) -> Iterator[Baseline]:
    graph, asked = benchmark.source, edge_view(benchmark.source).asked
    relations, count = benchmark.relations, len(graph.relation_names)
    if not len(asked["train"]):
        notes.append(f"graph {graph.name} has no training triples to fit baselines to")
        return
    frequent, pairs = _frequencies(relations[asked["train"]], count), _pairs(examples)

    def triples(edges: IntArray) -> tuple[IntArray, IntArray]:
        return graph.edge_index[:, edges], relations[edges]

    train = triples(asked["train"])
    val = triples(asked["val"] if benchmark.split == "test" else asked["val"][:0])

    def by_row(scores: Scores) -> list[str]:
        return _best_offered(benchmark, examples, scores.__getitem__)

    def at_ends(_: None) -> list[str]:
        ends, held = train
        if not graph.directed:  # either node is at either end
            ends, held = np.hstack([ends, ends[::-1]]), np.tile(held, 2)
        return by_row(frequency_at_ends(ends, held, pairs, graph.num_nodes, count))

    def embedded(_: None) -> list[str]:
        from ssl4rl.evaluation.baselines import knowledge

        return by_row(knowledge.embed_relations(train, val, pairs, (graph.num_nodes, count)))

    def network(rows: Any) -> list[str]:
        from ssl4rl.evaluation.baselines import networks

        return by_row(networks.classify_pairs(rows, train, val, pairs, count))

    yield Baseline("majority", lambda _: _best_offered(benchmark, examples, lambda _: frequent))
    yield Baseline("frequency at ends", at_ends)
    yield Baseline("complex", embedded, prepare=_importing("knowledge"))
    for read in features:
        yield Baseline("text only", lambda rows: by_row(text_to_relation(rows, *train, pairs, count)), read)
        yield Baseline("gcn", network, read, _importing("networks"))


def _importing(module: str) -> Callable[[], Any]:
    """What imports a module of this package: one with networks takes seconds, or lacks PyG."""
    return partial(import_module, f"{__package__}.{module}")


def _visible(graph: TextAttributedGraph) -> SparseMatrix:
    """Which nodes are joined by an edge that prompts may show, [N, N]."""
    return joined(graph.num_nodes, graph.edge_index[:, edge_view(graph).asked["train"]])


def _pairs(examples: Sequence[Example]) -> IntArray:
    """The two nodes that each example asks about, [2, n]."""
    return np.array([example.meta["asked"] for example in examples], dtype=np.int64).reshape(-1, 2).T


def _tuned_on(benchmark: LinkPrediction, notes: list[str]) -> Any:
    """The benchmark on the split that thresholds are chosen on: val, or train if val is asked about or has no pairs."""
    for split in ("val", "train"):
        if split == benchmark.split:
            continue
        try:
            other = benchmark.on_split(split)
        except NotApplicable:
            continue
        if split == "train":
            notes.append("thresholds are chosen on training pairs, which the networks were fitted to")
        return other
    return None


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
