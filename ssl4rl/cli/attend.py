"""``ssl4rl graph|vision attend``: where models look when they read a word, or begin to answer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import DatasetOption, JsonOption, of_side, say_embedded
from ssl4rl.errors import UserError
from ssl4rl.files import wanted

if TYPE_CHECKING:
    from ssl4rl.attention import Query
    from ssl4rl.inference.model import ModelFiles
    from ssl4rl.report.attention import GraphRecord, ImageRecord
    from ssl4rl.report.blocks import Table
    from ssl4rl.runs import Run

MOST_PIXELS = 1_003_520
"""Larger images are scaled down: 1,280 tokens of Qwen2.5-VL, as many as its authors recommend for an image."""
WIDEST_LABEL = 24
"""Characters of a row's label that are shown in any case."""
OPENING = "<answer>"
"""How a reply begins whose answer stands in a tag."""


class Start(StrEnum):
    """The token whose attention is read, if it is not a word's."""

    FIRST = "first"


ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A folder or a hub name, or several side by side; by default those of --run, or else the embedded one.",
    ),
]
LayerOption = Annotated[int | None, typer.Option(min=1, help="One layer, counted from 1; the mean of all by default.")]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Read the base model beside the trained one of this run, and keep the map there for its report.",
    ),
]


def attend_graph(
    context: typer.Context,
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="The example, as `ssl4rl graph show` and runs name it.")
    ],
    word: Annotated[
        str | None,
        typer.Option(help="A word of the question: attention from its last token, instead of the answer's first."),
    ] = None,
    models: ModelsOption = None,
    dataset: DatasetOption = None,
    layer: LayerOption = None,
    run: RunOption = None,
    svg: Annotated[
        Path | None, typer.Option(help="Where to draw it; attention.svg by default, nowhere with --json.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows where models look in a graph: `attend ID --model BASE --model TRAINED`, or `attend ID --run RUN`."""
    from ssl4rl.build import rebuild
    from ssl4rl.graph.attention import build_query, graph_attention
    from ssl4rl.graph.read_graph import shown_texts
    from ssl4rl.inference.environment import prepare_environment
    from ssl4rl.models import TINY
    from ssl4rl.report.attention import GraphMap, graph_record
    from ssl4rl.report.shown import drawing_of

    prepare_environment()
    opened = _opened(run)
    task, example = rebuild(identity.strip(), dataset, opened)
    of_side(type(task), context)
    drawing = drawing_of(task, example)
    if drawing is None:
        raise UserError(f"{example.id} shows no graph")

    def query_of(files: ModelFiles) -> Query:
        conversation = files.messages(example)
        rendered, prompt = files.encoder.text(conversation), conversation[-1]["content"].strip()
        opening = "" if example.is_bare else OPENING
        return build_query(files.tokenizer, rendered, prompt, directed=drawing.directed, word=word, opening=opening)

    maps = []
    for name, found in _read(_names(models, opened, TINY, as_json), query_of, graph_attention, layer):
        maps.append(GraphMap.of(name, layer, found))
    record = graph_record(str(example.id), shown_texts(example.text), drawing, maps)
    if as_json:
        for each in maps:
            typer.echo(json.dumps({"id": record.id, **each.model_dump(mode="json")}, ensure_ascii=False))
    else:
        _print(record.table, [each.in_words for each in maps])
    name = _file_name(f"{example.id.label}-{example.id.index}-{example.id.hash}{_which(word, layer, models or ())}")
    target = _target(opened, f"{name}.svg", svg, as_json)
    if target is not None:
        with wanted(target) as file:
            file.write_bytes(record.svg())
    _tell(opened, target, record, as_json)


def attend_image(
    image: Annotated[Path, typer.Option(metavar="FILE", help="The image.")],
    question: Annotated[str, typer.Option(help="The question about it.")],
    word: Annotated[str | None, typer.Option(help="A word of the question: attention from its last token.")] = None,
    start: Annotated[
        Start | None, typer.Option("--from", help="Instead of --word: attention from the first token of the reply.")
    ] = None,
    models: ModelsOption = None,
    layer: LayerOption = None,
    run: RunOption = None,
    png: Annotated[
        Path | None, typer.Option(help="Where to write the overlay; attention.png by default, nowhere with --json.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draws where models look: `attend --image dog.jpg --question "What is the dog doing?" --word dog`."""
    if (word is None) == (start is None):
        raise UserError("give either --word WORD or --from first, and only one of them")
    from ssl4rl.inference.environment import prepare_environment
    from ssl4rl.inference.processor import scaled
    from ssl4rl.models import TINY_VISION
    from ssl4rl.report.attention import ImageMap, ImageRecord
    from ssl4rl.report.words import short_names
    from ssl4rl.vision.attention import attention_map, build_query
    from ssl4rl.vision.decode import read_image
    from ssl4rl.vision.overlay import draw_overlay
    from ssl4rl.vision.sheet import save_png

    prepare_environment()
    opened = _opened(run)
    shown = scaled(read_image(image), max_pixels=MOST_PIXELS)
    names = _names(models, opened, TINY_VISION, as_json)

    def query_of(files: ModelFiles) -> Query:
        files.check_reads_images()
        return build_query(files.config, files.processor, shown, question.strip(), word)

    found, maps = [], []
    for name, each in _read(names, query_of, attention_map, layer):
        found.append(each)
        values = each.values.tolist()
        maps.append(ImageMap(model=name, token=each.token, layer=layer, box=each.box, attention=values))
        typer.echo(maps[-1].model_dump_json() if as_json else maps[-1].in_words)
    record = ImageRecord(image=image.name, question=question.strip(), maps=maps)
    asked = (question.strip(), shown.tobytes().hex(), *(models or ()))
    target = _target(opened, _file_name(f"{image.stem}{_which(word or start, layer, asked)}") + ".png", png, as_json)
    if target is not None:
        save_png(draw_overlay(shown, found, short_names(names)), target, record.about)
    _tell(opened, target, record, as_json)


def _which(word: str | None, layer: int | None, more: Sequence[str]) -> str:
    """What tells two maps of one picture apart, for their files' names; of ``more`` a hash."""
    digest = f"-{hashlib.sha256(json.dumps(list(more)).encode()).hexdigest()[:8]}" if more else ""
    return f"{f'-{word}' if word else ''}{'' if layer is None else f'-layer-{layer}'}{digest}"


def _opened(path: Path | None) -> Run | None:
    from ssl4rl.runs import open_run

    return None if path is None else open_run(path)


def _names(models: Sequence[str] | None, run: Run | None, embedded: str, as_json: bool) -> list[str]:
    """The models to read: those given, those of the run, or else the embedded one."""
    if models:
        return list(models)
    if run is not None and run.is_evaluation:
        from ssl4rl.inference.engines import is_address

        if is_address(run.config["engine"]):
            raise UserError(f"{run.path} evaluated the model of a server, whose weights are not here; give --model")
        return [run.config["model"] or embedded]
    if run is not None:
        return [run.config["model"]["path"], str(run.path)]
    if not as_json:
        say_embedded((), embedded)
    return [embedded]


def _read(names: Sequence[str], query_of: Any, read: Any, layer: int | None) -> Iterator[tuple[str, Any]]:
    """What ``read`` finds in each model; one at a time is in memory."""
    from ssl4rl.inference.engines import open_engine
    from ssl4rl.inference.model import ModelFiles

    # All of them first, so that errors come before any weights are loaded.
    queries = [(files, query_of(files)) for files in map(ModelFiles, names)]
    for files, query in queries:
        engine: Any = open_engine("transformers", files)
        yield files.name, read(engine.model, files.tokenizer, query, layer)
        del engine


def _target(run: Run | None, name: str, given: Path | None, as_json: bool) -> Path | None:
    """Where the drawing goes; None for nowhere."""
    if run is None:
        return given or (None if as_json else Path(f"attention{Path(name).suffix}"))
    if given is not None:
        raise UserError(f"--run keeps the drawing in the run's folder; leave out {given} or --run")
    from ssl4rl.report.attention import FOLDER

    folder = run.path / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror})") from error
    return folder / name


def _tell(run: Run | None, drawn: Path | None, record: GraphRecord | ImageRecord, as_json: bool) -> None:
    """Keeps the record beside the drawing, if that is in a run, and says what was written."""
    if drawn is None:
        return
    kept = []
    if run is not None:
        run.write_json(f"{drawn.parent.name}/{drawn.stem}.json", record.model_dump(mode="json"))
        kept = [f" and {drawn.with_suffix('.json').name}, for `ssl4rl report {run.path}`"]
    if not as_json:
        typer.echo(f"wrote {drawn}{''.join(kept)}")


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "attention"


def _print(table: Table, lines: Sequence[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    printed = RichTable(box=None)
    for place, head in enumerate(table.head):
        widest = max((len(row[place]) for row in table.rows), default=0)
        if 0 < place < len(table.head) - 1:
            # The name of a model may be a long path, and folds; numbers do not.
            printed.add_column(escape(head), justify="right", overflow="fold", min_width=widest)
        elif place == 0:
            printed.add_column(escape(head), no_wrap=True, overflow="ellipsis", min_width=min(widest, WIDEST_LABEL))
        else:
            # Texts may be long, and take what the numbers leave.
            printed.add_column(escape(head), no_wrap=True, overflow="ellipsis", ratio=1)
    for row in table.rows:
        printed.add_row(*map(escape, row))
    Console().print(printed)
    for line in lines:
        typer.echo(line)
