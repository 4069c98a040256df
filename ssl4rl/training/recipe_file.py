"""Reading a recipe: a YAML file, the changes that the command line or Python makes to it, and its validation.

The names under ``grpo`` are checked against TRL's own source, so that a typo is found without importing torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ssl4rl.errors import UserError, quoted, unknown
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.registry import SOURCE_KINDS, TASKS
from ssl4rl.runs import CONFIG
from ssl4rl.settings import first_invalid, parse_yaml
from ssl4rl.source import SourceKind
from ssl4rl.training.recipe import Recipe, TaskEntry, default_grpo

ELSEWHERE = {
    "output_dir": "--output",
    "seed": "the recipe's own `seed`",
    "use_vllm": "the recipe's own `engine`",
    "model_init_kwargs": "the recipe's own `model.dtype` and `model.attn_implementation`",
    "chat_template_kwargs": "the recipe's own `model.chat_template_kwargs`",
    "resume_from_checkpoint": "--resume",
}
"""Fields of trl.GRPOConfig that are set elsewhere, and where."""

REFUSED = {
    "trust_remote_code": "code that comes with a model is never run",
    **dict.fromkeys(
        ("push_to_hub", "hub_token", "hub_model_id", "hub_strategy", "hub_always_push", "log_completions_hub_repo"),
        "training uploads nothing, and a recipe holds no key",
    ),
    **dict.fromkeys(
        ("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        "training writes into its own folder alone",
    ),
}
"""Fields of trl.GRPOConfig that no recipe may set, and why: recipes come from others, too."""

MAIN_KEYS = {"tasks": "name", "model": "path", "reward": "kind", "heldout": "examples"}
"""Of the sections that people write as one value, the key that they mean."""

Values = dict[str, Any]
"""A recipe before it is validated."""


def load_recipe(
    file: Path | None = None,
    *,
    overrides: Iterable[str] = (),
    tasks: Iterable[str] = (),
    level: str | None = None,
    dataset: str | None = None,
    model: str | None = None,
    side: str = "graph",
) -> Recipe:
    """Reads a recipe (or starts from the defaults) and applies the command line to it, ``--set`` last.

    ``side`` decides the defaults: its kind of source names a task, and whether the embedded model has to read images.

    Raises:
        UserError: for a missing file, an unknown key or a value that is not allowed, naming the place.
    """
    values = {} if file is None else read_recipe(file)
    _default_side(values, side)
    _apply_names(values, list(tasks), level, dataset, model)
    knobs: dict[str, Any] = {}
    for key, value in _parse_overrides(overrides):
        if key.startswith("task."):
            knobs[key.removeprefix("task.")] = value
        else:
            _assign(values, key, value, f"--set {key}")
    if knobs:
        _set_knobs(values, knobs)
    return validate(values, "recipe" if file is None else str(file))


def _kinds_of(side: str) -> list[SourceKind[Any]]:
    return [kind for kind in map(SOURCE_KINDS.get, SOURCE_KINDS.names()) if kind.side == side]


def default_task(side: str) -> str | None:
    """The task that a recipe of this side trains when it names none."""
    return next((kind.default_task for kind in _kinds_of(side) if kind.default_task is not None), None)


def side_of_recipe(tasks: Sequence[str], file: Path | None) -> str:
    """The side of the first task: of those named, which replace the recipe's, or of its own; else ``graph``."""
    named = next(iter(tasks), None)
    if named is None and file is not None:
        entries = read_recipe(file).get("tasks") or [{}]
        named = entries[0].get("name") if isinstance(entries, list) and isinstance(entries[0], dict) else None
    return TASKS.get(named).source_kind.side if named else "graph"


def _default_side(values: Values, side: str) -> None:
    """The task and the embedded model of a side, where the recipe names none."""
    task = default_task(side)
    if task is not None:
        values.setdefault("tasks", [{"name": task}])
    if any(kind.shows_images for kind in _kinds_of(side)):
        values.setdefault("model", {})
        if isinstance(values["model"], dict):
            values["model"].setdefault("path", TINY_VISION)


