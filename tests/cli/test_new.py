"""``ssl4rl new task``: what it writes works at once, and docs/add-a-task.md is right to the letter."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from string import Template

import pytest
from typer.testing import CliRunner

from ssl4rl import registry
from ssl4rl.cli.main import app
from ssl4rl.errors import UserError
from ssl4rl.registry import TASKS
from ssl4rl.templates import TASK, write_task

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands_in(text):
    return [line for block in BLOCK.findall(text) for line in block.splitlines()]


@pytest.fixture
def installable(tmp_path, monkeypatch):
    """An empty folder to work in, and another that packages are installed into, where this process finds them."""
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(str(site))
    for name in ("_locations", "_plugins", "_loaded"):
        monkeypatch.setattr(TASKS, name, dict(getattr(TASKS, name)))
    monkeypatch.setattr(registry, "PLUGINS", {})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))), "OMP_NUM_THREADS": "1"}

    def call(command):
        program, *arguments = shlex.split(command)
        if program == "ssl4rl":
            TASKS._scanned = False
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, (command, result.output, result.exception)
            return result.output
        if program == "pip":  # into the folder, and with what is here, as there need be no network
            arguments = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site, arguments[-1]]
            program, arguments = "python", ["-m", "pip", *arguments]
        assert program == "python", command
        done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    return call


def test_the_page_runs_as_it_stands(installable):
    page = (ROOT / "docs" / "add-a-task.md").read_text(encoding="utf-8")
    commands = commands_in(page)
    assert len(commands) == 11
    said = {command: installable(command) for command in commands}
    assert "Which of these is linked with both" in said["ssl4rl graph show --task shared-topic -n 3"]
    assert "shared-topic@" in said["ssl4rl log runs/shared-topic -n 1"]
    tested = [text for command, text in said.items() if "pytest" in command]
    assert ["3 passed" in text for text in tested] == [True, True] and Path("which-way.png").is_file()
    own = {command.partition(" --output")[0] for command in commands}
    assert set(commands_in(Path("shared-topic/README.md").read_text(encoding="utf-8"))) <= own


@pytest.mark.parametrize(("side", "name"), [("graph", "common"), ("vision", "mirror")])
def test_it_is_the_task_of_the_example_plug_in(side, name):
    written = Template((TASK / f"{side}.py.txt").read_text(encoding="utf-8")).substitute(name=name, title=name.title())
    assert written == (ROOT / "examples" / "plugin" / "ssl4rl_example" / f"{name}.py").read_text(encoding="utf-8")


def test_mistakes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, reason in (
        ("link", "task 'link' exists already"),
        ("Shared", "cannot be the name of a task: small letters"),
        ("a/b", "cannot be the name"),
        ("draft", "would have the class Draft, which its file imports"),
    ):
        with pytest.raises(UserError, match=reason):
            write_task(name, "graph")
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="mine exists already"):
        write_task("mine", "graph")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
