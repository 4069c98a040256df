"""Eight replies before the first step tell whether there is anything to learn from."""

import sys
from pathlib import Path
from typing import Any

import pytest
from toys import ONE_STEP, Letters, Toy, ToySource, toy_recipe, toy_tasks, train_toys

import ssl4rl
from ssl4rl.cli.main import main
from ssl4rl.registry import TASKS
from ssl4rl.training.preparation import prepare
from ssl4rl.training.probe import probe
from ssl4rl.training.recipe_file import load_recipe

SMALL = [*ONE_STEP, "grpo.max_completion_length=8"]


def test_valid_replies_are_counted_and_one_is_shown() -> None:
    task = Toy(ToySource())

    def answer(examples: list[Any]) -> list[str]:
        golds = [f"<answer>{example.gold}</answer>" for example in examples]
        return [*golds[:5], "no idea " * 60, *golds[6:]]

    found = probe(task, answer)
    assert (found.replies, found.valid) == (8, 7)
    [line] = found.lines
    assert line.startswith("probe: 7 of 8 replies hold a valid answer; one reply: no idea no idea") and len(line) < 240

    nothing = probe(task, lambda examples: ["\n"] * len(examples))
    first, remedies = nothing.lines
    assert first == "probe: 0 of 8 replies hold a valid answer; one reply: (nothing)"
    for remedy in ("task.reasoning=false", "reward.format", "ssl4rl graph warmup", "another --model"):
        assert remedy in remedies


def test_what_may_help_depends_on_the_prompt_and_the_model() -> None:
    def nothing(examples: list[Any]) -> list[str]:
        return [""] * len(examples)

    bare = probe(Toy(ToySource(), knobs={"reasoning": False}), nothing)
    assert "reasoning=false" not in bare.lines[1] and "warmup" in bare.lines[1]
    strange = probe(ssl4rl.task("rotation"), nothing, "tiny")
    assert strange.lines[1].endswith("try a real --model: the embedded one reads no data but its own")


def test_a_run_tells_and_goes_on(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train_toys(toy_recipe(model_folder), tmp_path / "run", toy_tasks(Toy))
    out = capsys.readouterr().out
    assert out.count("probe: 0 of 8") == 1 and out.count("ssl4rl graph warmup") == 1
    assert run.summary is not None and run.summary["steps"] == 4
    # A resumed run has been probed.
    (tmp_path / "run" / "summary.json").unlink()
    train_toys(toy_recipe(model_folder), tmp_path / "run", toy_tasks(Toy), resume=True)
    assert "probe" not in capsys.readouterr().out


def test_the_probe_changes_nothing(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_probe = train_toys(toy_recipe(model_folder), tmp_path / "with", toy_tasks())
    monkeypatch.setattr("ssl4rl.training.run.Training._probe", lambda self, trainer: None)
    without = train_toys(toy_recipe(model_folder), tmp_path / "without", toy_tasks())
    rewards = [[line["reward"] for line in run.metrics() if "reward" in line] for run in (with_probe, without)]
    assert rewards[0] == rewards[1] and len(rewards[0]) == 4


@pytest.mark.parametrize(("kind", "code"), [(Toy, 2), (Letters, 0)])
def test_a_dry_run_probes_and_its_exit_code_tells(
    kind: type[Toy],
    code: int,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TASKS._loaded, "toy", kind)
    sets = [word for setting in SMALL for word in ("--set", setting)]
    command = ["ssl4rl", "graph", "train", "--task", "toy", "--dataset", "toys", "--model", str(model_folder)]
    monkeypatch.setattr(sys, "argv", [*command, *sets, "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        main()
    out = capsys.readouterr().out
    assert (stop.value.code or 0) == code and "longest prompt measured" in out
    assert f"probe: {0 if code else 8} of 8" in out and ("another --model" in out) == bool(code)
    assert not list(tmp_path.iterdir())


def test_the_embedded_model_says_what_it_does_not_know(tmp_path: Path) -> None:
    nodes = "\n".join(f"{index},a shop that sells item {index}" for index in range(30))
    (tmp_path / "nodes.csv").write_text(f"id,text\n{nodes}\n")
    edges = "\n".join(f"{index},{(index * step + 1) % 30}" for index in range(30) for step in (1, 4))
    (tmp_path / "edges.csv").write_text(f"source,target\n{edges}\n")
    [note] = prepare(load_recipe(tasks=["link"], dataset=str(tmp_path), overrides=SMALL)).notes
    assert note.startswith("the embedded model tiny knows the embedded graph only and will make little of ")
    assert prepare(load_recipe(tasks=["link"], overrides=SMALL)).notes == []
    [note] = prepare(load_recipe(tasks=["rotation", "link"], overrides=SMALL, side="vision")).notes
    assert "the embedded model tiny-vision knows drawn scenes only" in note and "citations" in note
    said: list[str] = []
    ssl4rl.evaluate(
        "link",
        output=tmp_path / "eval",
        dataset=str(tmp_path),
        limit=1,
        max_new_tokens=2,
        ablate=[],
        baselines=False,
        say=said.append,
    )
    assert any("knows the embedded graph only" in line for line in said)
