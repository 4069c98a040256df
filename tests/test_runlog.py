import re
import time
from pathlib import Path

import pytest

from ssl4rl import progress as module
from ssl4rl.errors import UserError
from ssl4rl.progress import progress
from ssl4rl.runlog import LOG, RunLog
from ssl4rl.runs import Run


def lines(folder: Path) -> list[str]:
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in (folder / LOG).read_text().splitlines()]


def test_a_log_holds_what_was_said_before_there_was_a_folder_and_how_it_ended(tmp_path):
    said: list[str] = []
    log = RunLog()
    say = log.beside(said.append)
    say("first")
    with pytest.raises(UserError), log.kept(tmp_path / "run"):
        say("second")  # no run yet: its folder has to be empty
        assert not (tmp_path / "run").exists()
        Run.create(tmp_path / "run", {"seed": 1})
        say("third — é")
        raise UserError("the server is gone; start it")
    assert said == ["first", "second", "third — é"]
    assert lines(tmp_path / "run") == [*said, "ended: the server is gone; start it"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ZeroDivisionError("x")])
def test_a_log_says_what_ended_a_run(tmp_path, error):
    Run.create(tmp_path, {})
    with pytest.raises(type(error)), RunLog().kept(tmp_path):
        raise error
    assert type(error).__name__ in (tmp_path / LOG).read_text()


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path):
    Run.create(tmp_path, {})
    (tmp_path / LOG).mkdir()
    log = RunLog()
    with log.kept(tmp_path):
        log.note("lost")


def test_a_run_that_went_on_has_one_log(tmp_path):
    Run.create(tmp_path, {})
    for word in ("one", "two"):
        log = RunLog()
        with log.kept(tmp_path):
            log.note(word)
    assert lines(tmp_path) == ["one", "two"]


def test_progress_is_shown_without_a_terminal_and_while_nothing_comes(monkeypatch, capsys):
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.05)
    with progress("asking", 100) as advance:
        advance(7)
        deadline = time.monotonic() + 20
        shown = ""
        while "ago" not in shown and time.monotonic() < deadline:
            time.sleep(0.02)
            shown += capsys.readouterr().err
    assert "asking: 7 of 100 (the last one" in shown
    shown = ""
    with progress("asking", 100_000) as advance:
        while "left)" not in shown and time.monotonic() < deadline:
            advance(1)
            time.sleep(0.01)
            shown += capsys.readouterr().err
    assert re.search(r"asking: \d+ of 100,000 \(about \d+ min left\)", shown)
    with progress("asking", 3, done=3) as advance:
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
