"""How models without language score the candidates of a ranking, from the edges that prompts may show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ssl4rl.evaluation.baselines.base import BaselineAnswers
from ssl4rl.evaluation.baselines.classical import (
    LeftOut,
    Scores,
    adamic_adar,
    common_neighbours,
    cosine,
    degree_product,
    joined,
    tfidf,
)
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
        baselines.notes.append("the baselines are fitted on train, so they are left out for items of train")
        return baselines
    for name, make in _makers(benchmark, examples):
        say(f"baseline: {name}")
        try:
            baselines.scores[name] = make().tolist()
        except LeftOut as reason:
            baselines.notes.append(f"{name} is left out: {reason}")
    return baselines


def _makers(benchmark: Ranking, examples: Sequence[Example]) -> Iterator[tuple[str, Callable[[], Scores]]]:
    graph = benchmark.source
    pairs: IntArray = np.array([example.meta["asked"] for example in examples], dtype=np.int64).reshape(-1, 2).T
    matrix = joined(graph.num_nodes, graph.edge_index[:, edge_view(graph).asked["train"]])
    yield "text only", lambda: cosine(tfidf(graph.texts), pairs)
    yield "common neighbours", lambda: common_neighbours(matrix, pairs)
    yield "adamic-adar", lambda: adamic_adar(matrix, pairs)
    yield "degree product", lambda: degree_product(matrix, pairs)
    if graph.relations is not None:
        yield "frequency", lambda: _frequency(benchmark, examples)


def _frequency(benchmark: Ranking, examples: Sequence[Example]) -> Scores:
    train = edge_view(benchmark.source).asked["train"]
    relations = benchmark.relations[train].tolist()
    counts = {
        side: Counter(zip(relations, benchmark.source.edge_index[end, train].tolist(), strict=True))
        for end, side in enumerate(("head", "tail"))
    }

    def of(example: Example) -> int:
        side = example.meta["category"]
        return counts[side][example.meta["relation"], example.meta["asked"][side == "tail"]]

    return np.array([of(example) for example in examples], dtype=np.float64)
