"""One process at a time in a folder."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssl4rl.errors import UserError
from ssl4rl.lock import LOCK, locked

HOLD = "import sys; from pathlib import Path; from ssl4rl.lock import locked\nwith locked(Path(sys.argv[1])):"


def test_a_second_owner_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with (
        locked(folder),
        pytest.raises(UserError, match=rf"run is in use by process {os.getpid()} on .*since.*stop it$"),
        locked(folder),
    ):
        pass
    assert list(folder.iterdir()) == []
    with locked(folder):
        assert [file.name for file in folder.iterdir()] == [LOCK]


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    script = f"{HOLD} print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"in use by process {other.pid} on"), locked(tmp_path):
            pass
        other.kill()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_on_a_full_disk_the_lock_holds_without_a_name(tmp_path: Path, monkeypatch) -> None:
    def full(file: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with locked(tmp_path), pytest.raises(UserError, match="in use by another process"), locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write to .*run .*; give another --output"),
        locked(tmp_path / "file/run"),
    ):
        pass