def change(values: Values, settings: Mapping[str, Any]) -> None:
    """Sets the fields of a recipe that are in ``settings``; a mapping changes the keys that it names, and no others.

    Raises:
        UserError: for a key inside a field that is not a section.
    """
    # The defaults of grpo depend on the model, so it comes first.
    for name in sorted(settings, key=lambda name: name == "grpo"):
        value = settings[name]
        if isinstance(value, Mapping):
            for key, inner in value.items():
                _assign(values, f"{name}.{key}", inner, f"{name}.{key}")
        else:
            values[name] = value


def validate(values: Values, place: str) -> Recipe:
    """The recipe, with the ``grpo`` block that suits its model if it has none.

    Raises:
        UserError: for an unknown key or a value that is not allowed.
    """
    _reject_unknown(values, Recipe, place)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        where, value, why = first_invalid(error)
        raise UserError(f"{place}: {where}={quoted(value)}: {_as_section(where, value) or why}") from error


def _as_section(where: str, value: Any) -> str:
    """How to write a section of which only its main value is there, such as ``model: tiny``; empty for all else."""
    if isinstance(value, list | dict):
        return ""
    if where == "tasks":
        return f"write [{{name: {value}}}]"
    section = "tasks" if where.removeprefix("tasks.").isdigit() else where
    return f"write {{{MAIN_KEYS[section]}: {value}}}" if section in MAIN_KEYS else ""


