"""``ssl4rl graph|vision show``: what a model is asked, with the answer."""

from __future__ import annotations

from collections.abc import Sequence
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
    named_kind,
    of_side,
    print_json,
)
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.example import Example
    from ssl4rl.records import ReplyRecord


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
        Path | None,
        typer.Option(help="A run's folder: find the ID's dataset there, and show the replies that it recorded."),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Also draw the images of these examples, one example a row.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what a model is asked, with answers: `show --task link -n 3`, or `show ID`."""
    if sum(given is not None for given in (identity, task, benchmark)) != 1:
        raise UserError("give one of --task NAME, --benchmark NAME, or the ID of an example")
    if run is not None and identity is None:
        raise UserError("--run shows the replies to one example: give its ID too")
    if identity is not None and (level or split or settings or count != 1 or start or seed):
        raise UserError("an ID says which example it is; only --dataset, --run, --png and --json go with it")
    replies: Sequence[ReplyRecord] = ()
    if identity is not None:
        examples, replies = _rebuilt(identity, dataset, run, context)
    else:
        from ssl4rl.tasks import describe_redrawn

        kind, default_split = named_kind(task, benchmark)
        source = of_side(kind, context).source_kind.load(dataset)
        asked = kind(source, split=split or default_split, level=level, knobs=knobs_of(settings or []), seed=seed)
        stop = min(start + count, getattr(asked, "size", start + count))
        examples = [asked.example(index) for index in range(start, stop)]
        if passed_over := describe_redrawn(asked.redrawn):
            typer.echo(passed_over, err=True)
        if not examples:
            raise UserError(f"--start {start}: {asked.label} on {asked.source.name} has {stop} items")
    if png is not None:
        from ssl4rl.vision.sheet import contact_sheet, save_png

        save_png(contact_sheet(examples), png)
        typer.echo(f"drawn in {png}", err=True)
    for example in examples:
        if as_json:
            print_json(_row(example, replies))
        else:
            _print(example, replies)


def _rebuilt(
    identity: str, dataset: str | None, run: Path | None, context: typer.Context
) -> tuple[list[Example], Sequence[ReplyRecord]]:
    """The example of an id, and the replies to it that a run recorded."""
    from ssl4rl.build import rebuild
    from ssl4rl.runs import open_run

    recorded = None if run is None else open_run(run)
    asked, example = rebuild(identity.strip(), dataset, recorded)
    of_side(type(asked), context)
    if recorded is None:
        return [example], ()
    replies = recorded.replies_to(example.id)
    if not replies:
        typer.echo(f"{run} recorded no reply to it", err=True)
    return [example], replies


def _row(example: Example, replies: Sequence[ReplyRecord]) -> dict[str, Any]:
    return {
        "id": str(example.id),
        "prompt": example.text,
        "gold": example.gold,
        "scoring": example.scoring,
        "chance": example.chance,
        "source_items": example.source_items,
        "meta": example.meta,
        "replies": [reply.line() for reply in replies],
    }


def _print(example: Example, replies: Sequence[ReplyRecord]) -> None:
    from ssl4rl.records import Completion

    typer.secho(str(example.id), fg="cyan", bold=True)
    for part in example.parts:
        typer.echo(part if isinstance(part, str) else f"<image of {part.width}×{part.height} pixels>")
    typer.secho(f"answer: {example.gold or '(not known)'}   (chance {example.chance:.2f})", fg="green")
    dropped = example.meta.get("dropped")
    if dropped:
        texts = "a text" if len(dropped) == 1 else f"{len(dropped)} texts"
        typer.secho(f"cut: {sum(dropped.values()):,} characters of {texts}; task.text_budget decides", fg="yellow")
    for reply in replies:
        step = f"step {reply.step}, " if isinstance(reply, Completion) else ""
        typer.secho(f"{step}score {reply.score}: ", fg="magenta", nl=False)
        typer.echo(reply.reply)
    typer.echo()
