"""Options that several verbs share, with completion of names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.registry import Registry
    from ssl4rl.source import SourceKind
    from ssl4rl.tasks import Task


def knobs_of(settings: list[str]) -> dict[str, Any]:
    """``--set task.KNOB=VALUE`` as knobs.

    Raises:
        UserError: for a setting of another form.
    """
    from ssl4rl.settings import parse_yaml

    knobs: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key.startswith("task."):
            meant = f"; did you mean task.{setting}?" if sign and "." not in key else ""
            raise UserError(f"--set {setting!r}: only knobs are set here, as task.KNOB=VALUE{meant}")
        knobs[key.removeprefix("task.")] = parse_yaml(text, f"--set {key}")
    return knobs


def model_settings(settings: list[str]) -> tuple[dict[str, Any], list[str]]:
    """How the model is asked, by fields of an evaluation's recipe, and the other settings.

    Of ``--set model.chat_template_kwargs.NAME=VALUE`` and ``--set model.max_pixels=N``, the keys that a recipe of
    training has.
    """
    from ssl4rl.evaluation.recipe import MODEL_SETTINGS
    from ssl4rl.settings import parse_yaml

    found: dict[str, Any] = {}
    others = []
    for setting in settings:
        key, sign, text = setting.partition("=")
        section, _, field = key.partition(".")
        name, _, variable = field.partition(".")
        if not sign or section != "model" or name not in MODEL_SETTINGS:
            others.append(setting)
        elif variable:
            known = found.get(name)
            found[name] = {**(known if isinstance(known, dict) else {}), variable: parse_yaml(text, f"--set {key}")}
        else:
            found[name] = parse_yaml(text, f"--set {key}")
    return found, others


def seconds_of(text: str) -> float:
    """A length of time in seconds.

    >>> seconds_of("90"), seconds_of("1h30m"), seconds_of("2d"), seconds_of("00:20:00")
    (90.0, 5400.0, 172800.0, 1200.0)

    Raises:
        UserError: for anything else.
    """
    clock = re.fullmatch(r"(\d+):(\d\d):(\d\d)", text)
    written = f"{text}s" if re.fullmatch(r"\d+(?:\.\d+)?", text) else text
    parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", written)
    found = ["0", *clock.groups()] if clock else [each or "0" for each in parts.groups()] if parts else ["0"]
    seconds = sum(float(each) * unit for each, unit in zip(found, (86400, 3600, 60, 1), strict=False))
    if seconds <= 0:
        raise UserError(f"{text!r} is no length of time; write 45m, 1h30m, 2d, 5400 (seconds) or 01:30:00")
    return seconds


def print_json(*objects: Any) -> None:
    """Prints each object as a line: what ``--json`` promises, and all that it prints on standard output."""
    for each in objects:
        typer.echo(json.dumps(each, ensure_ascii=False))


def side_of(context: typer.Context) -> str:
    """Which of ``ssl4rl graph`` and ``ssl4rl vision`` was typed."""
    return (context.parent and context.parent.info_name) or "graph"


def say_embedded(kinds: Iterable[SourceKind[Any]], model: str | None) -> None:
    """Says which embedded defaults are used: the default sources of these kinds, and the ``model`` if it is one."""
    from ssl4rl.models import EMBEDDED
    from ssl4rl.progress import console, is_quiet

    used = [kind.default_noun for kind in kinds]
    if model in EMBEDDED:
        used.append(f"the embedded model {model}")
    if used and not is_quiet():
        *others, last = dict.fromkeys(used)
        console().print(f"using {', '.join(others)}{' and ' if others else ''}{last}", markup=False)


def of_side(kind: type[Task[Any, Any]], context: typer.Context) -> type[Task[Any, Any]]:
    """The task or benchmark, if it belongs to the command that was typed.

    Raises:
        UserError: naming the other command.
    """
    side = kind.source_kind.side
    if side != side_of(context):
        raise UserError(f"{kind.name} is for ssl4rl {side}, not for ssl4rl {side_of(context)}")
    return kind


def named_kind(task: str | None, benchmark: str | None) -> tuple[Any, str]:
    """The task or else the benchmark of that name, and the split that it is asked on by default."""
    from ssl4rl.registry import BENCHMARKS, TASKS

    return (TASKS.get(task), "train") if task is not None else (BENCHMARKS.get(str(benchmark)), "test")


def names_of_side(registry: Registry[Any], side: str, incomplete: str = "") -> list[str]:
    """The registered names of that side that begin as given."""

    def is_of_side(name: str) -> bool:
        package, _, rest = registry.location(name).removeprefix("ssl4rl.").partition(".")
        if package in ("graph", "vision") and rest:
            return package == side  # what ssl4rl itself brings need not be imported to be listed
        return bool(registry.get(name).source_kind.side == side)

    return [name for name in registry.names() if name.startswith(incomplete) and is_of_side(name)]


class Command(TyperCommand):
    """A verb that refuses a second value for an option that takes one: the first would be dropped without a word."""

    # Typer's newer versions bring a click of their own, so its classes have no one name.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        given = Counter(option for option in order if isinstance(option, TyperOption))
        for option, times in given.items():
            if times > 1 and not (option.multiple or option.is_flag or option.count or ctx.resilient_parsing):
                more = ""
                if option.name in ("level", "dataset") and any(other.name == "task" for other in given):
                    more = f", which is for all tasks; for one of them give --set tasks.0.{option.name}=… and so on"
                raise UserError(f"{option.opts[0]} is given {times} times and takes one value{more}")
        return super().parse_args(ctx, args)


def add_checks(app: typer.Typer) -> None:
    """Makes every verb of an app a :class:`Command`."""
    for verb in app.registered_commands:
        verb.cls = verb.cls if verb.cls is not None and issubclass(verb.cls, Command) else Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_checks(group.typer_instance)


class SideCommand(Command):
    """A verb of a side, whose help names that side's tasks and benchmarks, and the default among them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from ssl4rl.registry import BENCHMARKS, TASKS
        from ssl4rl.training.recipe_file import default_task

        side = side_of(ctx)
        registries: dict[str, Registry[Any]] = {"task": TASKS, "benchmark": BENCHMARKS}
        for option in self.params:
            registry = registries.get(option.name or "")
            if registry is None or not isinstance(option, TyperOption):
                continue
            option.help = f"{option.help} There are: {', '.join(names_of_side(registry, side))}."
            default = default_task(side)
            if option.multiple and default is not None:  # tasks of a recipe
                option.help = f"{option.help} Without one, and without --config: {default}."
        super().format_help(ctx, formatter)


