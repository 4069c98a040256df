"""A hub of one's own, and what is pushed to it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from ssl4rl.build import task
from ssl4rl.models import embedded_path
from ssl4rl.records import Completion
from ssl4rl.runs import Run, UsedSource
from tests.hub.stand_in import TOKEN, Hub


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def on_hub(hub, tmp_path):
    """Runs the command line in a process of its own, whose hub is the stand-in; xet's own protocol is switched off."""

    def call(*arguments, token=TOKEN, cwd=tmp_path):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hub home"), "HF_HUB_DISABLE_XET": "1"}
        environment = kept | own | {"NO_PROXY": "*"} | ({"HF_TOKEN": token} if token else {})
        command = [sys.executable, "-m", "ssl4rl", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=240)

    return call


@pytest.fixture
def asked(hub, monkeypatch, tmp_path):
    """The stand-in is the hub of this process too; call it with a token."""
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    url = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))

    def with_token(token):
        if token is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            monkeypatch.setenv("HF_TOKEN", token)
        return hub

    return with_token


def estimate(score):
    own = {"score": score, "low": score - 0.05, "high": score + 0.05, "n": 200, "distinct": 200}
    return {**own, "parsed": 1.0, "valid": 0.99}


@pytest.fixture
def trained(tmp_path):
    """A finished run, written by hand around the embedded model; its data has a hostile name."""
    asked = task("link")
    home = str(tmp_path / "secret place")
    recipe = {"seed": 0, "tasks": [{"name": "link", "dataset": f"{home}/photos"}], "model": {"path": "tiny"}}
    run = Run.create(tmp_path / "controls" / "task-0", recipe)
    run.write_environment([UsedSource("graph", "photos | <script>", f"{home}/photos", "0123abcd")], "0123", {})
    example = asked.example(0)
    fields = Completion.fields_of(example, example.gold_reply, asked.score(example.gold_reply, example))
    run.append("completions.jsonl", Completion(**fields, tokens=9, step=1, reward=1.0))
    paired = {"difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.0004}
    before, after = estimate(0.6), estimate(0.7)
    heldout = {"before": before, "after": after, "best": {**after, "step": 2, "paired": paired}, "paired": paired}
    about = {"task": "link@medium", "dataset": "photos | <script>", "model": "tiny", "steps": 3, "seconds": 9.0}
    run.write_json("summary.json", {**about, "reward": {"first": 0.5, "last": 0.6}, "heldout": heldout})
    arms = [
        {"name": "task", "before": before, "after": after, "behind": None, "seeds": [0.7]},
        {"name": "random", "before": before, "after": before, "behind": paired, "seeds": [0.6]},
    ]
    (run.path.parent / "controls.json").write_text(json.dumps({"recipe": recipe, "seeds": 1, "arms": arms}))
    shutil.copytree(embedded_path("tiny"), run.path / "model")
    (run.path / "model" / ".secret").write_text("not for others")
    return run.path
