"""Recorded replies, read again."""

import json
import sys

import pytest

from ssl4rl.answers import Outcome
from ssl4rl.cli.main import main

NAMES = {"A": "cat", "B": "dog"}


@pytest.fixture
def run(prediction, write_run):
    return write_run(
        "run",
        [
            prediction("1", ["A"], "<answer>A</answer>", NAMES),
            prediction("2", ["A"], "<answer>cat</answer>", NAMES),
            prediction("3", ["B"], "The answer is B.", NAMES),
            prediction("4", ["B"], "no idea", NAMES),
        ],
    )


@pytest.fixture
def ssl4rl(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


def test_lenient_and_strict_stand_beside_the_recorded_scores(run, ssl4rl) -> None:
    path = run.path
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    code, out, err = ssl4rl("rescore", path, "--extraction", "lenient")
    assert code == 0 and not err
    assert "0.250" in out and "0.750" in out and "2 of 4 replies changed" in out
    written = json.loads((path / "scores.lenient.json").read_text())
    assert (written["extraction"], written["accuracy"], written["parsed"]) == ("lenient", 0.75, 0.75)

    code, out, _ = ssl4rl("rescore", path, "--extraction", "strict", "--json")
    found = json.loads(out)
    assert code == 0 and found["changed"] == 0 and found["strict"] == found["recorded"]
    assert json.loads((path / "scores.strict.json").read_text())["accuracy"] == 0.25
    assert {name: (path / name).read_bytes() for name in before} == before


def test_strict_finds_scores_that_were_tampered_with(run, ssl4rl) -> None:
    *honest, last = run.predictions()
    forged = last.model_copy(update={"score": 1.0, "outcome": Outcome.CORRECT, "answer": "B"})
    run.rewrite("predictions.jsonl", [*honest, forged])
    _, out, _ = ssl4rl("rescore", run.path, "--extraction", "strict", "--json")
    assert json.loads(out)["changed"] == 1 and json.loads(out)["recorded"]["accuracy"] == 0.5


def test_an_unfinished_run_and_a_cut_line_are_said(run, ssl4rl) -> None:
    (run.path / "scores.json").unlink()
    file = run.path / "predictions.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    code, out, err = ssl4rl("rescore", run.path, "--extraction", "strict")
    assert code == 0 and "of 3 replies" in out
    assert "was cut off and is left out" in err and "is unfinished" in err


def test_mistakes(run, tmp_path, ssl4rl) -> None:
    assert ssl4rl("rescore", run.path, "--extraction", "lenent")[::2] == (
        2,
        "error: unknown extraction 'lenent'; did you mean lenient?\n",
    )
    assert "is not a run: it has no config.yaml" in ssl4rl("rescore", tmp_path)[2]
    (run.path / "predictions.jsonl").unlink()
    assert "has no predictions.jsonl" in ssl4rl("rescore", run.path, "--extraction", "strict")[2]


def test_a_stopped_run_of_questions_with_several_rows_is_refused(prediction, write_run, ssl4rl) -> None:
    options = {"A": "one", "B": "two"}
    rows = [prediction(str(row), ["A"], "<answer>A</answer>", options, question=f"q{row // 2}") for row in range(3)]
    run = write_run("run", rows)
    assert ssl4rl("rescore", run.path, "--extraction", "strict")[0] == 0
    (run.path / "scores.json").unlink()
    code, _, err = ssl4rl("rescore", run.path, "--extraction", "strict")
    assert code == 2 and "several rows each, of which some may be missing; finish it with --resume" in err
    code, _, err = ssl4rl("compare", run.path, run.path)
    assert code == 2 and "finish it with --resume" in err
