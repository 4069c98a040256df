"""``ssl4rl log`` on hand-written runs of training and evaluation."""

import json

import pytest

from ssl4rl.answers import Scoring, score
from ssl4rl.example import Example, ExampleId
from ssl4rl.records import Completion, Prediction
from ssl4rl.runs import Run

CHOICES = {"A": "Neural Networks", "B": "Theory"}


def fields(index, reply):
    example = Example(
        ExampleId("shop/2024", "test", "node", "one-hop", {}, 0, index, "01234567"),
        (f"[1] text {index}\nWhich class?",),
        Scoring("score_any_of", {"accepted": ["B"]}),
        gold="B",
        chance=0.5,
    )
    return Prediction.fields_of(example, reply, score(reply, example.scoring))


@pytest.fixture
def evaluation(tmp_path):
    run = Run.create(tmp_path / "evaluation", {"benchmark": "node"})
    for index, reply in enumerate(["<answer>A</answer>", "<answer>B</answer>", "none", "<answer>b</answer>"]):
        labels = {"item": f"node:{index}", "class_name": "Theory", "choices": CHOICES}
        run.append("predictions.jsonl", Prediction(**fields(index, reply), **labels, index=index))
    return run.path


@pytest.fixture
def training(tmp_path):
    run = Run.create(tmp_path / "training", {"tasks": []})
    for step, reply in enumerate(["<answer>A</answer>", "<answer>B</answer>"], start=1):
        run.append("completions.jsonl", Completion(**fields(step, reply), step=step, reward=0.5))
    return run.path


def test_an_evaluation_reads_as_training_does(run, evaluation, training):
    code, out, _ = run("log", evaluation, "-n", "1")
    assert code == 0 and out == (
        "── item node:3 · shop/2024/test/node@one-hop/0/3#01234567\n"
        "[1] text 3\nWhich class?\n  (gold: B (Theory))\n→ correct 1.00\n<answer>b</answer>\n\n"
    )
    code, out, _ = run("log", training, "-n", "1")
    assert code == 0 and out == (
        "── step 2 · shop/2024/test/node@one-hop/0/2#01234567\n"
        "[1] text 2\nWhich class?\n  (gold: B)\n→ correct 1.00\n<answer>B</answer>\n\n"
    )


def test_replies_to_one_prompt_stand_below_it(run, training):
    replaced = Completion(**fields(2, "neither"), step=2, reward=0.0, selected=False)
    Run.open(training).append("completions.jsonl", replaced)
    code, out, _ = run("log", training)
    assert code == 0 and out.count("── ") == 2 and out.count("Which class?") == 2
    assert "→ unparsed 0.00, not trained on\nneither\n→ correct 1.00\n<answer>B</answer>\n\n" in out


def test_worst_and_best_take_the_latest_among_equals(run, evaluation):
    def items(*arguments):
        code, out, _ = run("log", evaluation, "--json", *arguments)
        assert code == 0
        return [json.loads(line)["item"] for line in out.splitlines()]

    assert items() == ["node:3", "node:2", "node:1"]
    assert items("--worst", "-n", "2") == ["node:2", "node:0"] and items("--best", "-n", "2") == ["node:3", "node:1"]


def test_steps_are_those_of_training(run, refused, evaluation, training):
    code, out, _ = run("log", training, "--step", "1", "--json")
    assert code == 0 and [json.loads(line)["step"] for line in out.splitlines()] == [1]
    assert "no completions of step 7; there are those of 1, 2" in refused("log", training, "--step", "7")
    assert "is an evaluation, which has no steps; leave out --step" in refused("log", evaluation, "--step", "1")


def test_mistakes(refused, tmp_path, evaluation, training):
    assert "is not a run" in refused("log", tmp_path)
    assert "not both" in refused("log", evaluation, "--best", "--worst")
    (training / "completions.jsonl").unlink()
    assert "has no completions yet" in refused("log", training)
    (evaluation / "predictions.jsonl").write_text("")
    assert "nothing was answered yet" in refused("log", evaluation)


@pytest.mark.parametrize("extra", [["--worst"], ["--step", "1"], ["--html"]])
def test_what_a_curve_or_a_page_would_ignore_is_refused(refused, training, extra):
    assert "each show something else" in refused("log", training, "--rungs", *extra)
