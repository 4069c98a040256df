"""Pictures with classes, and the names of the classes where the pictures' folders are called by codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl4rl.data.images.files import DEFAULT, HUB, load_images
from ssl4rl.data.tables import Problems, read_table, where
from ssl4rl.errors import UserError
from ssl4rl.vision.benchmarks.imagenet import ClassifiedImages

NAMES_CSV, SYNSETS = "classes.csv", "LOC_synset_mapping.txt"
"""Files beside the class folders (or beside the folder that holds them) that give the classes' names."""

CODE, NAME = "wnid", "class_name"


def load_classified(source: str | None = None) -> ClassifiedImages:
    """Pictures with classes: class folders, a table, the hub, or the drawn scenes for None (see ``load_images``).

    A class has the names that stand in its label, separated by commas. Where the folders are called by codes
    (``n01440764``), the names come from ``classes.csv`` (columns ``wnid`` and ``class_name``) or from ImageNet's own
    ``LOC_synset_mapping.txt``; classes that stand there and have no picture serve as options.

    Raises:
        UserError: as ``load_images`` does; if the pictures have no labels, or a folder's code has no name.
    """
    images = load_images(source)
    if images.labels is None:
        raise UserError(f"pictures {images.name} have no labels; put each class into a folder of its own")
    given = None
    if source is not None and source != DEFAULT and not source.startswith(HUB):
        given = _names_file(Path(source).expanduser())
    if given is None:
        return ClassifiedImages(images, [_split(label, images.name) for label in images.label_names], images.labels)
    names = _read_names(given)
    codes = {code: place for place, code in enumerate(names)}
    for label in images.label_names:
        if label not in codes:
            raise UserError(f"{given} has no class {label!r}, which is a folder of {images.name}; add a row for it")
    of_label = np.array([codes[label] for label in images.label_names], dtype=np.int64)
    classes = np.where(images.labels >= 0, of_label[images.labels], -1)
    return ClassifiedImages(images, list(names.values()), classes)


def _names_file(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    places = (folder / name for folder in (path, path.resolve().parent) for name in (NAMES_CSV, SYNSETS))
    return next((place for place in places if place.is_file()), None)


def _read_names(path: Path) -> dict[str, list[str]]:
    """The names of each class, by code, in the file's order."""
    names: dict[str, list[str]] = {}
    if path.name == SYNSETS:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [(row, *line.strip().partition(" ")[::2]) for row, line in enumerate(lines, start=1) if line.strip()]
    else:
        table = read_table(path, Problems(strict=True))
        code, name = table.require(CODE, ""), table.require(NAME, "")
        rows = [(row, cells[code].strip(), cells[name]) for row, cells in table.rows]
    for row, code, written in rows:
        if code in names:
            raise UserError(f"{where(path, row, CODE)}: {code!r} occurs twice")
        names[code] = _split(written, where(path, row, NAME))
    return names


def _split(written: str, place: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    if not names:
        raise UserError(f"{place}: a class has no name")
    return names
