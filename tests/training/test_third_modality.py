"""A third kind of source, lines of text, with a task on it: both are registered at run time, and it trains."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import ssl4rl
from ssl4rl.answers import Scoring
from ssl4rl.cli.main import main
from ssl4rl.drafts import Draft
from ssl4rl.errors import UserError
from ssl4rl.prompts import option_labels, write_options
from ssl4rl.registry import SOURCE_KINDS, TASKS, Registry
from ssl4rl.source import SPLITS, Report, SourceKind, Summary
from ssl4rl.tasks import Knobs, Task
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import train

SMALL: dict[str, Any] = {
    "engine": "transformers",
    "heldout_examples": 4,
    "grpo": {
        "max_steps": 3,
        "save_steps": 3,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 16,
    },
}


@dataclass(frozen=True)
class Lines:
    """The lines of a text file."""

    name: str
    lines: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def default_lines() -> Lines:
    return Lines("verses", tuple(f"verse {number} about the {word}" for number in range(60) for word in ("sea", "sky")))


def read_lines(path: str) -> Lines:
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {path}")
    return Lines(file.stem, tuple(file.read_text(encoding="utf-8").splitlines()))


def check_lines(path: str) -> Report:
    return Report([], summarise_lines(read_lines(path)))


def summarise_lines(source: Lines) -> Summary:
    return Summary({"lines": len(source.lines)}, [("lines", f"{len(source.lines)}")])


LINES: SourceKind[Lines] = SourceKind(
    name="lines",
    side="text",
    default="verses",
    default_noun="the embedded verses",
    registry=Registry("text", "ssl4rl_tests.lines", {"verses": f"{__name__}:default_lines"}),
    read=read_lines,
    recognises=lambda path: path.endswith(".txt"),
    check=check_lines,
    summarise=summarise_lines,
)


class NextKnobs(Knobs):
    options: int = 3
    """Lines to choose from."""


class NextLine(Task[Lines, NextKnobs]):
    """Which line follows this one?"""

    name = "next-line"
    source_kind = LINES
    knobs_type = NextKnobs
    levels: ClassVar[dict[str, dict[str, Any]]] = {"easy": {"options": 2}, "medium": {}}

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        lines = self.source.lines
        place = int(rng.integers(len(lines) // 3 - 1)) * 3 + SPLITS.index(self.split)
        others = [other for other in range(len(lines)) if other not in (place, place + 1)]
        shown = [place + 1, *rng.choice(others, size=self.knobs.options - 1, replace=False).tolist()]
        order = rng.permutation(len(shown)).tolist()
        gold = option_labels(len(shown))[order.index(0)]
        options = write_options([lines[shown[number]] for number in order])
        return Draft(
            parts=(f"Which line follows this one?\n{lines[place]}\n{options}\n{self.form('one letter')}",),
            scoring=Scoring("score_any_of", {"accepted": [gold], "choices": option_labels(len(shown))}),
            gold=gold,
            chance=1 / len(shown),
            source_items=(f"line:{place}",),
        )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the decorators do, but only for these tests.
    monkeypatch.setitem(TASKS._loaded, NextLine.name, NextLine)
    monkeypatch.setitem(SOURCE_KINDS._loaded, LINES.name, LINES)


def test_it_trains_three_steps_from_python(tmp_path: Path) -> None:
    run = ssl4rl.train(ssl4rl.task("next-line", level="easy"), tmp_path / "run", **SMALL)
    assert [line["step"] for line in run.metrics() if "loss" in line] == [1, 2, 3]
    assert run.summary["task"] == "next-line@easy" and run.summary["dataset"] == "verses"
    [source] = run.used_sources
    assert (source.kind, source.name, source.fingerprint) == ("lines", "verses", default_lines().fingerprint)
    assert run.environment["task_versions"] == {"task next-line": 1}
    # Its ids are rebuilt, and its replies scored, like those of every other task.
    completion = run.completions()[0]
    task, example = ssl4rl.rebuild(completion.id, run=run)
    assert example.text == completion.prompt and task.score(completion.reply, example) == completion.verdict


def test_it_trains_on_a_file_from_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "poem.txt"
    file.write_text("\n".join(default_lines().lines), encoding="utf-8")
    overrides = [f"grpo.{key}={value}" for key, value in SMALL["grpo"].items()]
    recipe = load_recipe(
        tasks=["next-line"], dataset=str(file), overrides=[*overrides, "engine=transformers", "heldout.examples=0"]
    )
    run = train(recipe, tmp_path / "run")
    assert [line["step"] for line in run.metrics()] == [1, 2, 3]
    [source] = run.used_sources
    assert (source.name, source.dataset) == ("poem", str(file))
    assert ssl4rl.rebuild(run.completions()[-1].id, run=run)


def test_its_side_is_a_command_with_all_verbs(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    def call(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["ssl4rl", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        assert not stop.value.code, output.err
        return str(output.out)

    assert "Which line follows this one?" in call("text", "show", "--task", "next-line")
    assert "lines  120" in call("data", "info", "verses")
    assert "verses" in call("data", "list")
    overrides = [
        f"--set=grpo.{key}={value}" for key, value in {**SMALL["grpo"], "max_steps": 1, "save_steps": 1}.items()
    ]
    output = call("text", "train", "--task", "next-line", "--output", str(tmp_path / "run"), *overrides)
    assert "using the embedded verses" in output and "next-line@medium on verses: 1 step in" in output
    monkeypatch.setattr("sys.argv", ["ssl4rl", "graph", "show", "--task", "next-line"])
    with pytest.raises(SystemExit):
        main()
    assert "next-line is for ssl4rl text, not for ssl4rl graph" in capsys.readouterr().err
