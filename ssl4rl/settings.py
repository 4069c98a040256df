"""YAML as people write it in recipes, in dataset.yaml and after ``--set``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from ssl4rl.errors import LONGEST_QUOTE, UserError, quoted

MOST_VALUES = 100_000
"""That a document may stand for once its references are followed."""

IN_WORDS = {
    "list_type": "a list belongs here",
    "dict_type": "keys and values belong here, such as {key: value}",
    "model_type": "keys and values belong here, such as {key: value}",
}
"""What YAML calls what pydantic has Python's names for, by its type of error."""


class Numeric(BaseModel):
    """Base of settings: yes and no are refused for a number, where pydantic takes them for 1 and 0."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and _is_numeric(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("a number belongs here")
        return value


def _is_numeric(annotation: Any) -> bool:
    kinds = {annotation, *get_args(annotation)}
    return bool(kinds & {int, float}) and bool not in kinds


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as a string; everybody means a number."""


class _Dumper(yaml.SafeDumper):
    """Quotes a string that the loader would read as a number."""


for _each in (_Loader, _Dumper):
    _each.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def dump_yaml(content: Mapping[str, Any]) -> str:
    """The text that :func:`parse_yaml` reads as ``content``."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_yaml(text: str, place: str) -> Any:
    """Parses one YAML document.

    Raises:
        UserError: for a syntax error, a key that a mapping has twice, a value that its tag does not fit, or references
            that lead back to themselves or multiply without end; it names ``place`` and the line.
    """
    try:
        loader = _Loader(text)
        try:
            document = loader.get_single_node()
            if document is None:
                return None
            _size(document, {})
            return loader.construct_document(document)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error)[:LONGEST_QUOTE]
        raise UserError(f"{place}{line}: not valid YAML ({problem})") from error
    except RecursionError as error:
        raise UserError(f"{place}: not valid YAML (it is nested too deeply)") from error
    # What PyYAML's constructors meet in a value such as 2001-13-45, `!!int x` or a number of 5,000 digits.
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{place}: not valid YAML ({type(error).__name__}: {str(error)[:100]})") from error


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many nodes a document has once its references are written out.

    Raises:
        MarkedYAMLError: if they are too many, a node is within itself, or a mapping has a key twice.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = 0
        inner = node.value
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            inner = [each for pair in node.value for each in pair]
        sizes[id(node)] = 1 + sum(_size(each, sizes) for each in inner)
    if not 0 < sizes[id(node)] <= MOST_VALUES:
        problem = f"it stands for more than {MOST_VALUES:,} values" if sizes[id(node)] else "it refers to itself"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return sizes[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    """PyYAML keeps the last value of a key that is there twice, and drops the others without a word."""
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                problem = f"the key {quoted(key.value)} is there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))


def first_invalid(error: ValidationError) -> tuple[str, Any, str]:
    """The first value that a model refuses: its dotted place (empty for the whole), the value, and why."""
    first = error.errors()[0]
    return (
        ".".join(map(str, first["loc"])),
        first["input"],
        IN_WORDS.get(first["type"], first["msg"].removeprefix("Value error, ")),
    )
