"""Images with classes, and the names of the classes where the images' folders are called by codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ssl4rl.data.images.files import HUB, check_images, load_images
from ssl4rl.data.images.index import NAMES_CSV, SYNSETS
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.data.images.summary import summarise_classes
from ssl4rl.data.readers import read_table
from ssl4rl.data.tables import Problems, where
from ssl4rl.errors import UserError
from ssl4rl.source import Report
from ssl4rl.tally import Tally
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import ImageSet

CODE, NAME = "wnid", "class_name"


def load_classified(path: str) -> ClassifiedImages:
    """Images with classes: class folders, a table, or the hub (see ``load_images``).

    The names of a class are those in its label, separated by commas; labels that then share their first name are one
    name each ("Soup, tomato" and "Soup, lentil"). Where the folders are called by codes
    (``n01440764``), the names come from ``classes.csv`` (columns ``wnid`` and ``class_name``) or from ImageNet's own
    ``LOC_synset_mapping.txt``; classes that are listed there and have no image serve as options.

    Raises:
        UserError: as ``load_images`` does; if the images have no labels, or a folder's code has no name.
    """
    images = load_images(path)
    names_file = None if path.startswith(HUB) else _names_file(Path(path).expanduser())
    return _classified(images, names_file)


@lru_cache(maxsize=1)
def classified_scenes() -> ClassifiedImages:
    """The drawn scenes, whose classes are their main objects."""
    return _classified(default_scenes(), None)


def check_classified(path: str) -> Report:
    """Checks the images as ``check_images`` does, and then their classes."""
    report = check_images(path)
    try:
        summary = summarise_classes(load_classified(path)) if not report.problems else None
    except UserError as error:
        return Report([str(error)], None, report.skipped)
    return Report(report.problems, summary, report.skipped)


def _classified(images: ImageSet, names_file: Path | None) -> ClassifiedImages:
    """The images with the classes that their labels say; a file of names says what the labels stand for."""
    if images.labels is None:
        raise UserError(f"image set {images.name} has no labels; put each class into its own folder")
    if names_file is None:
        return ClassifiedImages(images, _split_apart(images.label_names, images.name), images.labels)
    names, reading = _read_names(names_file)
    number_of = {code: number for number, code in enumerate(names)}
    for label in images.label_names:
        if label not in number_of:
            raise UserError(
                f"{names_file} has no class {label!r}, which is a folder of {images.name}; add a row for it"
            )
    of_label = np.array([number_of[label] for label in images.label_names], dtype=np.int64)
    classes = np.where(images.labels >= 0, of_label[images.labels], -1)
    return ClassifiedImages(images, list(names.values()), classes, reading)


def _names_file(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    places = (folder / name for folder in (path, path.resolve().parent) for name in (NAMES_CSV, SYNSETS))
    return next((place for place in places if place.is_file()), None)


def _read_names(path: Path) -> tuple[dict[str, list[str]], list[Tally]]:
    """The names of each class, by code, in the file's order, and what was read of the file."""
    names: dict[str, list[str]] = {}
    if path.name == SYNSETS:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [(row, *line.strip().partition(" ")[::2]) for row, line in enumerate(lines, start=1) if line.strip()]
        reading = [Tally.of(f"rows of {path.name}", len(rows))]
    else:
        table = read_table(path, Problems(strict=True))
        code, name = table.require(CODE, ""), table.require(NAME, "")
        rows = [(row, cells[code].strip(), cells[name]) for row, cells in table.rows]
        reading = [table.tally_rows(len(rows)), table.tally_columns()]
    for row, code, written in rows:
        if code in names:
            raise UserError(f"{where(path, row, CODE)}: {code!r} occurs twice")
        names[code] = _split(written, where(path, row, NAME))
    return names, reading


def _split_apart(labels: Sequence[str], place: str) -> list[list[str]]:
    """The names in each label; one whose first name is another's too is left whole, or the two could not be told apart.

    >>> _split_apart(["tench, Tinca tinca", "Soup, tomato", "Soup, lentil"], "")
    [['tench', 'Tinca tinca'], ['Soup, tomato'], ['Soup, lentil']]
    """
    split = [_split(label, place) for label in labels]
    uses = Counter(names[0].lower() for names in split)
    return [
        names if uses[names[0].lower()] == 1 else [label.strip()] for names, label in zip(split, labels, strict=True)
    ]


def _split(written: str, place: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    if not names:
        raise UserError(f"{place}: a class has no name")
    return names
