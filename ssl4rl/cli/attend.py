"""``ssl4rl vision attend``: where in a picture models look when they read a word, or begin to reply."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption, say_embedded
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from ssl4rl.vision.attention import AttentionMap

MOST_PIXELS = 1_003_520
"""Larger pictures are scaled down: 1,280 tokens of Qwen2.5-VL, as many as its authors advise for a picture."""


class From(StrEnum):
    """Whose attention is read, where it is not a word's."""

    FIRST = "first"


def attend(
    image: Annotated[Path, typer.Option(metavar="FILE", help="The picture.")],
    question: Annotated[str, typer.Option(help="What is asked about it.")],
    word: Annotated[str | None, typer.Option(help="A word of the question: attention from its last token.")] = None,
    start: Annotated[
        From | None, typer.Option("--from", help="Instead of --word: attention from the first token of the reply.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="A folder or a hub name, or several side by side; the embedded one by default."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(min=1, help="One layer, counted from 1; the mean of all by default.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Where the overlay goes; attention.png by default, nowhere with --json.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draws where models look: `attend --image dog.jpg --question "What is the dog doing?" --word dog`."""
    if (word is None) == (start is None):
        raise UserError("say either --word WORD or --from first (and just one of them)")
    question = question.strip()
    from ssl4rl.vision.image_set import decode

    try:
        content = image.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {image}: {error.strerror}") from error
    picture = decode(content, str(image))

    from ssl4rl.inference import open_engine, prepare_environment
    from ssl4rl.inference.processor import scaled

    prepare_environment()
    from ssl4rl.inference.model import TINY_VISION, ModelFiles
    from ssl4rl.vision.attention import ask, attention_map, overlay
    from ssl4rl.vision.sheet import save_png

    picture = scaled(picture, max_pixels=MOST_PIXELS)
    names = models or [TINY_VISION]
    if not models and not as_json:
        say_embedded("vision", TINY_VISION, data=False)
    asked = []
    for files in map(ModelFiles, names):  # what is wrong is said before any weights are loaded
        files.check_reads_pictures()
        asked.append((files, ask(files.config, files.processor, picture, question, word)))
    maps = []
    for files, prompt in asked:
        engine: Any = open_engine("transformers", files)
        maps.append(attention_map(engine.model, files.tokenizer, prompt, layer))
        _tell(files.name, maps[-1], layer, as_json)
    if png is None and not as_json:
        png = Path("attention.png")
    if png is not None:
        save_png(overlay(picture, maps, names), png)
    if not as_json:
        typer.echo(f"drawn in {png}")


def _tell(name: str, found: AttentionMap, layer: int | None, as_json: bool) -> None:
    rows, columns = found.values.shape
    if as_json:
        row = {"model": name, "token": found.token, "layer": layer, "box": found.box}
        typer.echo(json.dumps(row | {"attention": found.values.tolist()}, ensure_ascii=False))
        return
    row_of, column_of = divmod(int(found.values.argmax()), columns)
    typer.echo(
        f"{name}: {found.values.sum():.1%} of the attention from {found.token!r} goes to the picture, most of it to "
        f"row {row_of + 1} of {rows}, column {column_of + 1} of {columns}"
    )
