"""What ``ssl4rl data new`` and ``ssl4rl new task`` copy: a small dataset, and a small plug-in, to make your own."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from string import Template

from ssl4rl.errors import UserError, unknown
from ssl4rl.registry import GRAPHS, TASKS

GRAPH = Path(__file__).parent / "graph"
NAME = "{name}"
"""The name of the dataset goes here."""
TASK = Path(__file__).parent / "task"
SIDES = ("graph", "vision")
TASK_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_skeleton(folder: Path) -> None:
    """Copies the template of a graph into a new (or empty) folder.

    Raises:
        UserError: if the folder holds something already, or has the name of a registered dataset.
    """
    if str(folder) in GRAPHS.names():
        raise UserError(f"{folder} is the name of a registered dataset; choose another name")
    _check_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # A JSON string is a YAML string too, whatever characters the folder's name has.
    name = json.dumps(folder.resolve().name, ensure_ascii=False)
    for template in sorted(GRAPH.iterdir()):
        text = template.read_text(encoding="utf-8")
        (folder / template.name).write_text(text.replace(NAME, name), encoding="utf-8")


def write_task(name: str, side: str) -> list[Path]:
    """Writes a folder ``name`` with a package whose task, of ``graph`` or ``vision``, has that name; returns its files.

    The task is one of those of ``examples/plugin``: it works, and is there to be changed.

    Raises:
        UserError: if the folder holds something already, or the name is taken or cannot be one.
    """
    if side not in SIDES:
        raise unknown("side", side, SIDES)
    if not TASK_NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot be the name of a task: small letters, digits and hyphens, as in shared-topic")
    if name in TASKS.names():
        raise UserError(f"task {name!r} exists already; choose another name")
    title, package = "".join(map(str.capitalize, name.split("-"))), f"ssl4rl_{name.replace('-', '_')}"
    code = _template(f"{side}.py.txt")
    if title in _imported(code.safe_substitute(title="Task", name=name)):
        raise UserError(f"a task {name!r} would have the class {title}, which its file imports; choose another name")
    folder = Path(name)
    _check_empty(folder)
    files = {
        "pyproject.toml": _template("pyproject.toml.txt"),
        "README.md": _template("README.md.txt"),
        f"{package}/__init__.py": _template("__init__.py.txt"),
        f"{package}/task.py": code,
        "test_task.py": _template("test_task.py.txt"),
    }
    for file, template in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = template.substitute(name=name, title=title, package=package, side=side)
        path.write_text(text, encoding="utf-8")
    return [folder / file for file in files]


def _template(name: str) -> Template:
    return Template((TASK / name).read_text(encoding="utf-8"))


def _imported(code: str) -> set[str]:
    """The names that a module imports."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {each.asname or each.name for node in statements for each in node.names}


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name")
