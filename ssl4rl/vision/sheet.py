"""A contact sheet: examples as a person can look at them, one a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ssl4rl.errors import UserError
from ssl4rl.example import Example

GAP, CAPTION, WIDEST = 8, 16, 1600
"""Pixels: between pictures, for a line of text, and the sheet at most."""


def contact_sheet(examples: Sequence[Example], answers: Sequence[str]) -> Image.Image:
    """Each example's pictures side by side, in the order of the prompt, under its id and answer.

    Pictures keep their pixels unless one is larger than 1,600; what does not fit into a line goes into the next.

    Raises:
        UserError: if the examples have no pictures.
    """
    rows = [_row(example, answer) for example, answer in zip(examples, answers, strict=True) if example.images]
    if not rows:
        raise UserError("--png draws the pictures of examples, and these have none")
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(example: Example, answer: str) -> Image.Image:
    caption = f"{example.id}   answer: {answer}"
    pictures = [image.convert("RGB") for image in example.images]
    for picture in pictures:
        picture.thumbnail((WIDEST - 2 * GAP, WIDEST))
    places = []
    left, top, bottom = GAP, CAPTION + GAP, 0
    width = 2 * GAP + math.ceil(ImageDraw.Draw(pictures[0]).textlength(caption))
    for picture in pictures:
        if left > GAP and left + picture.width + GAP > WIDEST:
            left, top = GAP, bottom + GAP
        places.append((left, top))
        left += picture.width + GAP
        width, bottom = max(width, left), max(bottom, top + picture.height)
    row = Image.new("RGB", (width, bottom + GAP), "white")
    ImageDraw.Draw(row).text((GAP, 2), caption, fill="black")
    for picture, place in zip(pictures, places, strict=True):
        row.paste(picture, place)
    return row


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        image.save(path, "PNG")
    except OSError as error:
        raise UserError(f"--png {path} cannot be written ({error.strerror})") from error
