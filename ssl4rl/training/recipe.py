"""A recipe: one validated description of a training run, read from YAML with ``--set`` overrides.

The defaults are the quickstart (configs/quickstart.yaml spells them out). What stands under ``grpo`` goes to
``trl.GRPOConfig`` as it is; its names are checked here against TRL's own source, so a typing error is found without
importing torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ssl4rl.errors import UserError, unknown
from ssl4rl.inference.model import TINY, TINY_VISION

# For `tiny` on the embedded graph, on two cores: many prompts a step matter more there than the learning rate, and
# a single micro-batch keeps every group together. Settings are trl.GRPOConfig's.
QUICKSTART_GRPO: dict[str, Any] = {
    "max_steps": 160,
    "learning_rate": 3e-4,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 5,
    "per_device_train_batch_size": 256,
    "gradient_accumulation_steps": 1,
    "num_generations": 8,
    "max_completion_length": 64,
    "temperature": 1.0,
    "beta": 0.0,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_steps": 40,
    "save_total_limit": 2,
}

# The same for `tiny-vision` on drawn scenes: its policy is surer, and at the rate above it stops varying too early.
QUICKSTART_VISION_GRPO: dict[str, Any] = {**QUICKSTART_GRPO, "learning_rate": 2e-4, "adam_beta2": 0.98}

QUICKSTART = {TINY: QUICKSTART_GRPO, TINY_VISION: QUICKSTART_VISION_GRPO}

# For any other model where a recipe says nothing: the same 32 prompts x 8 completions a step, in small micro-batches,
# with the learning rate that full fine-tuning of instruct models takes (the paper's, section 4.1).
MODEL_GRPO: dict[str, Any] = {
    "max_steps": 200,
    "learning_rate": 1e-6,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 16,
    "num_generations": 8,
    "max_completion_length": 512,
    "temperature": 1.0,
    "beta": 0.0,
    "save_steps": 50,
    "save_total_limit": 2,
}
LORA_LEARNING_RATE = 2e-5

# GRPOConfig fields that the recipe says elsewhere.
ELSEWHERE = {
    "output_dir": "--output",
    "seed": "the recipe's own `seed`",
    "use_vllm": "the recipe's own `engine`",
    "model_init_kwargs": "the recipe's own `model.dtype` and `model.attn_implementation`",
    "resume_from_checkpoint": "--resume",
}


class Section(BaseModel):
    """Base of every part of a recipe: an unknown key is refused, and docstrings describe the fields."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_assignment=True)


class TaskEntry(Section):
    """One task of the run."""

    name: str = "link"
    """A registered task: attribute, neighbor, link, rotation, jigsaw, contrastive, position, or a third party's."""
    dataset: str | None = None
    """A registered dataset, or a folder or file of one's own; null is the embedded graph, or the drawn scenes."""
    level: str | None = None
    """A named bundle of the task's knobs; null is the task's default level."""
    weight: float = Field(default=1.0, gt=0)
    """Share of the examples in a mixture of several tasks, relative to the others' weights."""
    knobs: dict[str, Any] = Field(default_factory=dict)
    """Knobs that differ from the level's."""


class Lora(Section):
    """Low-rank adapters (Hu et al. 2022), trained instead of the weights; the final model is saved merged."""

    r: int = Field(default=16, ge=1)
    """Rank of the update."""
    alpha: int = Field(default=32, ge=1)
    """The update is scaled by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapters; with it the trainer's log-probabilities are random."""
    target_modules: str | list[str] = "all-linear"
    """Which layers get one; as in peft.LoraConfig."""


class ModelSettings(Section):
    """The model that is trained."""

    path: str = TINY
    """``tiny`` or ``tiny-vision`` (they come with the package), a folder, or a name on the Hugging Face hub."""
    lora: Lora | None = None
    """Adapters; null trains all weights."""
    dtype: str = "float32"
    """Type of the weights: float32, bfloat16, float16 or auto (the checkpoint's). float32 with grpo.bf16 is mixed."""
    attn_implementation: str | None = None
    """As in transformers; null is its choice. The shared prompt needs sdpa (the usual choice) or eager."""
    freeze_vision: bool = False
    """Of a vision-language model, train the language part alone."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Pictures with fewer pixels are scaled up before the model's processor sees them; null leaves it to that."""
    max_pixels: int | None = Field(default=None, ge=1)
    """Pictures with more pixels are scaled down before the model's processor sees them; null leaves it to that."""

    @model_validator(mode="after")
    def _ordered(self) -> ModelSettings:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels={self.min_pixels} is more than max_pixels={self.max_pixels}")
        return self


class Heldout(Section):
    """The evaluation before and after training: the same task on split ``val``, greedy decoding."""

    examples: int = Field(default=500, ge=0)
    """How many examples; 0 leaves the evaluation out."""
    batch_size: int = Field(default=64, ge=1)
    """Prompts per batch of transformers' generation; vLLM batches by itself."""


