"""Tables that name image files: an index csv, and those beside the images that give their labels or splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ssl4rl.data.images.cells import existing
from ssl4rl.data.images.folder import Files, file_hashes, given_by_folders
from ssl4rl.data.images.store import LABEL_COLUMNS, Listing
from ssl4rl.data.readers import open_table
from ssl4rl.data.tables import SUFFIXES, Problems, Table, split_name, where
from ssl4rl.data.text import class_names
from ssl4rl.errors import UserError, listed

PATH_COLUMNS = ("path", "image", "file", "file_name")
"""Columns of an index that name the image files; the first one that exists is used."""

NAMES_CSV, SYNSETS = "classes.csv", "LOC_synset_mapping.txt"
"""Files next to the class folders, or next to the folder that holds those, that give the classes' names."""

STEMS = ("metadata", "index")
"""What tables beside the images are called: those of the image folders of ``datasets``, and ours."""

METADATA = tuple(f"{stem}{suffix}" for stem in STEMS for suffix in SUFFIXES)


@dataclass(frozen=True)
class Index:
    """The images that tables name."""

    listing: Listing
    named: set[str]
    """The files inside the folder that any row names, one that is left out included, relative to the folder."""


def tables_beside(root: Path, files: Sequence[str], images: Sequence[str], problems: Problems) -> list[Table]:
    """The tables among ``files`` that give the ``images`` labels or splits: one in ``root``, or one in each folder.

    Others of that name are passed over: one of captions alone, one in a folder without images, and one of labels whose
    files are not in ``path`` or ``file_name`` if the class folders are codes that ``classes.csv`` explains.

    Raises:
        UserError: if one cannot be read or does not name files, if two are about the same images, or if a folder of
            images has none while others have.
    """
    with_images = {parent for image in images for parent in PurePosixPath(image).parents}
    coded = not {NAMES_CSV, SYNSETS}.isdisjoint(files)
    tables: dict[PurePosixPath, Table] = {}
    for file in files:
        folder = PurePosixPath(file).parent
        if PurePosixPath(file).name.lower() not in METADATA or folder not in with_images:
            continue
        table = open_table(root / file, problems)
        label, split = table.find(*LABEL_COLUMNS), table.find("split")
        if not label and not split:
            continue
        if coded and not split and not table.find("path", "file_name"):
            continue
        _path_column(table)
        if folder in tables:
            raise _both(tables[folder], table)
        tables[folder] = table
    for folder, table in tables.items():
        for above in folder.parents:
            if above in tables:
                raise _both(tables[above], table)
    for image in images if tables else ():
        # An image in no folder, such as a logo, is one that no table names.
        parents = PurePosixPath(image).parents
        if len(parents) > 1 and tables.keys().isdisjoint(parents):
            raise UserError(
                f"{next(iter(tables.values())).path} has the labels or splits of the images in its folder, and no such "
                f"table has those of {root / parents[0]}; add one there, or give one table in {root} with all images"
            )
    return list(tables.values())


def _both(one: Table, other: Table) -> UserError:
    return UserError(f"{one.path} and {other.path} both give labels or splits to the same images; keep one of them")


def _path_column(table: Table) -> str:
    """The column that names the files.

    Raises:
        UserError: if there is none.
    """
    column = table.find(*PATH_COLUMNS)
    if not column:
        raise UserError(
            f"{table.path}: there is no column {' or '.join(map(repr, PATH_COLUMNS))} that names the image files; "
            f"its columns are {listed(table.columns)}"
        )
    return column


def list_index(path: Path, problems: Problems) -> Listing:
    """The images that a csv names (see :func:`read_index`).

    Raises:
        UserError: if the csv as a whole cannot be read, or no column names files.
    """
    folder = path.resolve().parent.name
    listing = read_index(path.parent, [open_table(path, problems)], problems).listing
    return replace(listing, name=folder if path.stem.lower() == "index" and folder else path.stem)


def read_index(root: Path, tables: Sequence[Table], problems: Problems) -> Index:
    """The images that tables in ``root`` or below it name; a file that does not exist is a problem of that image alone.

    What a table has no column for follows from the folders that the files are in, as it does without a table.
    Rows without a file name, or with an unknown split, are reported and left out.

    Raises:
        UserError: if a table as a whole cannot be read, or no column names files.
    """
    places, paths, within, named = list[str](), list[str](), list[str](), set[str]()
    labels, splits = list[str | None](), list[str | None]()
    first = dict[str, tuple[tuple[str, str], str]]()
    for table in tables:
        column, label, split = _path_column(table), table.find(*LABEL_COLUMNS), table.find("split")
        above = Path(table.path).parent
        folder, of_table = os.path.relpath(above, root), list[str]()
        for row, cells in table.rows:
            name, side = cells.get(column, "").strip(), split_name(cells.get(split, "") if split else "")
            path = os.path.normpath(Path(folder, _as_posix(above, name))) if name else ""
            inside = _inside(root, path)
            named.add(inside)
            place = where(table.path, row, column)
            given = (cells.get(label, "").strip() if label else "", side or "")
            before, row_before = first.setdefault(inside or path, (given, place))
            if not name:
                problems.add(f"{place}: the file name is missing")
            elif side is None:
                problems.add(f"{where(table.path, row, split)}: {cells[split]!r} is not train, val or test (or empty)")
            elif before != given:
                problems.add(f"{place}: {name} is here {_said(given)}, and {_said(before)} in {row_before}; keep one")
            else:
                places.append(place)
                paths.append(inside or path)
                within.append(inside)
                of_table.append(cells.get(label, "") if label else "")
                splits.append(side if split else None)
        labels += class_names(of_table) if label else [None] * len(of_table)
    if None in labels or None in splits:
        of_folders, parts = given_by_folders(root, within)
        labels = [given if label is None else label for label, given in zip(labels, of_folders, strict=True)]
        splits = [given if split is None else split for split, given in zip(splits, parts, strict=True)]
    hashes, unreadable = file_hashes(root, paths, lambda index: places[index])
    relative = [os.path.relpath(table.path, root) for table in tables]
    listing = Listing(
        name=root.resolve().name,
        store=Files(root, paths),
        hashes=hashes,
        labels=[label or "" for label in labels],
        splits=[split or "" for split in splits],
        problems=unreadable,
        unit=f"rows of {listed(relative)}",
        found=sum(table.found for table in tables),
        reading=[
            replace(table.tally_columns(), what=f"columns of {name}")
            for table, name in zip(tables, relative, strict=True)
        ],
    )
    return Index(listing, named - {""})


def _said(given: tuple[str, str]) -> str:
    """What a row says of an image."""
    return " of ".join(filter(None, (repr(given[0]) if given[0] else "without a label", given[1])))


def _as_posix(folder: Path, name: str) -> str:
    """The name of a file that a table names, from ``folder`` on; with slashes where it is there with these."""
    return existing(folder, name.lstrip("\\")).relative_to(folder).as_posix() if "\\" in name else name


def _inside(root: Path, path: str) -> str:
    """The path relative to ``root``, also of one that is absolute; empty for a file that is not below it."""
    if Path(path).is_absolute():
        folders = (str(root.absolute()), str(root.resolve()))
        path = next((os.path.relpath(path, each) for each in folders if path.startswith(f"{each}{os.sep}")), "..")
    return "" if path == os.pardir or path.startswith(f"{os.pardir}{os.sep}") else path
