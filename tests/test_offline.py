"""Names on the hub, where there is no hub: one line, at once."""

import os
import socket
import subprocess
import sys

import pytest

from ssl4rl import hub_names


@pytest.fixture
def nowhere(tmp_path):
    """The environment of a process whose hub refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    left_out = {"HF_HUB_OFFLINE": None, "HF_TOKEN": None}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path / "hub"), "NO_PROXY": "*"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("graph", "train", "--task", "link", "--model", "owner/name"),
            "there is no folder owner/name, and the Hugging Face hub cannot be reached",
        ),
        (("vision", "train", "--task", "rotation", "--dataset", "hub:owner/name"), "there is no folder owner/name"),
        (("data", "fetch", "cora"), "give their folder with --from FOLDER"),
    ],
)
def test_a_name_on_the_hub_fails_at_once_without_one(nowhere, arguments, words, tmp_path):
    command = [sys.executable, "-m", "ssl4rl", *arguments]
    if arguments[1] == "train":
        command += ["--output", str(tmp_path / "run")]
    found = subprocess.run(command, env=nowhere, capture_output=True, text=True, timeout=240)
    assert found.returncode == 2 and not (tmp_path / "run").exists()
    # What asks again says so.
    assert "Retrying" not in found.stderr
    error = found.stderr.splitlines()[-1]
    assert error.startswith("error: ") and words in error


def test_the_hub_is_asked_once_and_left_alone_where_it_is_switched_off(monkeypatch):
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("HF_ENDPOINT", "http://nowhere.example/")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_names.why_unreachable() == "HF_HUB_OFFLINE is set" and not asked
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub_names.why_unreachable() == hub_names.why_unreachable() == "no network"
    assert asked == ["http://nowhere.example"]
