"""`ssl4rl graph train` and `ssl4rl log`, through the command itself."""

import json
import sys
from pathlib import Path

import pytest
from toys import Letters, build_model

from ssl4rl.cli.main import main
from ssl4rl.registry import TASKS
from ssl4rl.training.summary import describe_result

SMALL = [
    "grpo.max_steps=2",
    "grpo.save_steps=1",
    "grpo.per_device_train_batch_size=8",
    "grpo.gradient_accumulation_steps=1",
    "grpo.num_generations=4",
    "grpo.max_completion_length=8",
    "grpo.bf16=false",
    "heldout.examples=4",
    "engine=transformers",
    "task.words=4",
]


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS._loaded, "toy", Letters)


def ssl4rl(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_train_then_log_then_resume(model_folder, tmp_path, monkeypatch, capsys) -> None:
    run = tmp_path / "run"
    sets = [word for setting in SMALL for word in ("--set", setting)]
    arguments = ["graph", "train", "--task", "toy", "--dataset", "toys", "--model", model_folder, "--output", run]
    assert ssl4rl(*arguments, *sets, monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert "toy@medium+words=4 on toys: 2 steps in" in out and "held-out score" in out
    assert f"run: {run}" in out and f"ssl4rl log {run}" in out

    assert ssl4rl("log", run, "-n", "2", "--best", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert out.count("· toys/train/toy@medium+words=4/0/") == 2 and "(gold:" in out
    assert ssl4rl("log", run, "-n", "2", "--worst", "--json", monkeypatch=monkeypatch) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scores = {str(line["id"]): [each["score"] for each in lines if each["id"] == line["id"]] for line in lines}
    assert len(scores) == 2 and all(of_one == sorted(of_one) for of_one in scores.values())
    assert ssl4rl("log", run, "--step", "7", monkeypatch=monkeypatch) == 2
    assert "no completions of step 7; there are those of 1, 2" in capsys.readouterr().err

    (run / "summary.json").unlink()
    assert ssl4rl("graph", "train", "--resume", "--output", run, monkeypatch=monkeypatch) == 0
    assert "resuming after step 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph", "train", "--task", "lnk"], "unknown task 'lnk'; did you mean link?"),
        (["graph", "train", "--task", "toy", "--dataset", "toyz"], "unknown dataset 'toyz'"),
        (["graph", "train", "--task", "toy", "--dataset", "toys", "--level", "medum"], "did you mean medium"),
        (["graph", "train", "--task", "toy", "--dataset", "toys", "--set", "task.words=x"], "task.words='x'"),
        (["graph", "train", "--config", "none.yaml"], "none.yaml does not exist"),
        (["graph", "train", "--set", "grpo.num_generations=7"], "not divisible by groups"),
        (["graph", "train", "--resume"], "--resume needs the run"),
        (["graph", "train", "--resume", "--output", "none", "--task", "link"], "only --set"),
        (["graph", "train", "--resume", "--output", "none"], "none does not exist"),
        (
            ["graph", "train", "--set", "reward.kind=x"],
            "unknown reward 'x'; there are: format, incorrect, majority, random, task",
        ),
        (["graph", "train", "--task", "rotation"], "rotation is for ssl4rl vision, not for ssl4rl graph"),
        (
            ["vision", "train", "--task", "rotation", "--task", "link", "--dataset", "citations"],
            "--dataset citations cannot be the dataset of all tasks, which need several kinds (images, graph)",
        ),
        (["graph", "train", "--task", "link", "--task", "rotation"], "model 'tiny' reads no images"),
        (["log", "none"], "none does not exist"),
        (["log", "none", "--best", "--worst"], "not both"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, message, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert ssl4rl(*arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mixture_may_have_tasks_of_the_other_side(monkeypatch, capsys) -> None:
    arguments = ["vision", "train", "--task", "rotation", "--task", "link", "--dry-run"]
    assert ssl4rl(*arguments, monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert out.startswith("using the embedded ") and "the embedded model tiny-vision\n" in out
    assert "rotation@medium+link@medium on scenes+citations, model tiny-vision" in out


def test_a_model_folder_without_a_chat_template(tmp_path: Path, monkeypatch, capsys) -> None:
    model = build_model(tmp_path / "model", chat_template=None)
    arguments = ["graph", "train", "--task", "toy", "--dataset", "toys", "--model", model, "--output", tmp_path / "run"]
    assert ssl4rl(*arguments, monkeypatch=monkeypatch) == 2
    assert "has no chat template" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_what_was_learned_in_words() -> None:
    def estimate(score: float, distinct: int = 500) -> dict[str, float]:
        low, high = score - 0.04, score + 0.04
        bounds = {"low": low, "high": high, "low_parsed": low, "high_parsed": high}
        counts = {"n": 500, "distinct": distinct, "parsed": 0.98, "valid": 0.95}
        return {"score": score, "score_parsed": score + 0.01, **counts, **bounds}

    def paired(difference: float, p: float) -> dict[str, float]:
        return {"difference": difference, "low": difference - 0.03, "high": difference + 0.03, "p": p}

    def described(heldout: dict[str, object]) -> str:
        summary = {"task": "link@medium", "dataset": "citations", "steps": 80, "seconds": 188.0, "heldout": heldout}
        return "\n".join(describe_result(summary, Path("r")))

    last = {"step": 80, **estimate(0.87), "paired": paired(0.23, 0.0001)}
    text = described({"before": estimate(0.64), "after": estimate(0.87), "best": last, "paired": last["paired"]})
    assert "80 steps in 3.1 min" in text and "0.640 [0.600, 0.680] before, 0.870 [0.830, 0.910] after (n=500)" in text
    assert "learned: +23.0 points [+20.0, +26.0], paired p < 0.001" in text
    assert "model: r/model (the last, and the best by held-out score)" in text and "r/last" not in text
    best = {"step": 40, **estimate(0.7), "paired": paired(0.06, 0.02)}
    text = described(
        {"before": estimate(0.64, 36), "after": estimate(0.65, 36), "best": best, "paired": paired(0.01, 0.412)}
    )
    assert "no clear change: +1.0 points [-2.0, +4.0], paired p = 0.412" in text and "n=500, 36 distinct" in text
    assert "best after step 40: 0.700 [0.660, 0.740], +6.0 points [+3.0, +9.0], paired p = 0.020" in text
    assert "model: r/model (the best by held-out score, of step 40)" in text and "last model: r/last" in text
    worse = {"before": estimate(0.64), "after": estimate(0.5), "best": best, "paired": paired(-0.14, 0.0004)}
    assert "got worse: -14.0 points" in described(worse)
    none = described(dict.fromkeys(("before", "after", "best", "paired")))
    assert "held-out" not in none and "model: r/model (the last)" in none
