"""``ssl4rl graph|vision show``: what a model is asked, with the answer."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import (
    DatasetOption,
    JsonOption,
    LevelOption,
    SetOption,
    complete_benchmark,
    complete_task,
    knobs_of,
    of_side,
    side_of,
)
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.example import Example
    from ssl4rl.tasks import Task

EXAMPLE_ID = re.compile(
    r"(?P<source>.+)/(?P<split>\w+)/(?P<task>[\w-]+)@(?P<level>[\w-]+)(\+(?P<knobs>.*))?/(?P<seed>\d+)/(?P<index>\d+)"
    r"#(?P<hash>[0-9a-f]{8})"
)


def show(
    context: typer.Context,
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Rebuild the example of this id, from any run's files.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task.", autocompletion=complete_task)] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Or which benchmark.", autocompletion=complete_benchmark)
    ] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    split: Annotated[
        str | None, typer.Option(help="train, val or test; train for a task and test for a benchmark by default.")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1,
    start: Annotated[int, typer.Option(min=0, help="The first example's index.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The examples' seed.")] = 0,
    settings: SetOption = None,
    run: Annotated[
        Path | None, typer.Option(help="A run's folder: show also the replies that it recorded for the ID.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Also draw the pictures of these examples, one example a row.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what a model is asked, with answers: `show --task link -n 3`, or `show ID`."""
    from ssl4rl.data import load_source_of
    from ssl4rl.registry import BENCHMARKS, TASKS

    if sum(given is not None for given in (identity, task, benchmark)) != 1:
        raise UserError("say either --task NAME, --benchmark NAME or the ID of an example (and just one of them)")
    if run is not None and identity is None:
        raise UserError("--run shows the replies to one example: give its ID too")
    if identity is not None:
        asked, example = _rebuild(identity, dataset, context)
        examples = [example]
    else:
        kind: Any = of_side(TASKS.get(task) if task is not None else BENCHMARKS.get(str(benchmark)), context)
        split = split or ("train" if task is not None else "test")
        asked = kind(load_source_of(kind, dataset), split=split, level=level, knobs=knobs_of(settings or []), seed=seed)
        stop = min(start + count, getattr(asked, "size", start + count))
        examples = [asked.example(index) for index in range(start, stop)]
        if not examples:
            raise UserError(f"--start {start}: {asked.label} on {asked.source.name} has {stop} items")
    if png is not None:
        from ssl4rl.vision.sheet import contact_sheet, save_png

        save_png(contact_sheet(examples, [asked.gold(example) for example in examples]), png)
    replies = [] if run is None else _replies(run, str(identity))
    for example in examples:
        answer, chance = asked.gold(example), asked.chance(example)
        if as_json:
            row: dict[str, Any] = {"id": example.id, "prompt": example.text, "answer": answer, "target": example.target}
            typer.echo(
                json.dumps(row | {"chance": chance, "meta": example.meta, "replies": replies}, ensure_ascii=False)
            )
            continue
        typer.secho(example.id, fg="cyan", bold=True)
        for part in example.parts:
            typer.echo(part if isinstance(part, str) else f"<picture of {part.width}×{part.height} pixels>")
        typer.secho(f"answer: {answer}   (chance {chance:.2f})", fg="green")
        if example.meta.get("dropped"):
            pieces = sum(example.meta["dropped"].values())
            typer.secho(
                f"cut: {pieces} pieces of {len(example.meta['dropped'])} texts; task.text_budget decides", fg="yellow"
            )
        for reply in replies:
            when = f"step {reply['step']}, " if "step" in reply else ""
            typer.secho(f"{when}score {reply.get('score', reply.get('value'))}: ", fg="magenta", nl=False)
            typer.echo(reply["reply"])
        typer.echo()


def _rebuild(identity: str, dataset: str | None, context: typer.Context) -> tuple[Task[Any, Any], Example]:
    """The task or benchmark of an id, and the example itself."""
    from ssl4rl.data import load_source_of
    from ssl4rl.registry import BENCHMARKS, GRAPHS, TASKS

    found = EXAMPLE_ID.fullmatch(identity)
    if found is None:
        raise UserError(f"{identity!r} is not an example's id: SOURCE/SPLIT/TASK@LEVEL/SEED/INDEX#HASH")
    side = side_of(context)
    if side == "graph":
        known = GRAPHS.names()
    else:
        from ssl4rl.data.images.files import DEFAULT

        known = [DEFAULT]
    if dataset is None and found["source"] not in known:
        raise UserError(f"{found['source']!r} is no registered dataset; add --dataset FOLDER")
    name, level = found["task"], found["level"]
    kinds: list[type[Task[Any, Any]]] = [
        registry.get(name) for registry in (BENCHMARKS, TASKS) if name in registry.names()
    ]
    # A task and a benchmark may share a name, and even a level: the hash tells them apart.
    kinds = [kind for kind in kinds if level in kind.levels] or [TASKS.get(name)]
    knobs = _knobs_of(found["knobs"])
    source: Any = load_source_of(of_side(kinds[0], context), dataset or found["source"])
    example = None
    for kind in kinds:
        if any(knob not in kind.knobs_type.model_fields for knob in knobs) and kind is not kinds[-1]:
            continue
        asked = of_side(kind, context)(source, split=found["split"], level=level, knobs=knobs, seed=int(found["seed"]))
        if int(found["index"]) >= getattr(asked, "size", math.inf):
            continue
        example = asked.example(int(found["index"]))
        if example.id == identity:
            return asked, example
    if example is None:
        raise UserError(f"{source.name} has no item {found['index']} in {name}@{level}: the dataset has changed")
    raise UserError(
        f"this data and version rebuild {example.id}, not {identity}: the dataset has changed, or the version of ssl4rl"
    )


def _knobs_of(text: str | None) -> dict[str, Any]:
    """The knobs that an id spells: ``fanout=3,negatives="random"``."""
    knobs: dict[str, Any] = {}
    for part in re.split(r",(?=\w+=)", text) if text else []:
        key, _, value = part.partition("=")
        try:
            knobs[key] = json.loads(value)
        except json.JSONDecodeError as error:
            raise UserError(f"the id's knob {part!r} cannot be read") from error
    return knobs


def _replies(run: Path, identity: str) -> list[dict[str, Any]]:
    from ssl4rl.runs import COMPLETIONS, PREDICTIONS, read_lines

    paths = [path for path in (run / COMPLETIONS, *sorted(run.glob(PREDICTIONS.replace(".", "*.")))) if path.is_file()]
    if not paths:
        raise UserError(f"{run} has neither {COMPLETIONS} nor {PREDICTIONS}; it is no run's folder")
    return [line for path in paths for line in read_lines(path) if identity in (line.get("example"), line.get("id"))]
