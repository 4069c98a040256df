"""A contact sheet of examples for people to look at, one example a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.files import wanted

GAP, CAPTION, WIDEST = 8, 16, 1600
"""In pixels: the space between images, the height of a caption, and the greatest width of a sheet."""
LONGEST_NAME = 24
"""Characters of what a prompt calls an image, as a sheet shows it."""


def contact_sheet(examples: Sequence[Example]) -> Image.Image:
    """Each example's images side by side, in the order of the prompt, each under its name, all under id and answer.

    Images keep their size unless it exceeds 1,600 pixels; those that do not fit into a line go into the next.

    Raises:
        UserError: if the examples have no images.
    """
    rows = [_row(example) for example in examples if example.images]
    if not rows:
        raise UserError("--png draws the images of examples, and these have none")
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(example: Example) -> Image.Image:
    caption = f"{example.id}   answer: {example.gold}"
    images = [image.convert("RGB") for image in example.images]
    for image in images:
        image.thumbnail((WIDEST - 2 * GAP, WIDEST))
    names = _names(example)
    high = CAPTION if any(names) else 0
    places = []
    left, top, bottom = GAP, CAPTION + GAP, 0
    width = 2 * GAP + math.ceil(ImageDraw.Draw(images[0]).textlength(caption))
    for image in images:
        if left > GAP and left + image.width + GAP > WIDEST:
            left, top = GAP, bottom + GAP
        places.append((left, top))
        left += image.width + GAP
        width, bottom = max(width, left), max(bottom, top + high + image.height)
    row = Image.new("RGB", (width, bottom + GAP), "white")
    draw = ImageDraw.Draw(row)
    draw.text((GAP, 2), caption, fill="black")
    for image, name, (left, top) in zip(images, names, places, strict=True):
        draw.text((left, top), name, fill="black")
        row.paste(image, (left, top + high))
    return row


def _names(example: Example) -> list[str]:
    """What the prompt calls each image: the line before it, if that is short ("A:", "The view:")."""
    names, before = [], ""
    for part in example.parts:
        if isinstance(part, str):
            before = part.strip().rpartition("\n")[2]
        else:
            names.append(before if len(before) <= LONGEST_NAME else "")
            before = ""
    return names


ABOUT = "Description"
"""The name of a PNG's text that says what it shows."""


def save_png(image: Image.Image, path: Path, about: str = "") -> None:
    """Writes a PNG, in which ``about`` says what it shows.

    Raises:
        UserError: if it cannot be written.
    """
    texts = PngInfo()
    if about:
        texts.add_itxt(ABOUT, about.encode("utf-8", "replace").decode())
    with wanted(path) as file:
        image.save(file, "PNG", pnginfo=texts)
