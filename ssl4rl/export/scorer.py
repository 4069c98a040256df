"""The scorer that goes with an export: one file of the standard library, made from this package's own code.

So a reply earns the same wherever it is scored. Docstrings stay behind; everything else is the source as it is here.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterator, Sequence
from functools import cache
from types import ModuleType

import ssl4rl
from ssl4rl import answers
from ssl4rl.export import entries

SCORER = "ssl4rl_scorer.py"
OWN = ("ssl4rl", "__future__")
"""Where imports are from that the file does without, or has in any case."""

_HEAD = f'''"""Scores replies to examples of ssl4rl {ssl4rl.__version__}. Written by `ssl4rl export`; do not edit.

Standard library only, Python 3.10 and later. compute_score is for verl, trl_reward for TRL, reward_func for OpenRLHF,
easyr1_reward for EasyR1. The ground truth of a row is the JSON of the call that scores a reply: a function of this file
and its arguments.
"""

from __future__ import annotations

'''


@cache
def scorer_source() -> str:
    """The text of ``ssl4rl_scorer.py``."""
    modules = (answers, entries)
    return _HEAD + _imports(modules) + "".join("\n\n" + _body(module) for module in modules)


def scorer_sha256() -> str:
    """The hash of ``ssl4rl_scorer.py``."""
    return hashlib.sha256(scorer_source().encode()).hexdigest()


def _imports(modules: Sequence[ModuleType]) -> str:
    """What the modules import from the standard library, each name once."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for module in modules:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.Import):
                plain.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] not in OWN:
                names.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
    lines = [f"import {name}" for name in sorted(plain)]
    lines += [f"from {module} import {', '.join(sorted(imported))}" for module, imported in sorted(names.items())]
    return "\n".join(lines) + "\n"


def _body(module: ModuleType) -> str:
    """The source of a module without its imports, its docstrings and ``__all__``."""
    source = inspect.getsource(module)
    dropped: set[int] = set()
    for node in _dropped(ast.parse(source)):
        dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    text = ""
    blank = 0
    for number, line in enumerate(source.splitlines(), start=1):
        if number in dropped:
            continue
        if not line.strip():
            blank += 1
            continue
        first = not text or text.endswith(":\n")  # nothing above it, or what was above it was a docstring
        text += "\n" * (0 if first else min(blank, 1)) + line + "\n"
        blank = 0
    return text


def _dropped(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that the scorer does without."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield from (
                each for each in node.body if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
            )
    for statement in tree.body:
        lists_names = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
        if lists_names or isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
