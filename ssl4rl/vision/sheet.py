"""A contact sheet: examples as a person can look at them, one a row."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ssl4rl.errors import UserError
from ssl4rl.example import Example

GAP, CAPTION, WIDEST = 8, 16, 1600
"""Pixels: between pictures, for a line of text, and the sheet at most."""


def contact_sheet(examples: Sequence[Example], answers: Sequence[str]) -> Image.Image:
    """Each example's pictures side by side, in the order of the prompt, under its id and answer.

    Pictures keep their pixels unless a row would be wider than 1,600; then the row is scaled down.

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
    pictures = [image.convert("RGB") for image in example.images]
    scale = min(1.0, (WIDEST - GAP * (len(pictures) + 1)) / sum(picture.width for picture in pictures))
    if scale < 1:
        pictures = [
            picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
            for picture in pictures
        ]
    width = max(sum(picture.width for picture in pictures) + GAP * (len(pictures) + 1), 480)
    row = Image.new("RGB", (width, max(picture.height for picture in pictures) + CAPTION + 2 * GAP), "white")
    ImageDraw.Draw(row).text((GAP, 2), f"{example.id}   answer: {answer}", fill="black")
    left = GAP
    for picture in pictures:
        row.paste(picture, (left, CAPTION + GAP))
        left += picture.width + GAP
    return row
