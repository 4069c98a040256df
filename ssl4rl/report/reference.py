"""What every registered task and benchmark is, from the registries: the input of the reference page and the gallery."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from ssl4rl.errors import NotApplicable
from ssl4rl.example import Example
from ssl4rl.registry import BENCHMARKS, TASKS
from ssl4rl.source import Source
from ssl4rl.tasks import Task

_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_TYPES = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null"}
_HEADINGS = {"task": "Tasks", "benchmark": "Benchmarks"}


@dataclass(frozen=True)
class Knob:
    """One setting of a task."""

    name: str
    type: str
    """Its type, or the values it may have."""
    bounds: str
    """Such as "1 to 50"; empty if there are none."""
    default: str
    """As JSON."""
    description: str


@dataclass(frozen=True)
class Entry:
    """One task or benchmark."""

    noun: str
    """``task`` or ``benchmark``."""
    kind: type[Task[Any, Any]]
    knobs: tuple[Knob, ...]

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.kind) or "").partition("\n")[0]

    @property
    def split(self) -> str:
        """The split that an example is shown of."""
        return "test" if self.noun == "benchmark" else "train"

    def example(self, level: str, source: Source | None = None) -> Example | None:
        """The first example of a level, by default on the embedded source; None if the source lacks what it needs."""
        source = self.kind.source_kind.load() if source is None else source
        try:
            return self.kind(source, level=level, split=self.split).example(0)
        except NotApplicable:
            return None


def entries(package: str | None = None) -> Iterator[Entry]:
    """Every registered task and benchmark, or only those that a package brings."""
    for noun, registry in (("task", TASKS), ("benchmark", BENCHMARKS)):
        for kind in registry.all()[0].values():
            if package is None or kind.__module__.partition(".")[0] == package:
                knobs = (describe_knob(knob, field) for knob, field in kind.knobs_type.model_fields.items())
                yield Entry(noun, kind, tuple(knobs))


def as_facts(entry: Entry) -> dict[str, Any]:
    """A task or benchmark, ready for JSON."""
    kind = entry.kind
    return {
        "name": entry.name,
        "noun": entry.noun,
        "side": kind.source_kind.side,
        "source": kind.source_kind.name,
        "summary": entry.summary,
        "version": kind.version,
        "levels": {level: dict(knobs) for level, knobs in kind.levels.items()},
        "default_level": kind.default_level,
        "knobs": [asdict(knob) for knob in entry.knobs],
    }


def describe_knob(name: str, field: FieldInfo) -> Knob:
    """A field of a class of knobs in words."""
    limits: dict[str, Any] = {}
    for each in field.metadata:
        limits |= {sign: getattr(each, bound) for bound, sign in _BOUNDS if hasattr(each, bound)}
    if limits.keys() == {"≥", "≤"}:
        bounds = f"{limits['≥']} to {limits['≤']}"
    else:
        bounds = ", ".join(f"{sign} {limit}" for sign, limit in limits.items())
    return Knob(
        name=name,
        type=name_type(field.annotation),
        bounds=bounds,
        default=json.dumps(field.default, ensure_ascii=False),
        description=" ".join((field.description or "").split()),
    )


def name_type(annotation: Any) -> str:
    """A type as a reader of YAML would call it.

    >>> name_type(int | None), name_type(Literal["edge", "relation"])
    ('integer or null', '`edge` or `relation`')
    """
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(map(name_type, get_args(annotation)))
    return _TYPES.get(annotation, str(annotation))


def write_page(package: str = "ssl4rl") -> str:
    """The page of reference in Markdown: knobs and levels of every task and benchmark, and an example of each."""
    lines = [
        "# Reference",
        "",
        "Every task and benchmark with its levels and knobs. This page is written by `python -m tools.write_reference`",
        "from the registries; do not edit it.",
        "",
        "`--level NAME` takes a level, `--set task.KNOB=VALUE` changes one of its knobs.",
    ]
    sources: dict[str, Source] = {}
    noun = ""
    for entry in entries(package):
        if entry.noun != noun:
            noun = entry.noun
            lines += ["", f"## {_HEADINGS[noun]}"]
        source_kind = entry.kind.source_kind
        if source_kind.name not in sources:
            sources[source_kind.name] = source_kind.load()
        lines += ["", *_section(entry, sources[source_kind.name])]
    return "\n".join(lines) + "\n"


def _section(entry: Entry, source: Source) -> list[str]:
    """The lines of one task or benchmark."""
    kind = entry.kind
    lines = [
        f"### {entry.noun.capitalize()} `{entry.name}`",
        "",
        _markdown(entry.summary),
        "",
        f"Source: {kind.source_kind.name}. Version: {kind.version}.",
        "",
        "| level | knobs that differ from their defaults |",
        "|---|---|",
    ]
    for level, overrides in kind.levels.items():
        default = " (default)" if level == kind.default_level else ""
        lines.append(f"| `{level}`{default} | {_spell(overrides)} |")
    lines += ["", "| knob | type | default | meaning |", "|---|---|---|---|"]
    for knob in entry.knobs:
        allowed = f"{knob.type}, {knob.bounds}" if knob.bounds else knob.type
        lines.append(f"| `{knob.name}` | {allowed} | `{knob.default}` | {_markdown(knob.description)} |")
    example = entry.example(kind.default_level, source)
    if example is None:
        return [*lines, "", f"{source.name}, the default source, lacks what it needs, so no example is shown."]
    return [*lines, "", "```", *_show(example), "```"]


def _markdown(docstring: str) -> str:
    """A line of a docstring as Markdown, for a cell of a table too."""
    return docstring.replace("``", "`").replace("|", "\\|")


def _spell(overrides: Mapping[str, Any]) -> str:
    return ", ".join(f"`{knob}={json.dumps(value)}`" for knob, value in overrides.items()) or "none"


def _show(example: Example) -> list[str]:
    """An example in lines of text; an image by its size."""
    shown = [part if isinstance(part, str) else f"[image, {part.width}×{part.height}]" for part in example.parts]
    return [str(example.id), *shown, f"answer: {example.gold}   (chance {example.chance:.2f})"]
