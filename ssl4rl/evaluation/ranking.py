"""Metrics of ranking: where the true candidate of each query comes, and how well scores part right from wrong ones.

Ranks are realistic: the mean of the best and the worst place among candidates of equal score (Berrendorf et al. 2020,
"On the Ambiguity of Rank-Based Evaluation"; PyKEEN's ``realistic``, and what OGB's evaluator of MRR does). A model that
gives every candidate one score is then no better than chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.intervals import BOOTSTRAP_DRAWS, FEWEST, wilson
from ssl4rl.records import Prediction
from ssl4rl.statistics import Clusters, PairedDifference

HITS_AT = (1, 3, 10, 20, 50, 100)
"""The K of Hits@K that are reported, as far as they are below the number of candidates."""
MANY_TIES = 0.05
"""From this share of the queries on, ties of the true candidate are worth a note."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """The candidates of one query, exactly one of which is right."""

    name: str
    edge: str
    """The edge whose end is looked for; queries about one edge are not independent."""
    side: str | None
    """Which end that is, where edges have a direction."""
    scores: Floats
    """The score of each candidate; the higher, the likelier."""
    true: int
    """The place of the right one."""

    @cached_property
    def above(self) -> int:
        """How many candidates score higher than the right one."""
        return int((self.scores > self.scores[self.true]).sum())

    @cached_property
    def tied(self) -> int:
        """How many others score the same."""
        return int((self.scores == self.scores[self.true]).sum()) - 1

    @property
    def rank(self) -> float:
        """The realistic rank of the right one, from 1."""
        return 1 + self.above + self.tied / 2


def is_ranking(predictions: Sequence[Prediction]) -> bool:
    """Whether they are the candidates of queries."""
    return bool(predictions) and predictions[0].edge is not None


def queries_of(predictions: Sequence[Prediction], scores: Sequence[float] | None = None) -> list[Query]:
    """The queries of a run's predictions, in order of first appearance.

    A candidate's score is the log-likelihood of "yes" less that of "no", or what ``scores`` has at its place.
    """
    rows: dict[str, list[int]] = {}
    for place, prediction in enumerate(predictions):
        rows.setdefault(str(prediction.question), []).append(place)
    values = np.asarray([_log_odds(row) for row in predictions] if scores is None else scores, dtype=np.float64)
    queries = []
    for name, places in rows.items():
        true = [at for at, place in enumerate(places) if predictions[place].accepted == ["yes"]]
        if len(true) == 1:  # of a part of a run, it may be missing
            first = predictions[places[0]]
            queries.append(Query(name, str(first.edge), first.category, values[places], true[0]))
    return queries


def _log_odds(prediction: Prediction) -> float:
    if prediction.logprobs is None:
        raise ValueError(f"prediction {prediction.id} has no likelihoods, by which its query is ranked")
    return prediction.logprobs["yes"] - prediction.logprobs["no"]


def ranking_scores(queries: Sequence[Query]) -> dict[str, Any]:
    """The metrics of at least one query, each with its 95 % interval, clustered by edge.

    ``mrr`` is the mean reciprocal rank and ``hits`` the share of the queries whose rank is at most K, by K. ``auc`` and
    ``average_precision`` are over the candidates of all queries together, as is ``pooled_hits``, OGB's Hits@K: the
    share of the right ones that score higher than the K-th highest of all wrong ones. ``tied`` is the share of the
    queries in which others score the same as the right one, ``chance`` what scores at random would get, and ``sides``
    has the queries of each end, where edges have a direction.
    """
    sizes = [len(query.scores) for query in queries]
    found = {
        "queries": len(queries),
        "edges": len({query.edge for query in queries}),
        "candidates": {"least": min(sizes), "mean": sum(sizes) / len(sizes), "most": max(sizes)},
        **_of_ranks(queries),
        **_pooled(queries),
        "tied": sum(query.tied > 0 for query in queries) / len(queries),
        "chance": {
            "mrr": _mean([_harmonic(size) / size for size in sizes]),
            "hits": {str(k): _mean([min(k, size) / size for size in sizes]) for k in _hits_at(sizes)},
            "auc": 0.5,
            "average_precision": len(sizes) / sum(sizes),
        },
    }
    sides = sorted({query.side for query in queries if query.side is not None})
    if len(sides) > 1:
        found["sides"] = {side: _of_ranks([query for query in queries if query.side == side]) for side in sides}
    return found


def ranked_beside(baseline: Sequence[Query], model: Sequence[Query]) -> dict[str, Any]:
    """A baseline's metrics; ``accuracy`` is Hits@1, and by how much the model's MRR is better, on the same queries."""
    by_name = {query.name: query for query in model}
    pairs = [(query, by_name[query.name]) for query in baseline]
    paired = PairedDifference.of(
        [1 / query.rank for query, _ in pairs], [1 / query.rank for _, query in pairs], _clusters(baseline)
    )
    found = ranking_scores(baseline)
    first = found["hits"]["1"]
    return {
        "accuracy": first["value"],
        "low": first["low"],
        "high": first["high"],
        "n": len(baseline),
        "model_minus_baseline": {"difference": paired.difference, "low": paired.low, "high": paired.high},
        "ranking": found,
    }


def tie_notes(queries: Sequence[Query], dtype: str) -> list[str]:
    """A note if the right candidate ties with others in many queries."""
    share = sum(query.tied > 0 for query in queries) / len(queries)
    if share < MANY_TIES:
        return []
    told = "" if dtype == "float32" else ": 16-bit weights give coarse likelihoods, which --dtype float32 tells apart"
    return [
        f"many ties: in {share:.0%} of the queries the right candidate scores the same as others and gets the mean of "
        f"their places{told}"
    ]


def _of_ranks(queries: Sequence[Query]) -> dict[str, Any]:
    ranks = [query.rank for query in queries]
    clusters = Clusters(_clusters(queries))

    def mean(values: list[float]) -> dict[str, float]:
        low, high = clusters.interval(values)
        return {"value": _mean(values), "low": low, "high": high}

    sizes = [len(query.scores) for query in queries]
    return {
        "mrr": mean([1 / rank for rank in ranks]),
        "mean_rank": _mean(ranks),
        "hits": {str(k): mean([float(rank <= k) for rank in ranks]) for k in _hits_at(sizes)},
    }


def _hits_at(sizes: Sequence[int]) -> list[int]:
    return [k for k in HITS_AT if k == 1 or k < max(sizes)]


def _clusters(queries: Sequence[Query]) -> list[list[str]]:
    return [[query.edge] for query in queries]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _harmonic(n: int) -> float:
    return float(np.sum(1 / np.arange(1, n + 1)))


def _pooled(queries: Sequence[Query]) -> dict[str, Any]:
    scores = np.concatenate([query.scores for query in queries])
    right = np.zeros(len(scores), dtype=bool)
    starts = np.cumsum([0, *(len(query.scores) for query in queries)])
    right[[start + query.true for start, query in zip(starts[:-1], queries, strict=True)]] = True
    edges = {edge: number for number, edge in enumerate(dict.fromkeys(query.edge for query in queries))}
    owner = np.repeat([edges[query.edge] for query in queries], np.diff(starts))
    curves = Curves(scores, right, owner)
    wrong = np.sort(scores[~right])[::-1]
    pooled = {str(k): float((scores[right] > wrong[k - 1]).mean()) for k in HITS_AT if k <= len(wrong)}
    return {
        "auc": curves.resampled(roc_auc),
        "average_precision": curves.resampled(average_precision),
        "pooled_hits": pooled,
    }


def roc_auc(right: Floats, wrong: Floats) -> float:
    """The area under the ROC curve, ties counting half (Mann and Whitney 1947).

    ``right`` and ``wrong`` are how many there are at each score, the highest first.
    """
    above = np.cumsum(right) - right
    return float((wrong * (above + right / 2)).sum() / (right.sum() * wrong.sum()))


def average_precision(right: Floats, wrong: Floats) -> float:
    """The precision at each score, weighted by the recall gained there; scores that are equal are one threshold.

    ``right`` and ``wrong`` are how many there are at each score, the highest first.
    """
    kept, all_kept = np.cumsum(right), np.cumsum(right + wrong)
    precision = np.divide(kept, all_kept, out=np.zeros_like(kept), where=all_kept > 0)
    return float((right * precision).sum() / right.sum())


class Curves:
    """Candidates by score: what curves over thresholds need.

    ``scores`` [n], whether each is ``right`` [n], and ``owner`` [n], the number of the edge that it belongs to: edges
    are drawn again as a whole.
    """

    def __init__(self, scores: Floats, right: NDArray[np.bool_], owner: NDArray[np.int64]) -> None:
        order = np.argsort(-scores, kind="stable")
        self._right, self._owner = right[order].astype(np.float64), owner[order]
        in_order = scores[order]
        self._starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
        self._edges = int(owner.max()) + 1

    def of(self, metric: Callable[[Floats, Floats], float], weights: Floats | None = None) -> float:
        """The metric, each edge counting as often as ``weights`` [edges] says."""
        weight = np.ones(len(self._owner)) if weights is None else weights[self._owner]
        right = np.add.reduceat(weight * self._right, self._starts)
        return metric(right, np.add.reduceat(weight * (1 - self._right), self._starts))

    def resampled(self, metric: Callable[[Floats, Floats], float]) -> dict[str, float]:
        """The metric with its bootstrap interval over edges, seeded; of few edges, or without a width, a wider one."""
        value = self.of(metric)
        if self._edges >= FEWEST:
            rng = np.random.default_rng(0)
            each = np.full(self._edges, 1 / self._edges)
            draws = [
                self.of(metric, rng.multinomial(self._edges, each).astype(np.float64)) for _ in range(BOOTSTRAP_DRAWS)
            ]
            low, high = (float(bound) for bound in np.quantile(draws, [0.025, 0.975]))
            if low < high:
                return {"value": value, "low": low, "high": high}
        # The variance is at most that of as many 0s and 1s (Birnbaum and Klose 1957, for the area).
        low, high = wilson(value * self._edges, self._edges)
        return {"value": value, "low": low, "high": high}
