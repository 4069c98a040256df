"""Names on the hub: without a network they fail at once, in one line with the remedy."""

import json
import os
import subprocess
import sys
import time

import pytest

from ssl4rl.errors import UserError

OFFLINE = """
import sys, time
import datasets, httpx
from ssl4rl.errors import UserError
{load}
started = time.monotonic()
try:
    load()
except UserError as error:
    print(time.monotonic() - started)
    print(error)
"""

MODEL = "from ssl4rl.inference.model import ModelFiles\nload = lambda: ModelFiles('Qwen/Qwen3-0.6B')"
DATASET = "import ssl4rl\nload = lambda: ssl4rl.load('hub:cifar10', kind='images')"


def offline(tmp_path, code, **variables):
    """Runs code in a process for which the hub is a port of this machine where nobody listens."""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "*"}
    environment |= variables
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().split("\n")


@pytest.mark.parametrize("load", [MODEL, DATASET], ids=["model", "dataset"])
@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "1"}], ids=["no network", "set offline"])
def test_a_name_fails_at_once_with_the_remedy(tmp_path, load, variables):
    seconds, *lines = offline(tmp_path, OFFLINE.format(load=load), **variables)
    assert len(lines) == 1 and "the Hugging Face hub cannot be reached" in lines[0] and "give its folder" in lines[0]
    # Retries alone took half a minute.
    assert float(seconds) < 15


def test_what_is_in_the_cache_is_loaded_without_asking(tmp_path):
    from ssl4rl.models import TINY, embedded_path

    snapshot = tmp_path / "hf" / "hub" / "models--own--tiny" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in embedded_path(TINY).iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    code = "from ssl4rl.inference.model import ModelFiles\nimport time\nstarted = time.monotonic()\n"
    code += "files = ModelFiles('own/tiny')\nprint(time.monotonic() - started)\nprint(files.fingerprint)"
    seconds, fingerprint = offline(tmp_path, code)
    assert fingerprint == "own/tiny@" + "0" * 40 and float(seconds) < 60


@pytest.mark.parametrize("name", ["no spaces allowed/here", "a/b/c", "./missing", "~/missing", "two--dashes/x"])
def test_what_cannot_be_a_name_is_refused_without_asking(name, monkeypatch):
    from ssl4rl.inference.model import ModelFiles

    monkeypatch.setattr("socket.create_connection", None)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"does not exist|neither a folder nor a name") as raised:
        ModelFiles(name)
    assert "\n" not in str(raised.value) and time.monotonic() - started < 60


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    from ssl4rl.inference.model import ModelFiles
    from ssl4rl.models import TINY, TINY_VISION, embedded_path

    for name in (TINY, TINY_VISION):
        folder = tmp_path / name
        folder.mkdir()
        for file in embedded_path(name).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        mark = tmp_path / "sprung"
        (folder / "code.py").write_text(
            f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass C: pass\nclass M: pass\n"
        )
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match="code of its own"):
            ModelFiles(str(folder))
        assert not mark.exists()
