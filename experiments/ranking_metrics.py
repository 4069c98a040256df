"""Are the metrics of ranking, and the calibration error, those of the reference implementations?

    python -m experiments.ranking_metrics

1,000 seeded random cases, most of them full of ties, against scikit-learn (AUC, average precision), OGB's evaluator
(MRR, Hits@K per query and over all negatives), PyKEEN's rank-based evaluator (realistic ranks) and torchmetrics
(calibration error). Each is left out if it is not installed: ``pip install ogb pykeen torchmetrics``. Prints the
largest differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

from ssl4rl.evaluation.labels import BINS, expected_calibration_error
from ssl4rl.evaluation.ranking import Query, ranking_scores

CASES = 1000
Found = dict[str, float]


def cases() -> Iterator[list[Query]]:
    """Queries with equally many candidates, whose scores are ranks among a few to many values."""
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        count, size = int(rng.integers(1, 15)), int(rng.integers(2, 130))
        values = int(rng.choice([1, 2, 5, 30, 10**6]))
        scores = rng.integers(values, size=(count, size)) / 7
        yield [Query(str(at), str(at), None, row, int(rng.integers(size))) for at, row in enumerate(scores)]


def ours(queries: list[Query]) -> Found:
    found = ranking_scores(queries)
    hits = {f"hits@{k}": row["value"] for k, row in found["hits"].items()}
    pooled = {f"pooled hits@{k}": value for k, value in found["pooled_hits"].items()}
    means = {name: found[name]["value"] for name in ("auc", "average_precision", "mrr")}
    return {**means, "mean rank": found["mean_rank"], **hits, **pooled}


def _parts(queries: list[Query]) -> tuple[Any, Any]:
    right = np.array([query.scores[query.true] for query in queries])
    wrong = np.stack([np.delete(query.scores, query.true) for query in queries])
    return right, wrong


def of_sklearn(queries: list[Query]) -> Found:
    from sklearn.metrics import average_precision_score, roc_auc_score

    right, wrong = _parts(queries)
    truth = np.concatenate([np.ones(right.size), np.zeros(wrong.size)])
    scores = np.concatenate([right, wrong.reshape(-1)])
    return {"auc": roc_auc_score(truth, scores), "average_precision": average_precision_score(truth, scores)}


def of_ogb(queries: list[Query]) -> Found:
    import torch
    from ogb.linkproppred import Evaluator

    right, wrong = map(torch.tensor, _parts(queries))
    per_query = Evaluator("ogbl-citation2").eval({"y_pred_pos": right, "y_pred_neg": wrong})
    found = {"mrr": float(per_query["mrr_list"].double().mean())}
    for k in (1, 3, 10):
        found[f"hits@{k}"] = float(per_query[f"hits@{k}_list"].double().mean())
    pooled = Evaluator("ogbl-ppa")
    for k in (1, 3, 10, 20, 50, 100):
        pooled.K = k
        if k <= wrong.numel():
            evaluated = pooled.eval({"y_pred_pos": right, "y_pred_neg": wrong.reshape(-1)})
            found[f"pooled hits@{k}"] = evaluated[f"hits@{k}"]
    return found


def of_pykeen(queries: list[Query]) -> Found:
    import torch
    from pykeen.evaluation.rank_based_evaluator import RankBasedEvaluator

    evaluator = RankBasedEvaluator()
    right, _ = _parts(queries)
    evaluator.process_scores_(
        hrt_batch=torch.zeros(len(queries), 3, dtype=torch.long),
        target="tail",
        scores=torch.tensor(np.stack([query.scores for query in queries])),
        true_scores=torch.tensor(right)[:, None],
    )
    results = evaluator.finalize()
    names = {"mrr": "inverse_harmonic_mean_rank", "mean rank": "arithmetic_mean_rank"}
    names |= {f"hits@{k}": f"hits_at_{k}" for k in (1, 3, 10)}
    return {ours: results.get_metric(f"tail.realistic.{theirs}") for ours, theirs in names.items()}


def calibration() -> float:
    """The largest difference of the calibration error to that of torchmetrics."""
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    largest = 0.0
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        probabilities = rng.dirichlet(np.full(4, 0.5), size=int(rng.integers(1, 60)))
        truth = rng.integers(4, size=len(probabilities))
        theirs = multiclass_calibration_error(
            torch.tensor(probabilities), torch.tensor(truth), num_classes=4, n_bins=BINS, norm="l1"
        )
        right = (probabilities.argmax(axis=1) == truth).astype(float)
        found = expected_calibration_error(probabilities.max(axis=1).tolist(), right.tolist())
        largest = max(largest, abs(found - float(theirs)))
    return largest


def main() -> None:
    peers: dict[str, Callable[[list[Query]], Found]] = {
        "scikit-learn": of_sklearn,
        "ogb": of_ogb,
        "pykeen": of_pykeen,
    }
    every = [(queries, ours(queries)) for queries in cases()]
    for name, evaluate in peers.items():
        try:
            evaluate(every[0][0])
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error}")
            continue
        largest: Found = {}
        for queries, found in every:
            for metric, value in evaluate(queries).items():
                if metric in found:  # Hits@K of all candidates is none
                    largest[metric] = max(largest.get(metric, 0.0), abs(found[metric] - value))
        differences = ", ".join(f"{metric} {value:.0e}" for metric, value in largest.items())
        print(f"{name} {version(name)}, {CASES} cases, largest differences: {differences}")
    try:
        print(f"torchmetrics {version('torchmetrics')}, {CASES} cases: calibration error {calibration():.0e}")
    except ModuleNotFoundError as error:
        print(f"torchmetrics: left out, {error}")


if __name__ == "__main__":
    main()
