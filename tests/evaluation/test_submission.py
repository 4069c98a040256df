"""A table without answers: its replies become the file that the benchmark's site scores."""

import json

import pytest

from ssl4rl.errors import UserError
from ssl4rl.evaluation import submission
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.compare import compare
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.rescore import rescore_run
from ssl4rl.evaluation.run import evaluate
from ssl4rl.evaluation.suite import plan_suite
from ssl4rl.inference.engines import Reply
from ssl4rl.report.tables import print_scores


class Speaker:
    """Says the same to everything."""

    files = None
    identity = {"engine": "speaker", "model": "speaker"}  # noqa: RUF012

    def __init__(self, *replies):
        self.replies = replies

    def stream(self, conversations, sampling, draws=None):
        for index in range(len(conversations)):
            yield index, Reply(self.replies[index % len(self.replies)], 4, False)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))


def ask(table, output, *replies, **settings):
    recipe = EvalRecipe(benchmark="mmbench", dataset=str(table), **settings)
    return evaluate(recipe, Model(Speaker(*replies), ReplyCache(None)), output, say=str)


@pytest.fixture
def unanswered(question_table):
    rows = [{"C": "=1+1", "category": "ocr"}, {"category": "mine", "l2-category": "own"}, {"index": "x7"}]
    columns = ["index", "question", "image", "A", "B", "C", "D", "category", "l2-category"]
    return question_table(*rows, columns=columns)


def test_replies_are_written_in_the_form_of_the_benchmarks_site(unanswered, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    run = ask(unanswered, tmp_path / "run", "<answer>b</answer>", "=none\x07 of these", ablate=["all"], consistent=True)
    header, *rows = openpyxl.load_workbook(run.path / "submission.xlsx").active.iter_rows(values_only=True)
    assert header == ("index", "question", "A", "B", "C", "D", "prediction", "category", "l2-category")
    assert [row[0] for row in rows] == [1, 2, "x7"]
    assert rows[0][4] == "=1+1" and rows[0][7:] == ("ocr", "finegrained_perception (instance-level)")
    assert rows[1][4] is None and rows[1][7:] == ("mine", "own")
    assert sorted(row[6] for row in rows) == ["=none of these", "B", "B"]
    scores = run.scores
    assert scores["accuracy"] is None and scores["parsed"] == scores["valid"] == 2 / 3
    assert scores["submission"] == {"file": "submission.xlsx", "rows": 3} and scores["baselines"] == {}
    assert any("right answers are not known" in note for note in scores["notes"])
    assert [path.name for path in run.path.glob("predictions*")] == ["predictions.jsonl"]
    assert {json.loads(line)["gold"] for line in (run.path / "predictions.jsonl").read_text().splitlines()} == {""}


def test_what_needs_the_answers_is_refused(unanswered, tmp_path):
    pytest.importorskip("openpyxl")
    run = ask(unanswered, tmp_path / "run", "<answer>B</answer>", limit=2)
    for use in (lambda: rescore_run(run, "lenient"), lambda: compare(run, run)):
        with pytest.raises(UserError, match="run answers questions whose right answers are not known"):
            use()


def test_options_in_another_order_are_refused(unanswered, tmp_path):
    with pytest.raises(UserError, match=r"its site, which knows options by the table's letters; leave out"):
        ask(unanswered, tmp_path / "run", "<answer>B</answer>", knobs={"restated": "options"})
    assert not (tmp_path / "run").exists()


def test_the_paper_s_suite_leaves_it_out(unanswered, tmp_path):
    unanswered.rename(tmp_path / "mmbench_test.tsv")
    with pytest.raises(UserError, match=r"mmbench_test\.tsv has no answers; eval --benchmark mmbench writes replies"):
        plan_suite("paper", {"dataset": str(tmp_path)}, "vision")


def test_the_missing_package_is_named_before_anything_is_asked(unanswered, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"has no answers, .* pip install 'ssl4rl\[xlsx\]'"):
        ask(unanswered, tmp_path / "run", "<answer>B</answer>")
    assert not (tmp_path / "run").exists()


def test_a_part_with_answers_is_scored_and_a_mixture_is_refused(question_table, tmp_path):
    table = question_table({}, {"answer": "", "split": "test"}, {"answer": "", "split": "test"})
    assert ask(table, tmp_path / "dev", "<answer>A</answer>", knobs={"part": "dev"}).scores["accuracy"] == 1.0
    with pytest.raises(UserError, match=r"row 3, field answer: it is empty, so the row cannot be scored"):
        ask(table, tmp_path / "both", "<answer>A</answer>")


def test_the_table_without_scores_says_what_to_do_with_the_file(capsys):
    from rich.console import Console

    about = {"benchmark": "mmbench", "dataset": "TEST", "model": "m", "accuracy": None, "rows": 3, "valid": 0.5}
    print_scores({**about, "submission": {"file": "submission.xlsx", "rows": 3}, "notes": []}, Console(width=120))
    assert (
        "submission.xlsx in the run has 3 rows of the table, for the benchmark's site to score"
        in capsys.readouterr().out
    )