class Recipe(Section):
    """Everything that decides a training run."""

    seed: int = Field(default=0, ge=0)
    """Decides the examples, the sampling and the initial adapters."""
    tasks: list[TaskEntry] = Field(default_factory=lambda: [TaskEntry()], min_length=1)
    """One task, or several as a mixture."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    """What is trained."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What samples the completions; auto is vLLM (colocate) where a GPU and vLLM are there, else transformers."""
    heldout: Heldout = Field(default_factory=Heldout)
    """The evaluation before and after."""
    share_prompt: bool = True
    """Run each prompt once per group of completions instead of once per completion, where the model allows it."""
    log_completions_every: int = Field(default=10, ge=1)
    """Every n-th step's completions are written to completions.jsonl."""
    grpo: dict[str, Any] = Field(default_factory=lambda: dict(QUICKSTART_GRPO))
    """Passed to trl.GRPOConfig as it is."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as a string; everybody means a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, place: str) -> Any:
    """Parses one YAML document; a syntax error is the user's, and names the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{place}{line}: not valid YAML ({getattr(error, 'problem', None) or error})") from error


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

    ``side`` (graph or vision) decides what is trained where nothing says: ``tiny`` on link, or ``tiny-vision`` on
    rotation.

    Raises:
        UserError: for a missing file, an unknown key or a value that is not allowed, naming the place.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = _read(file)
    _reject_unknown(values, Recipe, str(file))
    if side == "vision":
        values.setdefault("tasks", [{"name": "rotation"}])
        values.setdefault("model", {"path": TINY_VISION})
        if isinstance(values["model"], dict):
            values["model"].setdefault("path", TINY_VISION)
    _apply_names(values, list(tasks), level, dataset, model)
    knobs: dict[str, Any] = {}
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise UserError(f"--set {override!r}: write it as key=value")
        value = parse_yaml(text, f"--set {key}")
        if key.startswith("task."):
            knobs[key.removeprefix("task.")] = value
        else:
            _assign(values, key, value)
    place = str(file) if file is not None else "recipe"
    _reject_unknown(values, Recipe, place)
    if knobs:
        _set_knobs(values, knobs)
    _default_grpo(values)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"{place}: {where}={first['input']!r}: {first['msg']}") from error


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"recipe {file} does not exist")
    try:
        values = parse_yaml(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise UserError(f"recipe {file} is not UTF-8 text (byte {error.start})") from error
    if not isinstance(values, dict):
        raise UserError(f"recipe {file} is {'empty' if values is None else 'not a mapping of keys to values'}")
    return values


def _entries(values: dict[str, Any]) -> list[dict[str, Any]]:
    entries = values.setdefault("tasks", [{}])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("tasks: write a list of {name, dataset, level, weight, knobs}")
    return entries


def _apply_names(
    values: dict[str, Any], tasks: list[str], level: str | None, dataset: str | None, model: str | None
) -> None:
    """``--task`` replaces the recipe's tasks; the rest sets all of them.

    A task that the recipe has keeps its settings, another one gets the level and dataset that all in the recipe have.
    """
    if tasks:
        entries = _entries(values)
        known = {entry.get("name", TaskEntry().name): entry for entry in entries}
        common: dict[str, Any] = {
            key: entries[0][key]
            for key in ("level", "dataset")
            if entries and key in entries[0] and all(entry.get(key) == entries[0][key] for entry in entries)
        }
        values["tasks"] = [known.get(name, {"name": name, **common}) for name in dict.fromkeys(tasks)]
    for key, value in (("level", level), ("dataset", dataset)):
        if value is not None:
            for entry in _entries(values):
                entry[key] = value
    if model is not None:
        section = values.setdefault("model", {})
        if isinstance(section, dict):
            section["path"] = model


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets ``values[a][b][0]… = value`` for the dotted key ``a.b.0…``."""
    *parents, last = key.split(".")
    here: Any = values
    if parents[:1] == ["grpo"] and "grpo" not in values:
        _default_grpo(values)
    for step in parents:
        if isinstance(here, list):
            if not step.isdigit() or int(step) >= len(here):
                raise UserError(f"--set {key}: {step!r} is not one of the {len(here)} entries (count from 0)")
            here = here[int(step)]
            continue
        if here.get(step) is None:
            here[step] = [{}] if step == "tasks" else {}
        here = here[step]
        if not isinstance(here, dict | list):
            raise UserError(f"--set {key}: {step!r} holds a value, not a section")
    if isinstance(here, list):
        raise UserError(f"--set {key}: say which entry, as in {'.'.join([*parents, '0', last])}")
    here[last] = value


def _set_knobs(values: dict[str, Any], knobs: Mapping[str, Any]) -> None:
    """``--set task.KNOB=VALUE``: on every task that has the knob; an error if none has."""
    from ssl4rl.registry import TASKS

    entries = _entries(values)
    valid = [set(TASKS.get(entry.get("name", TaskEntry().name)).knobs_type.model_fields) for entry in entries]
    for knob, value in knobs.items():
        if not any(knob in names for names in valid):
            raise unknown("knob", knob, set().union(*valid))
        for entry, names in zip(entries, valid, strict=True):
            if knob in names:
                entry["knobs"] = {**(entry.get("knobs") or {}), knob: value}


def _default_grpo(values: dict[str, Any]) -> None:
    if "grpo" in values:
        return
    model = values.get("model")
    if not isinstance(model, dict):
        model = {}
    path = model.get("path", TINY)
    if path in QUICKSTART:
        values["grpo"] = dict(QUICKSTART[path])
    else:
        values["grpo"] = dict(MODEL_GRPO)
        if model.get("lora") is not None:
            values["grpo"]["learning_rate"] = LORA_LEARNING_RATE


def _reject_unknown(values: Any, model: type[BaseModel], place: str, path: str = "") -> None:
    """Refuses unknown keys at any depth with the nearest valid ones, which pydantic does not name."""
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        here = f"{path}{key}"
        if key not in model.model_fields:
            raise unknown(f"key in {place}:", here, [f"{path}{name}" for name in model.model_fields])
        if here == "grpo":
            _check_grpo_names(value, place)
        annotation = model.model_fields[key].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                items = value if isinstance(value, list) else [value]
                for index, item in enumerate(items):
                    step = f"{here}.{index}." if isinstance(value, list) else f"{here}."
                    _reject_unknown(item, kind, place, step)


def _check_grpo_names(values: Any, place: str) -> None:
    if not isinstance(values, dict):
        return
    for key in values:
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
