"""The package's version, also from a checkout that is not installed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _find_version() -> str:
    # A checkout's own number comes first: an installed copy elsewhere may be another version.
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    if pyproject.is_file():
        stated = re.search(
            r'^name = "ssl4rl"\nversion = "([^"]+)"', pyproject.read_text(encoding="utf-8"), re.MULTILINE
        )
        if stated:
            return stated[1]
    try:
        return version("ssl4rl")
    except PackageNotFoundError:
        return "unknown"


__version__ = _find_version()
