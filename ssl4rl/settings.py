"""YAML as people write it in recipes and after ``--set``."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ssl4rl.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as a string; everybody means a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, place: str) -> Any:
    """Parses one YAML document.

    Raises:
        UserError: for a syntax error; it names ``place`` and the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{place}{line}: not valid YAML ({getattr(error, 'problem', None) or error})") from error
