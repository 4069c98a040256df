"""How models without language score the candidates of a ranking, from the edges that prompts may show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

from ssl4rl.evaluation.baselines.base import (
    LEFT_OUT_ON_TRAIN,
    AnswerCache,
    Baseline,
    BaselineAnswers,
    Features,
    fit,
)
from ssl4rl.evaluation.baselines.classical import PAIR_SCORES, Scores, cosine, joined, tfidf
from ssl4rl.example import Example
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.benchmarks.ranking import Ranking
from ssl4rl.graph.view import edge_view


def rank(
    benchmark: Ranking, examples: Sequence[Example], say: Callable[[str], None] = lambda _: None
) -> BaselineAnswers:
    """The score that each baseline gives the candidates which ``examples`` ask about.

    ``text only`` is the cosine similarity of the two texts' TF-IDF; ``common neighbours``, ``adamic-adar`` and ``degree
    product`` read edges alone. ``frequency``, for graphs with relations, is how often a node is at that end of that
    relation in train.
    """
    baselines = BaselineAnswers()
    if benchmark.split == "train":
        baselines.notes.append(LEFT_OUT_ON_TRAIN)
        return baselines
    asked = [[example.meta.get(key) for key in ("asked", "relation", "question")] for example in examples]
    kept = AnswerCache(benchmark.source.fingerprint, [benchmark.name, benchmark.version, benchmark.split, asked])
    for name, scores, seconds in fit(_baselines(benchmark, examples), kept, baselines.notes, say):
        baselines.scores[name], baselines.seconds[name] = scores, seconds
    return baselines


def _baselines(benchmark: Ranking, examples: Sequence[Example]) -> Iterator[Baseline]:
    graph = benchmark.source
    pairs: IntArray = np.array([example.meta["asked"] for example in examples], dtype=np.int64).reshape(-1, 2).T
    matrix = cache(lambda: joined(graph.num_nodes, graph.edge_index[:, edge_view(graph).asked["train"]]))
    texts = Features("", "tf-idf", lambda: tfidf(graph.texts))
    yield Baseline("text only", lambda features: cosine(features, pairs).tolist(), texts)
    for name, score in PAIR_SCORES.items():
        yield Baseline(name, lambda _, score=score: score(matrix(), pairs).tolist(), prepare=matrix)  # type: ignore[misc]
    if graph.relations is not None:
        yield Baseline("frequency", lambda _: _frequency(benchmark, examples).tolist())


def _frequency(benchmark: Ranking, examples: Sequence[Example]) -> Scores:
    train = edge_view(benchmark.source).asked["train"]
    relations = benchmark.relations[train].tolist()
    counts = {
        side: Counter(zip(relations, benchmark.source.edge_index[end, train].tolist(), strict=True))
        for end, side in enumerate(("head", "tail"))
    }

    if not benchmark.source.directed:
        counts = dict.fromkeys(counts, counts["head"] + counts["tail"])

    def of(example: Example) -> int:
        side = example.meta["question"].rpartition(":")[2]
        return counts[side][example.meta["relation"], example.meta["asked"][side == "tail"]]

    return np.array([of(example) for example in examples], dtype=np.float64)
