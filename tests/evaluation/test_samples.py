"""Several replies to each question: the estimators, and what an evaluation asks, records and resumes."""

import itertools
import json
import random
from collections import Counter
from statistics import fmean

import pytest
from rich.console import Console

from ssl4rl.errors import UserError
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.rescore import rescore, rescore_run
from ssl4rl.evaluation.run import evaluate
from ssl4rl.evaluation.samples import majorities, pass_at, sample_scores, token_counts
from ssl4rl.inference.engines import Reply, open_engine
from ssl4rl.intervals import wilson
from ssl4rl.report.replies import replies_text
from ssl4rl.report.tables import print_scores

LETTERS = {"A": "oak", "B": "elm", "C": "ash", "D": "oak"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))


def share_of_majorities(votes: list[str | None], right: set[str], k: int) -> float:
    """Majority@k by its definition: every subset of k, one after the other."""
    shares = []
    for subset in itertools.combinations(votes, k):
        counts = Counter(vote for vote in subset if vote is not None)
        tied = [vote for vote, count in counts.items() if count == max(counts.values())]
        shares.append(sum(vote in right for vote in tied) / len(tied) if tied else 0.0)
    return fmean(shares)


def test_majorities_and_pass_are_the_means_over_all_subsets():
    rng = random.Random(0)
    for _ in range(60):
        n = rng.randint(1, 8)
        votes = [rng.choice(["a", "b", "c", "d", None]) for _ in range(n)]
        counts, right = Counter(vote for vote in votes if vote), {"a", "b"}
        found = majorities(
            tuple(counts[vote] for vote in counts if vote in right),
            tuple(counts[vote] for vote in counts if vote not in right),
            votes.count(None),
        )
        assert found == pytest.approx([share_of_majorities(votes, right, k) for k in range(1, n + 1)])
        for k in range(1, n + 1):
            hits = [any(vote in right for vote in subset) for subset in itertools.combinations(votes, k)]
            assert pass_at(k, n, sum(vote in right for vote in votes)) == pytest.approx(fmean(hits))


def test_hundreds_of_replies_are_counted_without_overflow():
    found = majorities((300,), (200,), 12)
    assert len(found) == 512 and found[0] == pytest.approx(300 / 512) and found[-1] == 1.0
    assert all(0 <= share <= 1 + 1e-9 for share in found)


def test_budget_of_hand_written_replies(prediction):
    replies = [
        prediction(item, ["A"], f"<answer>{letter}</answer>", LETTERS, sample=sample, tokens=10, prompt_tokens=50)
        for item, letters in {"1": "ABBC", "2": "AAAA"}.items()
        for sample, letter in enumerate(letters)
    ]
    scores = sample_scores(replies)
    assert scores["n"] == 4 and [row["k"] for row in scores["budget"]] == [1, 2, 4]
    assert [row["pass"]["accuracy"] for row in scores["budget"]] == [0.625, 0.75, 1.0]
    assert [row["majority"]["accuracy"] for row in scores["budget"]] == pytest.approx([0.625, 0.625, 0.5])
    assert [row["tokens"] for row in scores["budget"]] == [10, 20, 40]
    # All right: as sure as two questions make it, not eight replies.
    last = scores["budget"][-1]["pass"]
    assert (last["low"], last["high"], last["n"]) == (*wilson(2, 2), 2)
    assert token_counts(replies) == {"prompt": 100, "reply": 80, "mean_reply": 10}
    assert sample_scores(replies[::4]) is None
    uncounted = [reply.model_copy(update={"prompt_tokens": None}) for reply in replies]
    assert token_counts(uncounted)["prompt"] is None


def test_only_allowed_answers_vote_and_options_with_the_same_text_are_one_answer(prediction):
    def majority(replies, accepted):
        rows = [prediction("1", accepted, reply, LETTERS, sample=sample) for sample, reply in enumerate(replies)]
        return sample_scores(rows)["budget"][-1]["majority"]["accuracy"]

    closed = [f"<answer>{letter}</answer>" for letter in "ADBB"]
    assert majority(closed, ["A", "D"]) == 0.5
    assert majority(closed, ["B"]) == 0.5
    assert majority(["", "no idea", "<answer>Z</answer>", closed[0]], ["A", "D"]) == 1.0
    assert majority(["", "no idea"], ["A"]) == 0.0


def test_a_question_in_several_rows_needs_all_of_them_in_one_draw(prediction):
    replies = [
        prediction(item, ["A"], f"<answer>{letter}</answer>", LETTERS, sample=sample, question="q")
        for item, letters in {"1": "AB", "1000001": "BA"}.items()
        for sample, letter in enumerate(letters)
    ]
    once, twice = sample_scores(replies)["budget"]
    assert once["pass"] == {**once["pass"], "accuracy": 0.0, "n": 1} and twice["pass"]["accuracy"] == 0.0
    assert once["majority"]["accuracy"] == 0.25


class Dice:
    """Answers by the number of the draw, and dies after ``lives`` replies."""

    files = None

    def __init__(self, lives: int = 10_000) -> None:
        self.identity = {"engine": "dice", "model": "dice"}
        self.lives = lives
        self.asked: list[tuple[str, int]] = []

    def stream(self, conversations, sampling, draws=None):
        assert sampling.temperature == 0.8
        for index in reversed(range(len(conversations))):
            if self.lives == 0:
                raise UserError("the server is gone")
            self.lives -= 1
            draw = 0 if draws is None else draws[index]
            self.asked.append((str(conversations[index]), draw))
            yield index, Reply(f"<answer>{'yes' if draw % 3 else 'no'}</answer>", 4, False, 100)


RECIPE = EvalRecipe(benchmark="link", limit=4, again=2, baselines=False, samples=4, temperature=0.8)


