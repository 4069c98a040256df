"""Run folders: lines are appended whole, a torn last one is dropped, and other files appear at once."""

from datetime import datetime
from pathlib import Path

import pytest

from ssl4rl.errors import UserError
from ssl4rl.runs import RunFolder, default_folder, environment, read_lines


def test_lines(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.append("m.jsonl", {"step": 1, "text": "ü\n"}, {"step": 2})
    run.append("m.jsonl", {"step": 3})
    with (run.path / "m.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "re')
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1, 2, 3]
    assert run.cut("m.jsonl", 2) == [{"step": 1, "text": "ü\n"}, {"step": 2}]
    run.append("m.jsonl", {"step": 3})
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1, 2, 3]
    assert list(read_lines(run.path / "none.jsonl")) == []


def test_a_reply_with_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.append("m.jsonl", {"step": 1, "reply": "\ud800"})
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"m\.jsonl line 2: not JSON"):
        list(read_lines(tmp_path / "m.jsonl"))


def test_whole_files_leave_no_temporary_ones(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_json("summary.json", {"a": 1})
    assert [path.name for path in run.path.iterdir()] == ["summary.json"]


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    assert run.last_checkpoint() is None
    for name in ("checkpoint-8", "checkpoint-16", "checkpoint-24"):
        (run.path / name).mkdir()
    for name in ("checkpoint-8", "checkpoint-16"):
        (run.path / name / "trainer_state.json").write_text("{}")
    assert run.last_checkpoint() == (16, run.path / "checkpoint-16")


def test_the_default_folder_is_a_safe_name() -> None:
    name = default_folder("link+neighbor", "my data/../x", datetime(2026, 1, 2, 3, 4, 5))
    assert name == Path("runs/20260102-030405-link+neighbor-my-data----x")


def test_environment_names_versions() -> None:
    found = environment()
    assert {"python", "packages", "cpus", "gpus", "git", "command"} <= set(found)
    assert "torch" in found["packages"]