def complete_task(context: typer.Context, incomplete: str) -> list[str]:
    """Registered tasks of this side, for the shell."""
    from ssl4rl.registry import TASKS

    return names_of_side(TASKS, side_of(context), incomplete)


def complete_benchmark(context: typer.Context, incomplete: str) -> list[str]:
    """Registered benchmarks of this side, for the shell."""
    from ssl4rl.registry import BENCHMARKS

    return names_of_side(BENCHMARKS, side_of(context), incomplete)


def complete_ablation(context: typer.Context, incomplete: str) -> list[str]:
    """What the benchmarks of this side can be asked without, for the shell."""
    from ssl4rl.registry import BENCHMARKS
    from ssl4rl.runs import hyphened

    kinds = map(BENCHMARKS.get, names_of_side(BENCHMARKS, side_of(context)))
    names = ["all", "none", *(hyphened(name) for kind in kinds for name in kind.ablations)]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_protocol(incomplete: str) -> list[str]:
    """The named protocols, for the shell (a file completes by itself)."""
    from ssl4rl.graph.protocols import PROTOCOLS

    return [name for name in PROTOCOLS if name.startswith(incomplete)]


def complete_dataset(context: typer.Context, incomplete: str) -> list[str]:
    """Registered sources of this side, for the shell (a folder or a file completes by itself)."""
    from ssl4rl.registry import SOURCE_KINDS

    kinds = [SOURCE_KINDS.get(name) for name in SOURCE_KINDS.names()]
    names = [name for kind in kinds if kind.side == side_of(context) for name in kind.registry.names()]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_level(context: typer.Context, incomplete: str) -> list[str]:
    """The levels of the task or benchmark that was named before, for the shell."""
    from ssl4rl.registry import BENCHMARKS, TASKS

    levels: list[str] = []
    for option, registry in (("task", TASKS), ("benchmark", BENCHMARKS)):
        given = context.params.get(option) or []
        for name in [given] if isinstance(given, str) else given:
            levels += registry.get(name).levels if name in registry.names() else ()
    return [level for level in dict.fromkeys(levels) if level.startswith(incomplete)]


DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME|PATH",
        help="A registered dataset, or a folder or file of your own; the embedded one by default.",
        autocompletion=complete_dataset,
    ),
]
AblateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ablate",
        metavar="NAME",
        help="Repeatable: what to take away when questions are asked again: edges-rewired, …, all, or none. "
        "The graph or the image, if this is not given.",
        autocompletion=complete_ablation,
    ),
]
TasksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="A task; several make a mixture.",
        autocompletion=complete_task,
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A folder or a hub name; the embedded one by default.")
]
LevelOption = Annotated[
    str | None,
    typer.Option("--level", help="A named bundle of knobs, from easy to hard.", autocompletion=complete_level),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME|FILE",
        help="Node classification: planetoid, random-0 to random-9, or a file of test node ids.",
        autocompletion=complete_protocol,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, such as task.num_hops=2 (repeatable)."),
]
MaxTimeOption = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        parser=seconds_of,
        help="Stop after 45m, 1h30m or 2d so that --resume goes on; exit code 75.",
    ),
]
OUT_OF_TIME = 75
"""Exit code of what --max-time has stopped: EX_TEMPFAIL of sysexits.h, try again."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
