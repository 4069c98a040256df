"""``ssl4rl graph show``: what a model is asked, with the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, LevelOption, SetOption, complete_task
from ssl4rl.errors import UserError

EXAMPLE_ID = re.compile(
    r"(?P<source>.+)/(?P<split>\w+)/(?P<task>[\w-]+)@(?P<level>[\w-]+)(\+(?P<knobs>.*))?/(?P<seed>\d+)/(?P<index>\d+)"
    r"#(?P<hash>[0-9a-f]{8})"
)


def show(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Rebuild the example of this id, from any run's files.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task.", autocompletion=complete_task)] = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    count: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1,
    start: Annotated[int, typer.Option(min=0, help="The first example's index.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The examples' seed.")] = 0,
    settings: SetOption = None,
    run: Annotated[
        Path | None, typer.Option(help="A run's folder: show also the replies that it recorded for the ID.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what a model is asked, with answers: `show --task link -n 3`, or `show ID`."""
    from ssl4rl.data import load_graph
    from ssl4rl.registry import GRAPHS, TASKS

    if (identity is None) == (task is None):
        raise UserError("say either --task NAME or the ID of an example (not both)")
    if run is not None and identity is None:
        raise UserError("--run shows the replies to one example: give its ID too")
    if identity is not None:
        found = EXAMPLE_ID.fullmatch(identity)
        if found is None:
            raise UserError(f"{identity!r} is not an example's id: SOURCE/SPLIT/TASK@LEVEL/SEED/INDEX#HASH")
        if dataset is None and found["source"] not in GRAPHS.names():
            raise UserError(f"{found['source']!r} is no registered dataset; add --dataset FOLDER")
        graph = load_graph(dataset or found["source"])
        knobs = _knobs_of(found["knobs"])
        asked = TASKS.get(found["task"])(
            graph, split=found["split"], level=found["level"], knobs=knobs, seed=int(found["seed"])
        )
        examples = [asked.example(int(found["index"]))]
        if examples[0].id != identity:
            raise UserError(
                f"this data and version rebuild {examples[0].id}, not {identity}: "
                "the dataset has changed, or the version of ssl4rl"
            )
    else:
        graph = load_graph(dataset)
        knobs = _knobs(settings or [])
        asked = TASKS.get(str(task))(graph, split=split, level=level, knobs=knobs, seed=seed)
        examples = [asked.example(index) for index in range(start, start + count)]
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
        typer.echo(example.text)
        typer.secho(f"answer: {answer}   (chance {chance:.2f})", fg="green")
        if example.meta["dropped"]:
            pieces = sum(example.meta["dropped"].values())
            typer.secho(
                f"cut: {pieces} pieces of {len(example.meta['dropped'])} texts; task.text_budget decides", fg="yellow"
            )
        for reply in replies:
            typer.secho(f"step {reply['step']}, score {reply['score']}: ", fg="magenta", nl=False)
            typer.echo(reply["reply"])
        typer.echo()


def _knobs(settings: list[str]) -> dict[str, Any]:
    from ssl4rl.training.config import parse_yaml

    knobs: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key.startswith("task."):
            raise UserError(f"--set {setting!r}: write it as task.KNOB=VALUE")
        knobs[key.removeprefix("task.")] = parse_yaml(text, f"--set {key}")
    return knobs


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
    from ssl4rl.training.records import COMPLETIONS, read_lines

    path = run / COMPLETIONS
    if not path.is_file():
        raise UserError(f"{run} has no {COMPLETIONS}; it is not a training run's folder")
    return [line for line in read_lines(path) if line.get("example") == identity]
