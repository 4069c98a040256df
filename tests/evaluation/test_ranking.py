"""Ranking metrics by their formulas, scikit-learn's, and on hand-counted queries."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl4rl.evaluation.ranking import Query, queries_of, ranked_beside, ranking_scores, tie_notes
from ssl4rl.evaluation.scores import per_question, scores


def query(name: str, values: list[float], true: int, edge: str | None = None, side: str | None = None) -> Query:
    return Query(name, edge or name, side, np.array(values, dtype=float), true)


@pytest.mark.parametrize("values", [1, 2, 5, 30, 10**6])
def test_a_thousand_random_cases_agree_with_scikit_learn_and_the_formulas_of_ogb_and_pykeen(values: int, monkeypatch):
    monkeypatch.setattr("ssl4rl.evaluation.ranking.BOOTSTRAP_DRAWS", 2)
    for seed in range(200):
        rng = np.random.default_rng([values, seed])
        table = rng.integers(values, size=(int(rng.integers(1, 15)), int(rng.integers(2, 130)))) / 7
        true = rng.integers(table.shape[1], size=len(table))
        found = ranking_scores([query(str(at), row, true[at]) for at, row in enumerate(table)])

        right = table[np.arange(len(table)), true]
        wrong = np.stack([np.delete(row, at) for row, at in zip(table, true, strict=True)])
        truth = np.concatenate([np.ones(right.size), np.zeros(wrong.size)])
        pooled = np.concatenate([right, wrong.reshape(-1)])
        assert found["auc"]["value"] == pytest.approx(roc_auc_score(truth, pooled), abs=1e-12)
        assert found["average_precision"]["value"] == pytest.approx(average_precision_score(truth, pooled), abs=1e-12)

        # OGB: half of those above and of those at least as high, plus one. PyKEEN: the mean of the best and the worst.
        ogb = 0.5 * ((wrong > right[:, None]).sum(1) + (wrong >= right[:, None]).sum(1)) + 1
        best, worst = (table > right[:, None]).sum(1) + 1, (table >= right[:, None]).sum(1)
        assert (ogb == 0.5 * (best + worst)).all()
        assert found["mrr"]["value"] == pytest.approx((1 / ogb).mean(), abs=1e-12)
        assert found["mean_rank"] == pytest.approx(ogb.mean(), abs=1e-12)
        for k, hits in found["hits"].items():
            assert hits["value"] == pytest.approx((ogb <= int(k)).mean(), abs=1e-12)
        for k, share in found["pooled_hits"].items():
            assert share == pytest.approx((right > np.sort(wrong.reshape(-1))[-int(k)]).mean(), abs=1e-12)


def test_hand_counted_queries() -> None:
    found = ranking_scores(
        [
            query("first", [0.9, 0.1, 0.2, 0.3], 0),
            query("second", [0.9, 0.8, 0.2, 0.3], 1),
            query("tied with one", [0.5, 0.5, 0.2, 0.3], 0),
            query("all tied", [0.5, 0.5, 0.5, 0.5], 3),
        ]
    )
    # Ranks 1, 2, 1.5 and 2.5: a tie for the first place is no hit.
    assert found["mrr"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 1.5 + 1 / 2.5) / 4)
    assert {k: row["value"] for k, row in found["hits"].items()} == {"1": 0.25, "3": 1.0}
    assert (found["tied"], found["mean_rank"], found["queries"]) == (0.5, 1.75, 4)
    assert found["chance"]["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert found["chance"]["hits"] == {"1": 0.25, "3": 0.75} and found["chance"]["average_precision"] == 0.25


def test_scores_that_are_all_equal_are_chance_and_perfect_ones_have_an_interval() -> None:
    equal = ranking_scores([query(str(at), [0.0] * 9, at % 9) for at in range(50)])
    assert equal["auc"]["value"] == 0.5 and equal["mean_rank"] == 5 and equal["hits"]["3"]["value"] == 0
    perfect = ranking_scores([query(str(at), [1.0, *[0.0] * 8], 0) for at in range(50)])
    for name in ("auc", "average_precision", "mrr"):
        assert perfect[name]["value"] == 1 == perfect[name]["high"] and 0.9 < perfect[name]["low"] < 0.95
    one = ranking_scores([query("a", [1.0, 0.0], 0)])
    assert one["mrr"]["value"] == 1 and one["mrr"]["low"] < 0.3


def test_both_ends_of_an_edge_count_as_one_where_they_are_alike() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.random(10).tolist() for _ in range(60)]
    once = ranking_scores([query(f"{at}", row, 0, edge=str(at)) for at, row in enumerate(rows)])
    twice = ranking_scores(
        [query(f"{at} {side}", row, 0, str(at), side) for at, row in enumerate(rows) for side in ("head", "tail")]
    )
    assert twice["queries"] == 120 and twice["edges"] == 60
    for name in ("mrr", "auc", "average_precision"):
        assert twice[name]["value"] == pytest.approx(once[name]["value"], rel=0.03)
        width = [found[name]["high"] - found[name]["low"] for found in (once, twice)]
        assert width[1] == pytest.approx(width[0], rel=0.1)
    assert twice["sides"]["head"]["mrr"]["value"] == twice["sides"]["tail"]["mrr"]["value"] == once["mrr"]["value"]


def test_bootstrapped_areas_hold_the_true_one() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(40):
        rows = [query(str(at), [*(rng.normal(size=1) + 1), *rng.normal(size=5)], 0) for at in range(40)]
        auc = ranking_scores(rows)["auc"]
        covered += auc["low"] <= 0.7602 <= auc["high"]  # Φ(1 / √2)
    assert covered >= 35


def test_a_baseline_is_compared_on_the_same_queries() -> None:
    model = [query(str(at), [1, 0, 0, 0], at % 2) for at in range(40)]
    baseline = [query(str(at), [0, 0, 0, 0], at % 2) for at in range(40)]
    row = ranked_beside(baseline, model)
    assert row["n"] == 40 and row["accuracy"] == 0
    assert row["ranking"]["mrr"]["value"] == pytest.approx(0.4)
    assert row["model_minus_baseline"]["difference"] == pytest.approx((1 + 1 / 3) / 2 - 0.4)
    assert ranked_beside(baseline[:10], model)["n"] == 10


def test_many_ties_get_a_note_that_names_the_remedy() -> None:
    tied = [query(str(at), [0, 0, 1], 0) for at in range(10)]
    apart = [query(str(at), [0, 1, 2], 0) for at in range(90)]
    assert tie_notes(apart, "auto") == []
    (note,) = tie_notes([*tied, *apart], "bfloat16")
    assert "in 10% of the queries" in note and "--dtype float32 tells apart" in note
    assert "--dtype" not in tie_notes([*tied, *apart], "float32")[0]


def test_candidates_of_a_run_are_ranked_by_yes_against_no(prediction) -> None:
    names = {"yes": "yes", "no": "no"}

    def row(query: str, node: int, is_true: bool, yes: float, no: float):
        accepted = ["yes"] if is_true else ["no"]
        about = {"question": query, "edge": query.split(":")[0], "category": query.split(":")[1]}
        reply = "<answer>yes</answer>" if yes > no else "<answer>no</answer>"
        return prediction(f"{query}:{node}", accepted, reply, names, logprobs={"yes": yes, "no": no}, **about)

    rows = [
        # Only the difference counts: the right one is the likeliest "yes" and yet the second.
        row("1-2:tail", 2, True, -1.0, -1.5),
        row("1-2:tail", 5, False, -3.0, -9.0),
        row("1-2:tail", 6, False, -4.0, -1.0),
        row("1-2:head", 1, True, -1.0, -2.0),
        row("1-2:head", 7, False, -1.0, -1.0),
    ]
    assert [query.rank for query in queries_of(rows)] == [2, 1]
    found = scores(rows)
    assert (found["n"], found["rows"], found["accuracy"]) == (2, 5, 0.5) and "categories" not in found
    assert found["ranking"]["sides"]["head"]["mrr"]["value"] == 1
    assert found["chance"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert {name: score.value for name, score in per_question(rows).items()} == {"1-2:tail": 0.0, "1-2:head": 1.0}
    # What a baseline scores takes the place of the likelihoods; a query without its right candidate is left out.
    assert [query.rank for query in queries_of(rows, [3, 2, 1, 0, 0])] == [1, 1.5]
    assert [query.name for query in queries_of(rows[1:])] == ["1-2:head"]
    with pytest.raises(ValueError, match="has no likelihoods"):
        queries_of([rows[0].model_copy(update={"logprobs": None})])
