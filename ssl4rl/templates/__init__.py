"""The folders that ``ssl4rl data new`` copies: a small commented dataset to replace with your own."""

from __future__ import annotations

import json
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS

GRAPH = Path(__file__).parent / "graph"
NAME = "{name}"
"""The name of the dataset goes here."""


def write_skeleton(folder: Path) -> None:
    """Copies the template of a graph into a new (or empty) folder.

    Raises:
        UserError: if the folder holds something already, or has the name of a registered dataset.
    """
    if str(folder) in GRAPHS.names():
        raise UserError(f"{folder} is the name of a registered dataset; choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    # A JSON string is a YAML string too, whatever characters the folder's name has.
    name = json.dumps(folder.resolve().name, ensure_ascii=False)
    for template in sorted(GRAPH.iterdir()):
        text = template.read_text(encoding="utf-8")
        (folder / template.name).write_text(text.replace(NAME, name), encoding="utf-8")
