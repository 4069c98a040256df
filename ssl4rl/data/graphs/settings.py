"""``dataset.yaml``: what a graph's files mean, where they do not say it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError, unknown
from ssl4rl.settings import parse_yaml

MEANING_WITHOUT_MASKS = ("name", "node", "edge", "directed")
"""Keys that go with every layout of files."""

MEANING = (*MEANING_WITHOUT_MASKS, "mask")
"""Keys that go with fields of PyG, some of which are masks of splits."""

KEYS = (*MEANING, "id", "text", "label", "kind", "split", "source", "target", "relation")
"""Keys that go with tables of nodes and edges."""

FORMS = {"directed": (bool, "true or false"), "mask": (int, "a number, counted from 0")}


def read_settings(path: Path, keys: Sequence[str] = KEYS) -> dict[str, Any]:
    """The content of dataset.yaml, ``{}`` if there is none.

    Raises:
        UserError: if it is not valid YAML, or a key is none of ``keys`` or has a value of the wrong type.
    """
    if not path.is_file():
        if path.with_suffix(".yml").is_file():
            raise UserError(f"{path.with_suffix('.yml')} is not read under this name; call it {path.name}")
        return {}
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected lines such as `text: title`; the keys are {', '.join(keys)}")
    for key, value in settings.items():
        if key not in keys:
            raise UserError(f"{path}: {unknown('key', str(key), keys)}")
        expected, form = FORMS.get(key, (str, "text; put it in quotes"))
        if value is not None and type(value) is not expected:
            raise UserError(f"{path}: `{key}` is {repr(value)[:80]}, but must be {form}")
    return {key: value for key, value in settings.items() if value is not None and value != ""}


def meanings(settings: dict[str, Any]) -> dict[str, Any]:
    """What a node is and what an edge means, as a graph's fields."""
    return {f"{key}_meaning": settings[key] for key in ("node", "edge") if key in settings}
