"""Checkpoints are whole or passed over: the checksums that seal one find what is missing, cut off or flipped."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ssl4rl import checkpoints as module
from ssl4rl.checkpoints import (
    STAGING,
    SUMS,
    CannotWrite,
    checkpoints,
    damage,
    is_about_disk,
    last_whole,
    place,
    writing,
)


def stage(run: Path, step: int, content: bytes = b"weights") -> Path:
    folder = run / STAGING / f"checkpoint-{step}"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "sub" / "rng.pth").write_bytes(b"state")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (2, 4, 10):
        place(stage(tmp_path, step), tmp_path / f"checkpoint-{step}")
    return tmp_path


def test_the_latest_whole_one_is_found_by_its_number(run: Path) -> None:
    assert last_whole(run) == ((10, run / "checkpoint-10"), [])
    (run / "checkpoint-x").mkdir()
    stage(run, 12)
    assert [step for step, _ in checkpoints(run)] == [10, 4, 2]
    assert last_whole(run / "sub") == (None, [])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_a_seal_is_what_sha256sum_reads(run: Path) -> None:
    result = subprocess.run(["sha256sum", "--check", SUMS], cwd=run / "checkpoint-4", capture_output=True, check=False)
    assert result.returncode == 0 and result.stdout.count(b": OK") == 2


def cut(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weigh")


def flip(folder: Path) -> None:
    (folder / "sub" / "rng.pth").write_bytes(b"stbte")


def test_damage_of_any_kind_is_named_and_the_previous_one_is_used(run: Path) -> None:
    folder = run / "checkpoint-10"
    kinds = {
        "model.safetensors is not as it was written": cut,
        "sub/rng.pth is not as it was written": flip,
        "sub/rng.pth is missing": lambda folder: (folder / "sub" / "rng.pth").unlink(),
        "it has no SHA256SUMS": lambda folder: (folder / SUMS).unlink(),
        "SHA256SUMS is empty": lambda folder: (folder / SUMS).write_text(""),
    }
    for problem, harm in kinds.items():
        place(stage(run, 10), folder)
        assert damage(folder) is None
        harm(folder)
        assert damage(folder) == problem
        assert last_whole(run) == ((4, run / "checkpoint-4"), [f"checkpoint-10 is passed over: {problem}"])


def test_a_seal_may_name_any_file_and_says_when_it_cannot_be_read(run: Path) -> None:
    staged = stage(run, 12)
    (staged / "two  spaces").write_bytes(b"x")
    place(staged, run / "checkpoint-12")
    assert damage(run / "checkpoint-12") is None
    (run / "checkpoint-12" / SUMS).unlink()
    (run / "checkpoint-12" / SUMS).mkdir()
    assert damage(run / "checkpoint-12").startswith("it cannot be read (")


def test_what_is_there_is_replaced_at_once(run: Path) -> None:
    place(stage(run, 10, b"new"), run / "checkpoint-10")
    assert (run / "checkpoint-10" / "model.safetensors").read_bytes() == b"new"
    assert list((run / STAGING).iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:681] . PytorchStreamWriter failed writing file data/1"),
    ],
)
def test_a_full_disk_is_one_line_whatever_library_meets_it(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(CannotWrite, match=r"cannot write to .*(No space left|to its end).*GB are free"),
        writing(tmp_path),
    ):
        raise error


def test_what_has_nothing_to_do_with_the_disk_is_not_said_to_be_about_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^CUDA out of memory"), writing(tmp_path):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(CannotWrite), writing(tmp_path):
        torch.save({"a": 1}, tmp_path / "absent" / "weights")


@pytest.mark.parametrize("save", [torch.save, lambda value, path: save_file(value, str(path))])
def test_what_libraries_say_when_there_is_no_room_is_understood(
    save: Callable[..., None], tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    reason = r"\((.*File too large.*|a file could not be written to its end), .* GB are free there\)"
    with pytest.raises(CannotWrite, match=reason), no_room(), writing(tmp_path):
        save({"weights": torch.zeros(20_000)}, tmp_path / "weights")


@pytest.mark.parametrize(
    ("error", "about"),
    [(OSError(28, "full"), True), (OSError(2, "absent"), False), (CannotWrite("x"), True), (ValueError("x"), False)],
)
def test_which_errors_are_about_the_disk(error, about):
    assert is_about_disk(error) == about


def test_windows_flushes_files_and_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    opened = []
    real = os.open
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "name", "nt")
        patch.setattr(module.os, "open", lambda path, flags: opened.append((path, flags)) or real(path, flags))
        module._flush(tmp_path)
        module._flush(file)
    assert opened == [(file, os.O_RDWR)]