def read_recipe(file: Path) -> Values:
    """The content of a recipe file; only the names of its keys are checked.

    Raises:
        UserError: if the file is missing, is not a YAML mapping, or has an unknown key.
    """
    if not file.is_file():
        hint = f"; for the task of that name, give ssl4rl.task({str(file)!r})" if str(file) in TASKS.names() else ""
        if file.is_dir():
            hint = f"; a run's recipe is {file / CONFIG}" if (file / CONFIG).is_file() else ""
            raise UserError(f"recipe {file} is a folder{hint}")
        if file.parts[0] == "configs":
            hint = "; those of the pages are in the repository: run this in a clone of it"
        raise UserError(f"recipe {file} does not exist{hint}")
    try:
        values = parse_yaml(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise UserError(f"recipe {file} is not UTF-8 text (byte {error.start})") from error
    if not isinstance(values, dict):
        raise UserError(f"recipe {file} is {'empty' if values is None else 'not a mapping of keys to values'}")
    _reject_unknown(values, Recipe, str(file))
    return values


def _parse_overrides(overrides: Iterable[str]) -> list[tuple[str, Any]]:
    """Keys and values of ``--set KEY=VALUE``; those of ``grpo`` come last, as its defaults depend on the model."""
    parsed = []
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise UserError(f"--set {quoted(override)}: write it as key=value")
        parsed.append((key, parse_yaml(text, f"--set {key}")))
    return sorted(parsed, key=lambda item: item[0].startswith("grpo."))


def _entries(values: Values) -> list[dict[str, Any]]:
    entries = values.setdefault("tasks", [{}])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("tasks: write a list of {name, dataset, level, weight, knobs}")
    return entries


def _apply_names(values: Values, tasks: list[str], level: str | None, dataset: str | None, model: str | None) -> None:
    """``--task`` replaces the recipe's tasks; the other options apply to all of them.

    A task that the recipe has keeps its settings; a new one gets the level and dataset that all of the recipe's share.
    """
    if tasks:
        entries = _entries(values)
        known: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            known.setdefault(entry.get("name", TaskEntry().name), []).append(entry)
        common: dict[str, Any] = {}
        for key in ("level", "dataset"):
            if entries and key in entries[0] and all(entry.get(key) == entries[0][key] for entry in entries):
                common[key] = entries[0][key]
        values["tasks"] = [
            entry for name in dict.fromkeys(tasks) for entry in known.get(name, [{"name": name, **common}])
        ]
    for key, value in (("level", level), ("dataset", dataset)):
        if value is not None:
            for entry in _entries(values):
                entry[key] = value
    if model is not None:
        section = values.setdefault("model", {})
        if isinstance(section, dict):
            section["path"] = model


def _assign(values: Values, key: str, value: Any, place: str) -> None:
    """Sets ``values[a][b][0]… = value`` for the dotted key ``a.b.0…``; ``place`` is how messages call it."""
    *parents, last = key.split(".")
    section: Any = values
    if parents[:1] == ["grpo"]:
        _default_grpo(values)
    for step in parents:
        if isinstance(section, list):
            if not step.isdigit() or int(step) >= len(section):
                raise UserError(f"{place}: {step!r} is not one of the {len(section)} entries (count from 0)")
            section = section[int(step)]
        else:
            if section.get(step) is None:
                section[step] = [{}] if step == "tasks" else {}
            section = section[step]
        if not isinstance(section, dict | list):
            raise UserError(f"{place}: {step!r} holds a value, not a section")
    if isinstance(section, list):
        raise UserError(f"{place}: say which entry, as in {'.'.join([*parents, '0', last])}")
    section[last] = value


def _set_knobs(values: Values, knobs: Mapping[str, Any]) -> None:
    """``--set task.KNOB=VALUE``: on every task that has the knob; an error if none has."""
    entries = _entries(values)
    valid = [set(TASKS.get(entry.get("name", TaskEntry().name)).knobs_type.model_fields) for entry in entries]
    for knob, value in knobs.items():
        if not any(knob in names for names in valid):
            raise unknown("knob", knob, set().union(*valid))
        for entry, names in zip(entries, valid, strict=True):
            if knob in names:
                entry["knobs"] = {**(entry.get("knobs") or {}), knob: value}


def _default_grpo(values: Values) -> None:
    if "grpo" not in values:
        model = values.get("model")
        section = model if isinstance(model, dict) else {}
        values["grpo"] = default_grpo(section.get("path", TINY), lora=section.get("lora") is not None)


def _reject_unknown(values: Any, model: type[BaseModel], place: str, path: str = "") -> None:
    """Refuses unknown keys at any depth with the nearest valid ones, which pydantic does not name."""
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        full = f"{path}{key}"
        if key not in model.model_fields:
            if inside := [] if path else _sections_with(key):
                raise UserError(f"unknown key in {place}: {quoted(key)}; did you mean {' or '.join(inside)}?")
            raise unknown(f"key in {place}:", full, [f"{path}{name}" for name in model.model_fields])
        if full == "grpo":
            _check_grpo_names(value, place)
        annotation = model.model_fields[key].annotation
        for kind in (annotation, *get_args(annotation)):
            if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
                continue
            if isinstance(value, list):
                for index, item in enumerate(value):
                    _reject_unknown(item, kind, place, f"{full}.{index}.")
            else:
                _reject_unknown(value, kind, place, f"{full}.")


def _sections_with(key: str) -> list[str]:
    """Where in a recipe, below its top, there is a key of that name."""
    places = ["grpo"] if key in grpo_fields() and key not in {*ELSEWHERE, *REFUSED} else []
    for section, field in Recipe.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        if any(issubclass(kind, BaseModel) and key in kind.model_fields for kind in kinds):
            places.append("tasks.0" if section == "tasks" else section)
    return [f"{section}.{key}" for section in places]


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe; ``grpo`` may have the fields of the installed trl.GRPOConfig."""
    schema = Recipe.model_json_schema()
    names = sorted(name for name in grpo_fields() if not name.startswith("_") and name not in {*ELSEWHERE, *REFUSED})
    schema["properties"]["grpo"] |= {"properties": {name: {} for name in names}, "additionalProperties": False}
    return schema


def _check_grpo_names(values: Any, place: str) -> None:
    if not isinstance(values, dict):
        return
    for key in values:
        if key in REFUSED:
            raise UserError(f"{place}: grpo.{key} cannot be set: {REFUSED[key]}; remove it")
        if key in ELSEWHERE:
            raise UserError(f"{place}: grpo.{key} is not set here but by {ELSEWHERE[key]}")
        if key not in grpo_fields():
            raise unknown(f"key in {place}:", f"grpo.{key}", [f"grpo.{name}" for name in grpo_fields()])


@cache
def grpo_fields() -> frozenset[str]:
    """The names of trl.GRPOConfig's fields, read from the source of the installed versions without importing them."""
    names: set[str] = set()
    for package, files in (
        ("trl", ("trainer/grpo_config.py", "trainer/base_config.py")),
        ("transformers", ("training_args.py",)),
    ):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise UserError(f"the package {package} is not installed; training needs it")
        for name in files:
            tree = ast.parse((Path(spec.origin).parent / name).read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and node.name in {"GRPOConfig", "_BaseConfig", "TrainingArguments"}:
                    names |= {
                        field.target.id
                        for field in node.body
                        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                    }
    return frozenset(names)
