"""Stopping and going on: signals, the time limit, damaged checkpoints, changed runs, a full disk, two processes."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toys import Toy, ToySource, toy_recipe, train_toys

from ssl4rl.checkpoints import STAGING
from ssl4rl.errors import UserError
from ssl4rl.lock import locked
from ssl4rl.records import read_lines
from ssl4rl.runs import Run
from ssl4rl.training import run as training_run
from ssl4rl.training import whole
from ssl4rl.training.display import Display
from ssl4rl.training.tasks import Tasks

TIMES = {"seconds", "step_time"}


@pytest.fixture(scope="module")
def finished(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_toys(toy_recipe(model_folder), tmp_path_factory.mktemp("runs") / "finished").path


@pytest.fixture
def killed(finished: Path, tmp_path: Path) -> Path:
    """A run as it is when it was killed after its last checkpoint."""
    run = tmp_path / "killed run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "model")
    (run / "summary.json").unlink()
    return run


def same(run: Path, other: Path) -> bool:
    """Whether two runs have the same steps, replies, held-out answers and weights."""

    def steps(path: Path) -> list[dict[str, object]]:
        return [{k: v for k, v in line.items() if k not in TIMES} for line in read_lines(path / "metrics.jsonl")]

    weights = [load_file(path / "model" / "model.safetensors") for path in (run, other)]
    files = ("completions.jsonl", "heldout.jsonl")
    return (
        steps(run) == steps(other)
        and all((run / name).read_bytes() == (other / name).read_bytes() for name in files)
        and all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    )


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_saves_a_checkpoint_and_the_resumed_run_is_the_same(
    number: signal.Signals,
    error: type[BaseException],
    finished: Path,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    step = Display.step

    def signalled(display: Display, now: int, logs: dict[str, float]) -> None:
        step(display, now, logs)
        if now == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(Display, "step", signalled)
        with pytest.raises(error) as raised:
            train_toys(toy_recipe(model_folder), tmp_path / "run")
    if error is SystemExit:
        assert raised.value.code == 128 + number
    out = capsys.readouterr().out
    assert f"{number.name}: stopping after this step" in out
    command = f"ssl4rl graph train --resume --output {tmp_path}/run"
    assert f"stopped after step 3 of 4, with a checkpoint\ncontinue with: {command}\n" in out
    assert (tmp_path / "run" / "checkpoint-3").is_dir() and signal.getsignal(number) is before
    assert not (tmp_path / "run" / ".lock").exists()
    train_toys(toy_recipe(model_folder), tmp_path / "run", resume=True)
    assert same(tmp_path / "run", finished)


def test_a_time_limit_stops_in_time_and_says_the_command(
    finished: Path, model_folder: Path, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "a run"
    run = train_toys(toy_recipe(model_folder), folder, max_time=0.001)
    assert not run.finished and (folder / "checkpoint-1").is_dir()
    out = capsys.readouterr().out
    assert f"continue with: ssl4rl graph train --resume --output '{folder}' --max-time 0.001" in out
    assert train_toys(toy_recipe(model_folder), folder, resume=True, max_time=3600).finished
    # After the last step there is nothing that could take too long.
    one_step = toy_recipe(model_folder, grpo__max_steps=1)
    assert train_toys(one_step, folder.with_name("short"), max_time=0.001).finished
    assert same(folder, finished)


def test_a_damaged_checkpoint_is_passed_over(killed: Path, finished: Path, model_folder: Path, capsys) -> None:
    file = killed / "checkpoint-4" / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    train_toys(toy_recipe(model_folder), killed, resume=True)
    out = capsys.readouterr().out
    assert "checkpoint-4 is passed over: optimizer.pt is not as it was written\nresuming after step 2 of 4" in out
    assert same(killed, finished)


def test_step_0_only_when_told(killed: Path, finished: Path, model_folder: Path) -> None:
    for step in (2, 4):
        (killed / f"checkpoint-{step}" / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"no checkpoint to go on from \(checkpoint-4 is .*; checkpoint-2 .*--from-start"
    ):
        train_toys(toy_recipe(model_folder), killed, resume=True)
    for step in (2, 4):
        shutil.rmtree(killed / f"checkpoint-{step}")
    with pytest.raises(UserError, match=r"no checkpoint to go on from \(it has none, and reached step 4\)"):
        train_toys(toy_recipe(model_folder), killed, resume=True)
    train_toys(toy_recipe(model_folder), killed, resume=True, from_start=True)
    assert same(killed, finished)


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_over(
    killed: Path, finished: Path, model_folder: Path, capsys
) -> None:
    for step in (2, 4):
        shutil.rmtree(killed / f"checkpoint-{step}")
    Run(killed).cut("metrics.jsonl", 1)
    train_toys(toy_recipe(model_folder), killed, resume=True)
    assert "stopped before its first checkpoint, so it starts at step 0" in capsys.readouterr().out
    assert same(killed, finished)


def test_what_has_changed_is_named_and_not_gone_on_with(killed: Path, model_folder: Path) -> None:
    def refused(message: str, tasks: Tasks | None = None, **settings: object) -> None:
        with pytest.raises(UserError, match=message):
            train_toys(toy_recipe(model_folder, **settings), killed, tasks, resume=True)

    refused(
        r"grpo.learning_rate \(0.001, now 0.01\) changed after",
        grpo__learning_rate=0.01,
    )
    others = Tasks.of(Toy(ToySource(fingerprint="toys-2")))
    refused(r"the dataset toys \(content toys-1, now toys-2\) changed after .* --output '.*' --from-start", others)
    environment = json.loads((killed / "environment.json").read_text())
    for key, value, message in (
        ("processes", 2, r"the number of processes \(2, now 1\)"),
        ("model", "other", "the model changed after"),
        ("task_versions", {"task toy": 7}, r"task toy \(version 7, now 1\)"),
        ("recipe", "0", r"the recipe \(config\.yaml was edited\)"),
    ):
        (killed / "environment.json").write_text(json.dumps({**environment, key: value}))
        refused(message)
    (killed / "environment.json").write_text(json.dumps(environment))
    # What decides nothing may change.
    train_toys(toy_recipe(model_folder, grpo__save_steps=4, log_completions_every=1), killed, resume=True)


def test_checkpoints_of_a_resumed_run_come_as_often_as_it_says_now(killed: Path, model_folder: Path) -> None:
    for name in ("metrics.jsonl", "completions.jsonl", "heldout.jsonl"):
        Run(killed).cut(name, 2)
    shutil.rmtree(killed / "checkpoint-4")
    train_toys(toy_recipe(model_folder, grpo__save_steps=1), killed, resume=True)
    assert sorted(path.name for path in killed.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-3", "checkpoint-4"]


def test_lost_checkpoints_are_missed_by_what_the_run_was_started_with(killed: Path, model_folder: Path) -> None:
    for step in (2, 4):
        shutil.rmtree(killed / f"checkpoint-{step}")
    with pytest.raises(UserError, match=r"no checkpoint to go on from \(it has none, and reached step 4\)"):
        train_toys(toy_recipe(model_folder, grpo__save_steps=100), killed, resume=True)
    Run(killed).cut("metrics.jsonl", 2)  # its first checkpoint was due, and may not have been written yet
    assert train_toys(toy_recipe(model_folder, grpo__save_steps=1), killed, resume=True).finished


def test_no_step_is_lost_where_several_are_logged_as_one(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder, grpo__logging_steps=3)
    run = train_toys(recipe, tmp_path / "run")
    lines = [line for line in run.metrics() if "sampled" in line]
    assert [line["step"] for line in lines] == [2, 3, 4] and sum(line["sampled"] for line in lines) == 64
    stopped = tmp_path / "stopped"
    shutil.copytree(run.path, stopped)
    (stopped / "summary.json").unlink()
    for name in ("model", "checkpoint-4"):
        shutil.rmtree(stopped / name)
    train_toys(recipe, stopped, resume=True)
    assert same(stopped, run.path)


def test_a_full_disk_ends_a_run_in_one_line_and_the_previous_checkpoint_is_used(
    finished: Path, model_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    real: Callable[[Path, Path], None] = whole.place

    def full(staged: Path, target: Path) -> None:
        if target.name == "checkpoint-4":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(staged, target)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(whole, "place", full)
        with pytest.raises(UserError, match=r"cannot write to .*run \(No space left on device, .*then continue with: "):
            train_toys(toy_recipe(model_folder), run)
    assert not (run / STAGING).exists() and not (run / "checkpoint-4").exists()
    train_toys(toy_recipe(model_folder), run, resume=True)
    assert same(run, finished)


def test_a_best_model_that_is_lost_is_not_claimed(model_folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    recipe = toy_recipe(model_folder, heldout={"examples": 8, "every": 1})
    monkeypatch.setattr(training_run, "damage", lambda folder: "model.safetensors is missing")
    heldout = iter([0.0, 1.0, 0.9, 0.8, 0.7])
    monkeypatch.setattr(
        "ssl4rl.training.heldout.scored", lambda task, reply, example, seen={}: _score(seen, heldout, example)
    )
    run = train_toys(recipe, tmp_path / "run")
    assert "the model of step 1 scored best and is lost: checkpoint-1: model.safetensors is missing" in (
        capsys.readouterr().out
    )
    assert run.summary is not None and run.summary["heldout"]["best"]["step"] == 4
    assert not (run.path / "last").exists()


def test_the_next_best_model_is_written_where_the_best_is_lost(model_folder: Path, tmp_path: Path, monkeypatch) -> None:
    recipe = toy_recipe(model_folder, heldout={"examples": 8, "every": 1}, grpo__save_steps=1, grpo__save_total_limit=9)
    monkeypatch.setattr(training_run, "damage", lambda folder: "cut off" if folder.name == "checkpoint-1" else None)
    heldout = iter([0.0, 1.0, 0.9, 0.8, 0.7])
    monkeypatch.setattr(
        "ssl4rl.training.heldout.scored", lambda task, reply, example, seen={}: _score(seen, heldout, example)
    )
    run = train_toys(recipe, tmp_path / "run")
    assert run.summary is not None and run.summary["heldout"]["best"]["step"] == 2
    weights = {name: (run.path / name / "model.safetensors").read_bytes() for name in ("model", "last", "checkpoint-2")}
    assert weights["model"] == weights["checkpoint-2"] != weights["last"]


def _score(seen: dict[str, float], scores, example):
    from ssl4rl.answers import Score

    if not seen or example.id.index == 0:
        seen["score"] = next(scores)
    return Score.of(seen["score"], "yes")


def test_a_folder_in_use_is_refused_and_a_process_alone_among_others_too(
    killed: Path, model_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    with locked(killed), pytest.raises(UserError, match=rf"killed run is in use by process {os.getpid()} on"):
        train_toys(toy_recipe(model_folder), killed, resume=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="a launcher started 2 processes, but they are no process group: each would"):
        train_toys(toy_recipe(model_folder, refill=0, grpo__use_cpu=False), tmp_path / "run")
    assert not (tmp_path / "run").exists()
