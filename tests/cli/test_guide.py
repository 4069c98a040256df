"""The guide for coding agents is right to the letter: its commands run as they stand, in their order."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from ssl4rl.cli.main import app

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def guide() -> str:
    return CliRunner().invoke(app, ["docs", "--agent"]).output


def test_it_is_short_and_begins_as_a_skill_does(guide: str) -> None:
    assert guide.startswith("---\nname: ssl4rl\ndescription: ") and len(guide.splitlines()) <= 150


def test_its_commands_run_as_they_stand(guide, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line for kind, block in BLOCK.findall(guide) if kind == "sh" for line in block.splitlines()]
    assert len(commands) >= 15
    for command in commands:
        program, *arguments = shlex.split(command)
        result = CliRunner().invoke(app, arguments)
        assert (program, result.exit_code) == ("ssl4rl", 0), (command, result.output, result.exception)


def test_its_python_runs(guide: str) -> None:
    for kind, block in BLOCK.findall(guide):
        if kind == "python":
            exec(block, {})


def test_without_the_option_it_says_where_to_read() -> None:
    assert "docs --agent" in CliRunner().invoke(app, ["docs"]).output
