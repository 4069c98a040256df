"""Running the command line in this process."""

import sys
from pathlib import Path

import pytest

from ssl4rl.cli import main as cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line; returns exit code, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def refused(run):
    """Runs a command that must fail, and returns its one line."""

    def call(*arguments: str) -> str:
        code, _, err = run(*arguments)
        lines = err.strip().splitlines()
        assert code == 2 and len(lines) == 1 and lines[0].startswith("error: "), err
        return lines[0]

    return call


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small graph of one's own."""
    here = tmp_path / "mine"
    here.mkdir()
    nodes = "".join(f"{i},text number {i}\n" for i in range(40))
    (here / "nodes.csv").write_text("id,text\n" + nodes)
    edges = "".join(f"{i},{(i * 7 + 1) % 40}\n{i},{(i + 3) % 40}\n" for i in range(40))
    (here / "edges.csv").write_text("source,target\n" + edges)
    return here
