"""Calibration samples what training samples, and says which levels are worth it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import Letters, Toy, toy_recipe, train_toys

from ssl4rl.answers import Score
from ssl4rl.cli.main import main
from ssl4rl.errors import NotApplicable
from ssl4rl.intervals import wilson
from ssl4rl.registry import TASKS
from ssl4rl.statistics import Estimate
from ssl4rl.training.calibrate import FEWEST_GROUPS, Difficulty, at_every_level, calibrate, recommended
from ssl4rl.training.recipe import TaskEntry


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS._loaded, "toy", Letters)


def recipe_of(model: Path, **more: Any) -> Any:
    return toy_recipe(model, tasks=[{"name": "toy"}], **more)


def test_useful_groups_are_as_frequent_as_in_training(model_folder: Path, tmp_path: Path) -> None:
    still = recipe_of(model_folder, grpo__learning_rate=0.0, grpo__max_steps=50, heldout={"examples": 0})
    [found] = calibrate(still, groups=200)
    assert found.groups == 200 and found.label == "toy@medium" and found.verdict == "learnable"
    steps = [line for line in train_toys(still, tmp_path / "run").metrics() if "flat/before" in line]
    useful = 1 - sum(line["flat/before"] for line in steps) / len(steps)
    low, high = wilson(200 * useful, 200)
    assert len(steps) == 50 and low < found.useful_high and found.useful_low < high
    # The reward is that of training: its mean, too.
    assert found.score.score == pytest.approx(sum(line["reward"] for line in steps) / 50, abs=0.03)


def test_nothing_is_written_and_every_level_is_sampled(model_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    every = at_every_level(recipe_of(model_folder))
    assert [entry.level for entry in every.tasks] == ["easy", "medium", "hard"]
    said: list[str] = []
    found = list(calibrate(every, groups=4, say=said.append))
    assert [each.label for each in found] == ["toy@easy", "toy@medium", "toy@hard"]
    assert said[-3:] == [f"sampling toy@{level} on toys" for level in ("easy", "medium", "hard")]
    assert list(tmp_path.iterdir()) == []
    given = recipe_of(model_folder)
    given.tasks[0].level = "hard"
    assert [entry.level for entry in at_every_level(given).tasks] == ["hard"]


def test_a_task_of_which_no_level_applies_says_why(model_folder: Path) -> None:
    recipe = toy_recipe(model_folder, tasks=[{"name": "link"}, {"name": "direction"}])
    with pytest.raises(NotApplicable, match="the edges of graph citations have no direction"):
        at_every_level(recipe)


def test_a_level_without_useful_groups_is_left_early(model_folder: Path, monkeypatch) -> None:
    monkeypatch.setitem(TASKS._loaded, "toy", Toy)
    [found] = calibrate(recipe_of(model_folder), groups=100)
    assert FEWEST_GROUPS <= found.groups < 40 and found.verdict == "no valid answers" and found.seconds is None
    assert recommended([found]) == []


def difficulty(level: str, useful: int, seconds: float | None, score: float = 0.5) -> Difficulty:
    low, high = wilson(useful, 100)
    replies = [Score.of(1.0 if place < 100 * score else 0.0, "a") for place in range(100)]
    entry = TaskEntry(name="toy", level=level)
    return Difficulty(entry, f"toy@{level}", "toys", 100, Estimate.of(replies), 9.0, useful / 100, low, high, seconds)


def test_the_level_whose_useful_groups_cost_least_is_recommended() -> None:
    found = [
        difficulty("easy", 5, 0.1, score=0.99),
        difficulty("medium", 60, 0.5),
        difficulty("hard", 80, 0.3),
        difficulty("harder", 3, 9.0, score=0.01),
    ]
    assert [each.verdict for each in found] == ["too easy", "learnable", "learnable", "too hard"]
    assert [entry.level for entry in recommended(found)] == ["hard"]


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["ssl4rl", "calibrate", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_prints_a_table_and_lines_of_a_recipe(model_folder: Path, monkeypatch, capsys) -> None:
    arguments = ["--task", "toy", "--model", model_folder, "--groups", "4"]
    small = ["--set", "grpo.max_completion_length=8", "--set", "grpo.num_generations=4"]
    small += ["--set", "grpo.per_device_train_batch_size=8", "--set", "grpo.bf16=false"]
    assert run(*arguments, *small, monkeypatch=monkeypatch) == 0
    out, err = capsys.readouterr()
    assert "sampling toy@hard on toys" in err and "toy@hard" in out and "learnable" in out
    assert 'tasks:\n  - {"name": "toy", "level": ' in out
    assert run(*arguments, *small, "--level", "easy", "--json", monkeypatch=monkeypatch) == 0
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["label"] == "toy@easy" and line["groups"] == 4 and line["score"]["n"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to calibrate: --task NAME"),
        (["--task", "ty"], "unknown task"),
        (["--task", "toy", "--level", "hrd"], "did you mean hard"),
        (["--task", "toy", "--model", "./nowhere"], "does not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: list[str], message: str, monkeypatch, capsys) -> None:
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err.splitlines()[-1]