def test_a_run_holds_every_sample_and_its_scores_are_of_the_first_ones(tmp_path):
    run = evaluate(RECIPE, Model(Dice(), ReplyCache(None)), tmp_path / "run", say=str)
    lines = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    assert sorted((line["index"], line["sample"]) for line in lines) == list(itertools.product(range(4), range(4)))
    assert len(run.predictions()) == 4 and len(run.predictions(every=True)) == len(run.replies()) == 16
    assert {reply.answer for reply in run.predictions()} == {"no"}
    scores = run.scores
    assert scores["n"] == scores["rows"] == 4 and scores["accuracy"] == 0.5
    assert [row["k"] for row in scores["samples"]["budget"]] == [1, 2, 4]
    assert scores["samples"]["budget"][2]["pass"]["accuracy"] == 1.0
    assert scores["tokens"] == {"prompt": 400, "reply": 64, "mean_reply": 4.0}
    # The ablation has one reply to each of its items.
    ablated = (run.path / "predictions.graph-removed.jsonl").read_text().splitlines()
    assert len(ablated) == 2 and "sample" not in json.loads(ablated[0])
    again = rescore_run(run, "strict")
    assert again.scores["samples"] == scores["samples"] and not again.changed


def test_the_budget_is_printed(tmp_path, capsys):
    run = evaluate(RECIPE, Model(Dice(), ReplyCache(None)), tmp_path / "run", say=str)
    print_scores(run.scores, Console(width=80, highlight=False, markup=False))
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert "the model, first reply" in printed and "tokens: 64 of replies, 4.0 each; 400 of prompts" in printed
    assert [row[0] for row in rows if len(row) == 10 and row[1].endswith("%")] == ["1", "2", "4"]
    assert ["4", "100.0%", "0.510", "–", "1.000"] in [row[:5] for row in rows]
    assert any("→ sample 3 · " in replies_text([reply]) for reply in run.replies())


def test_resuming_asks_for_the_samples_that_are_missing(tmp_path):
    whole = evaluate(RECIPE, Model(Dice(), ReplyCache(None)), tmp_path / "whole", say=str)
    with pytest.raises(UserError, match="the server is gone"):
        evaluate(RECIPE, Model(Dice(lives=7), ReplyCache(None)), tmp_path / "run", say=str)
    dice, said = Dice(), []
    run = evaluate(RECIPE, Model(dice, ReplyCache(None)), tmp_path / "run", resume=True, say=said.append)
    assert len(dice.asked) == 16 + 2 - 7 and any("of 16 replies" in line for line in said)
    assert run.predictions(every=True) != [] and run.scores["samples"] == whole.scores["samples"]


def test_replies_are_kept_by_the_number_of_their_draw(tmp_path):
    first, second = Dice(), Dice()
    evaluate(RECIPE, Model(first, ReplyCache("dice")), tmp_path / "a", say=str)
    more = RECIPE.model_copy(update={"samples": 6})
    run = evaluate(more, Model(second, ReplyCache("dice")), tmp_path / "b", say=str)
    assert {draw for _, draw in second.asked} == {4, 5} and len(second.asked) == 8
    assert run.scores["samples"]["n"] == 6


def test_drawn_replies_of_a_model_are_the_same_in_a_longer_run(tmp_path):
    recipe = RECIPE.model_copy(update={"model": "tiny", "engine": "transformers", "max_new_tokens": 24, "again": 1})
    tiny = open_engine("transformers", "tiny")

    def replies(name, **changes):
        run = evaluate(
            recipe.model_copy(update=changes), Model(tiny, ReplyCache(None)), tmp_path / name, say=str, ablate=[]
        )
        return {(one.index, one.sample): one.reply for one in run.predictions(every=True)}

    few, many = replies("few", limit=2, samples=2), replies("many")
    assert few.items() <= many.items() and len(set(many.values())) > 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 4}, "--samples 4: greedy decoding gives the same reply every time; add --temperature 0.7"),
        ({"samples": 4, "temperature": 0}, "--samples 4: greedy decoding"),
        ({"samples": 4, "level": "paper"}, "--samples 4: greedy decoding"),
        ({"samples": 4, "temperature": 1, "scoring": "likelihood"}, "--samples: nothing is drawn with --scoring lik"),
        ({"temperature": 1, "scoring": "likelihood"}, "--temperature: nothing is drawn with --scoring likelihood"),
        ({"samples": 0}, "--samples 0: "),
    ],
)
def test_samples_that_could_not_differ_are_refused(settings, message):
    with pytest.raises(UserError) as refused:
        EvalRecipe.build({"benchmark": "node", **settings})
    assert str(refused.value).startswith(message)


def test_a_temperature_takes_the_place_of_the_papers_sampling():
    paper = EvalRecipe.build({"benchmark": "node", "level": "paper", "temperature": 0.7}).sampling
    assert (paper.temperature, paper.top_p, paper.top_k, paper.max_new_tokens) == (0.7, 1.0, 0, 2048)


def test_items_that_a_stopped_run_asked_in_part_are_left_out(prediction):
    def replies(letters):
        return [
            prediction(item, ["A"], f"<answer>{letter}</answer>", LETTERS, sample=sample, tokens=10)
            for item, given in letters.items()
            for sample, letter in enumerate(given)
        ]

    whole = sample_scores(replies({"1": "AB", "2": "AA"}))
    assert sample_scores(replies({"1": "AB", "2": "AA", "3": "B"})) == whole
    assert sample_scores(replies({"3": "B", "1": "AB", "2": "AA"})) == whole
    assert rescore(replies({"1": "AB", "2": "AA"}), "lenient").replies == 4
