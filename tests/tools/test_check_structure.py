"""The check of the package's structure names each violation in a small tree, and passes a clean one."""

from pathlib import Path

import pytest

from tools.check_structure import MAX_FUNCTION_LINES, MAX_MODULE_LINES, MAX_PARAMETERS, find_violations, main

CLEAN = {
    "ssl4rl/__init__.py": "from importlib import import_module\n",
    "ssl4rl/__main__.py": "from ssl4rl.cli.main import app\n",
    "ssl4rl/answers.py": "import re\nfrom collections.abc import Mapping\n",
    "ssl4rl/tasks.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ssl4rl.training import run\n",
    "ssl4rl/graph/__init__.py": "",
    "ssl4rl/graph/graph.py": "from ssl4rl import tasks\n",
    "ssl4rl/data/__init__.py": "",
    "ssl4rl/data/folder.py": "from ssl4rl.graph.graph import Graph\n",
    "ssl4rl/data/text.py": "import csv\n",
    "ssl4rl/models/__init__.py": "",
    "ssl4rl/training/__init__.py": "",
    "ssl4rl/training/run.py": "import ssl4rl.models\nfrom ssl4rl.training import display\n",
    "ssl4rl/training/display.py": "def show():\n    from ssl4rl.training import run\n",
    "ssl4rl/cli/__init__.py": "",
    "ssl4rl/cli/main.py": "from ssl4rl.cli import train\napp.command('train')(train.train)\n",
    "ssl4rl/cli/train.py": "def train(*, a, b, c, d, e, f, g, h, i): ...\n",
    "ssl4rl/cli/log.py": "@app.command()\ndef log(a, b, c, d, e, f, g, h, i): ...\n",
    "examples/plugin/task.py": "class A:\n    def draft(self, a, b, c, d, e, f, g, h): ...\n",
    "tools/check.py": "assert True\nHERE = '/home/anyone'\n",
    "experiments/learning.py": "def run(a, b, c, d, e, f, g, h, i): ...\n",
}


def plant(root: Path, **changes: str) -> Path:
    for name, text in {**CLEAN, **changes}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_two_test_modules_of_one_name_are_found(tmp_path):
    plant(tmp_path, **{"tests/cli/test_export.py": "", "tests/export/test_export.py": "", "tests/test_tasks.py": ""})
    assert find_violations(tmp_path) == ["tests/export/test_export.py:1: has the name of tests/cli/test_export.py"]


def test_a_clean_tree_passes(tmp_path, capsys):
    assert main(plant(tmp_path)) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("path", "text", "violation"),
    [
        (
            "ssl4rl/graph/graph.py",
            "import os\nfrom ssl4rl.data.text import read\n",
            "ssl4rl/graph/graph.py:2: graph imports ssl4rl.data.text (it may import core)",
        ),
        (
            "ssl4rl/graph/graph.py",
            "def load():\n    from ssl4rl.data import text\n",
            "ssl4rl/graph/graph.py:2: graph imports ssl4rl.data.text (it may import core)",
        ),
        (
            "ssl4rl/graph/graph.py",
            "from ..data.text import read\n",
            "ssl4rl/graph/graph.py:1: graph imports ssl4rl.data.text (it may import core)",
        ),
        (
            "ssl4rl/tasks.py",
            "import ssl4rl.models\n",
            "ssl4rl/tasks.py:1: core imports ssl4rl.models (it may import core only)",
        ),
        (
            "ssl4rl/vision/task.py",
            "from ssl4rl.graph import graph\n",
            "ssl4rl/vision/task.py:1: vision imports ssl4rl.graph.graph (it may import core)",
        ),
        (
            "ssl4rl/plots/bars.py",
            "",
            "ssl4rl/plots/bars.py:1: plots is in no layer (add it to LAYERS in tools/check_structure.py)",
        ),
        (
            "ssl4rl/answers.py",
            "def words():\n    import numpy.linalg\n",
            "ssl4rl/answers.py:2: imports numpy.linalg (it may import only the standard library)",
        ),
        (
            "ssl4rl/answers.py",
            "from ssl4rl import errors\n",
            "ssl4rl/answers.py:1: imports ssl4rl (it may import only the standard library)",
        ),
        (
            "ssl4rl/answers.py",
            "import re\ntry: ...\nexcept* ValueError: ...\n",
            "ssl4rl/answers.py:3: Exception groups are only supported in Python 3.11 and greater "
            "(it has to load in Python 3.10)",
        ),
        (
            "tools/long.py",
            "\n" * (MAX_MODULE_LINES + 1),
            f"tools/long.py:1: the module has {MAX_MODULE_LINES + 1} lines (at most {MAX_MODULE_LINES})",
        ),
        (
            "examples/plugin/task.py",
            "@cache\ndef draft():\n" + "    pass\n" * MAX_FUNCTION_LINES,
            f"examples/plugin/task.py:2: function draft has {MAX_FUNCTION_LINES + 1} lines "
            f"(at most {MAX_FUNCTION_LINES})",
        ),
        (
            "ssl4rl/tasks.py",
            "class A:\n    def b(self, c, d, e, f, /, g, *h, i, j, **k): ...\n",
            f"ssl4rl/tasks.py:2: function b has 9 parameters (at most {MAX_PARAMETERS})",
        ),
        (
            "ssl4rl/cli/train.py",
            "def train(a): ...\ndef helper(a, b, c, d, e, f, g, h, i): ...\n",
            f"ssl4rl/cli/train.py:2: function helper has 9 parameters (at most {MAX_PARAMETERS})",
        ),
        (
            "ssl4rl/data/folder.py",
            "def read(path):\n    assert path\n",
            "ssl4rl/data/folder.py:2: assert statement (none is allowed; raise an error that says what to do)",
        ),
        (
            "ssl4rl/data/folder.py",
            "# See /home/somebody/notes.\n",
            "ssl4rl/data/folder.py:1: names a local path, /home/s… (none is allowed)",
        ),
        (
            "ssl4rl/models/config.json",
            '{\n"model": "/Users/somebody/model"}\n',
            "ssl4rl/models/config.json:2: names a local path, /Users/s… (none is allowed)",
        ),
    ],
)
def test_each_violation_is_named(tmp_path, path, text, violation):
    assert find_violations(plant(tmp_path, **{path: text})) == [violation]


def test_a_circle_is_reported_once_by_its_shortest_way(tmp_path):
    tree = plant(
        tmp_path,
        **{
            "ssl4rl/training/run.py": "from ssl4rl.training import display, loop\n",
            "ssl4rl/training/display.py": "try:\n    from ssl4rl.training.loop import turn\nfinally:\n    pass\n",
            "ssl4rl/training/loop.py": "from ssl4rl.training.run import train\n",
        },
    )
    [line] = find_violations(tree)
    assert line.startswith("ssl4rl/training/display.py:1: import circle ssl4rl.training.display → ")
    assert line.count("→") == 3


def test_any_violation_fails_the_command(tmp_path, capsys):
    assert main(plant(tmp_path, **{"ssl4rl/tasks.py": "assert True\n"})) == 1
    assert capsys.readouterr().out.startswith("ssl4rl/tasks.py:1: ")
