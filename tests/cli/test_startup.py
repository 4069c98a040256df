"""Verbs that need no model must not import one."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["graph", "train", "--help"],
        ["graph", "warmup", "--help"],
        ["graph", "eval", "--help"],
        ["vision", "eval", "--help"],
        ["export", "--help"],
        ["export", "--to", "verl", "--task", "link", "-n", "5", "--output", "FOLDER"],
        ["compare", "--help"],
        ["report", "--help"],
        ["rescore", "--help"],
        ["graph", "show", "--task", "link"],
        ["graph", "show", "--benchmark", "node"],
        ["graph", "show", "--task", "attribute", "--level", "hard", "--json"],
        ["data", "list"],
        ["data", "info", "citations"],
        ["data", "validate", "citations"],
    ],
)
def test_no_heavy_imports(arguments, tmp_path):
    arguments = [str(tmp_path / "new") if argument == "FOLDER" else argument for argument in arguments]
    # Which tasks can use a dataset is known by building them, and those on images are among the tasks.
    allowed = {"PIL"} if "validate" in arguments else set()
    code = (
        "import sys\nfrom ssl4rl.cli.main import main\n"
        f"sys.argv = ['ssl4rl', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'vllm', 'networkx', 'PIL', 'scipy', 'sklearn'}\n"
        f"heavy &= set(sys.modules) - {allowed!r}\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
