"""``ssl4rl vision attend``: where in an image models look when they read a word, or begin to reply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption, say_embedded
from ssl4rl.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ssl4rl.vision.attention import AttentionMap

MOST_PIXELS = 1_003_520
"""Larger images are scaled down: 1,280 tokens of Qwen2.5-VL, as many as its authors recommend for an image."""


class Start(StrEnum):
    """The token whose attention is read, if it is not a word's."""

    FIRST = "first"


def attend(
    image: Annotated[Path, typer.Option(metavar="FILE", help="The image.")],
    question: Annotated[str, typer.Option(help="The question about it.")],
    word: Annotated[str | None, typer.Option(help="A word of the question: attention from its last token.")] = None,
    start: Annotated[
        Start | None, typer.Option("--from", help="Instead of --word: attention from the first token of the reply.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="A folder or a hub name, or several side by side; the embedded one by default."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(min=1, help="One layer, counted from 1; the mean of all by default.")
    ] = None,
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
    from ssl4rl.vision.decode import read_image
    from ssl4rl.vision.overlay import draw_overlay
    from ssl4rl.vision.sheet import save_png

    prepare_environment()
    shown = scaled(read_image(image), max_pixels=MOST_PIXELS)
    names = models or [TINY_VISION]
    if not models and not as_json:
        say_embedded((), TINY_VISION)
    maps, sentences = [], []
    for name, attention in _attention_maps(names, shown, question.strip(), word, layer):
        maps.append(attention)
        sentences.append(_sentence(name, attention))
        typer.echo(_json_line(name, attention, layer) if as_json else sentences[-1])
    if png is None and not as_json:
        png = Path("attention.png")
    if png is not None:
        about = f"{image.name}, {question.strip()!r}: {'; '.join(sentences)}"
        save_png(draw_overlay(shown, maps, names), png, about)
    if not as_json:
        typer.echo(f"wrote {png}")


def _attention_maps(
    names: Sequence[str], image: Image, question: str, word: str | None, layer: int | None
) -> Iterator[tuple[str, AttentionMap]]:
    from ssl4rl.inference.engines import open_engine
    from ssl4rl.inference.model import ModelFiles
    from ssl4rl.vision.attention import attention_map, build_query

    queries = []
    for files in map(ModelFiles, names):  # all of them first, so that errors come before any weights are loaded
        files.check_reads_images()
        queries.append((files, build_query(files.config, files.processor, image, question, word)))
    for files, query in queries:
        engine: Any = open_engine("transformers", files)
        yield files.name, attention_map(engine.model, files.tokenizer, query, layer)


def _json_line(name: str, attention: AttentionMap, layer: int | None) -> str:
    row = {"model": name, "token": attention.token, "layer": layer, "box": attention.box}
    return json.dumps(row | {"attention": attention.values.tolist()}, ensure_ascii=False)


def _sentence(name: str, attention: AttentionMap) -> str:
    rows, columns = attention.values.shape
    row, column = attention.peak
    return (
        f"{name}: {attention.values.sum():.1%} of the attention from {attention.token!r} goes to the image, the most "
        f"of it to row {row + 1} of {rows}, column {column + 1} of {columns}"
    )
