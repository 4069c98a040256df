"""YAML as people write it in recipes and after ``--set``."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ssl4rl.errors import UserError

MOST_VALUES = 100_000
"""That a document may stand for once its references are followed."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as a string; everybody means a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, place: str) -> Any:
    """Parses one YAML document.

    Raises:
        UserError: for a syntax error, a tag that names a type of Python's, or more values than anybody writes; it names
            ``place`` and the line.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
        _check_size(content)
    except RecursionError as error:
        raise UserError(f"{place}: not valid YAML (it is nested too deeply)") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{place}{line}: not valid YAML ({getattr(error, 'problem', None) or error})") from error
    return content


def _check_size(content: Any) -> None:
    """Refuses what references to references blow up, before a message is made of it."""
    seen = 0
    todo = [content]
    while todo:
        value = todo.pop()
        seen += 1
        if seen + len(todo) > MOST_VALUES:
            raise ValueError(f"it stands for more than {MOST_VALUES:,} values")
        if isinstance(value, dict):
            todo += [*value, *value.values()]
        elif isinstance(value, list | tuple | set):
            todo += value
