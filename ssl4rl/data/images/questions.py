"""Reads tables of multiple-choice questions: those of MMBench and SEED-Bench, and a user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.data.images.cells import images_in, plain_index
from ssl4rl.data.images.check import find_broken, tally_frames
from ssl4rl.data.images.store import Listing, recall, remember
from ssl4rl.data.images.summary import summarise_questions
from ssl4rl.data.images.tables import image_column, list_images_of, read_columns, read_rows
from ssl4rl.data.tables import Problems, split_name, where
from ssl4rl.errors import UserError
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.source import Report
from ssl4rl.tally import Tally, skipped_in
from ssl4rl.vision.questions import TRAIN, Question, QuestionSet, link_rotated_copies

REQUIRED = ("index", "question", "A", "B")
"""Columns that a table must have beside one of images; further options have columns ``C``, ``D``, …."""

TABLES = (".tsv", ".csv", ".parquet")

LEFT_OUT = "rows whose image is that of a row which the table does not hold"

BROKEN = "rows with broken or missing images"

COLUMNS = ("index", "question", "answer", "hint", "category", "l2-category", "l2_category", "split")
"""Columns that are read beside those of images and of options."""

FORMAT = 6
"""Raised when the questions that are made of a table change."""


def load_questions(path: str) -> QuestionSet:
    """The questions of a TSV, csv or parquet file, or of the one such file in a folder.

    Columns: ``index``, ``question``, ``image`` (one or a list, see ``list_images_of``), ``A``, ``B``, … (empty where a
    question has fewer options), and optionally ``answer`` (a letter; empty where it is not known), ``hint``,
    ``category``, ``l2-category`` and ``split``. A row whose image is that of another row which the table does not hold
    is left out and named in ``left_out``: a part of a larger table has such rows. Every image is decoded once; rows
    whose image is broken are left out and named in ``skipped``.

    Raises:
        UserError: if there is no such file or it is malformed; the message names the row and the field.
    """
    table = _table(path)
    status = table.stat()
    stamp = repr((FORMAT, str(table.resolve()), status.st_size, status.st_mtime_ns))
    memory = f"questions-{hashlib.sha256(stamp.encode()).hexdigest()[:32]}"
    rows = recall(memory).get("rows")
    if rows is None:
        # Before the images are listed, so that a missing column is reported before a bad image.
        questions = _questions(table, Problems(strict=True))
        remember(memory, {"rows": [asdict(question) for question in questions]})
    else:
        questions = [Question(**{**row, "more": tuple(row["more"])}) for row in rows]
    return _with_images(table, list_images_of(table), questions)


def _with_images(table: Path, listing: Listing, questions: Sequence[Question]) -> QuestionSet:
    """The questions whose images are all there, and only those images.

    Raises:
        UserError: if no question is left.
    """
    absent, broken = set(listing.absent), find_broken(listing)
    kept = [number for number in range(len(listing.hashes)) if number not in broken]
    place = {number: n for n, number in enumerate(kept)}
    whole = [each for each in questions if broken.keys().isdisjoint(each.images)]
    left_out, skipped = [], []
    for each in questions:
        elsewhere = [image for image in each.images if image in absent]
        if elsewhere:
            left_out.append(broken[elsewhere[0]])
        elif not broken.keys().isdisjoint(each.images):
            skipped.append(str(table.parent / next(broken[image] for image in each.images if image in broken)))
    if not whole:
        if skipped:
            raise UserError(f"none of the {len(questions):,} rows has an image that can be read, e.g. {skipped[0]}")
        raise UserError(f"{table.parent / left_out[0]} (so it is for all {len(left_out):,} rows)")
    reasons = {LEFT_OUT: len(left_out), BROKEN: len(skipped)}
    columns = read_columns(table)
    used = {*COLUMNS, *OPTION_LETTERS, image_column(table, columns)}
    hashes = [listing.hashes[number] for number in kept]
    renumbered = [
        replace(each, image=place[each.image], more=tuple(place[image] for image in each.more)) for each in whole
    ]
    return QuestionSet(
        listing.name,
        listing.store.take(np.array(kept)),
        hashes,
        link_rotated_copies(renumbered, hashes),
        left_out,
        skipped,
        reading=[
            Tally.of(f"rows of {table.name}", len(questions), reasons, len(whole)),
            Tally.of_named(f"columns of {table.name}", columns, used, f"unused columns of {table.name}"),
            *tally_frames(listing, broken),
        ],
    )


def check_questions(path: str) -> Report:
    """Reads every row and decodes every image once, and names each that is bad."""
    problems = Problems(strict=False)
    try:
        table = _table(path)
        questions = _questions(table, problems)
        if problems.messages:
            return Report(problems.messages, None, {"bad rows": len(problems.messages)})
        found = _with_images(table, list_images_of(table), questions)
    except UserError as error:
        return Report([*problems.messages, str(error)], None)
    return Report(found.skipped, None if found.skipped else summarise_questions(found), skipped_in(found.reading))


def recognises_questions(path: str) -> bool:
    """Whether the path is a table with the columns of questions, or a folder that holds one."""
    return bool(_tables(Path(path).expanduser()))


def _tables(place: Path) -> list[Path]:
    """The tables of questions in a folder, or the file itself if it is one."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    tables = [file for file in files if file.suffix.lower() in TABLES and file.is_file()]
    return [table for table in tables if {"question", "A", "B"} <= set(read_columns(table))]


def _table(path: str) -> Path:
    file = Path(path).expanduser()
    if file.is_dir():
        tables = _tables(file) or sorted(file.glob("*.tsv"))
        if len(tables) != 1:
            if not tables:
                raise UserError(f"{path} holds no table of questions; give one with {', '.join(REQUIRED)} and image")
            named = ", ".join(table.name for table in tables)
            raise UserError(f"{path} holds {len(tables)} tables of questions ({named}); name the one to read")
        return tables[0]
    if not file.is_file():
        raise UserError(f"there is no file {path}; give a table with the columns {', '.join(REQUIRED)} and image")
    if file.suffix.lower() not in TABLES:
        raise UserError(f"{path} is not a .tsv, .csv or .parquet, from which multiple-choice questions are read")
    return file


def _questions(path: Path, problems: Problems) -> list[Question]:
    """The questions of a table, in its order: the n-th one is about the table's n-th image.

    Raises:
        UserError: if the table as a whole cannot be read, or has no rows.
    """
    questions = []
    counts: list[int] = []
    for row, cells in read_rows(path, REQUIRED, problems):
        image = len(counts)
        counts.append(len(images_in(cells[image_column(path, cells)])))
        try:
            questions.append(_question(path, row, cells, image))
        except UserError as error:
            problems.add(str(error))
    if not counts and not problems.messages:
        raise UserError(f"{path} has no rows")
    # The further images of rows follow after the first ones of all.
    starts = [len(counts) + sum(counts[:n]) - n for n in range(len(counts))] if max(counts, default=1) > 1 else []
    return [replace(each, more=_more(starts, counts, each.image)) for each in questions]


def _more(starts: Sequence[int], counts: Sequence[int], image: int) -> tuple[int, ...]:
    return tuple(range(starts[image], starts[image] + counts[image] - 1)) if starts else ()


def _letter(cell: str) -> str:
    """An answer as the letter that it names: a, (A), A. and A) are A; anything else stays as it is.

    >>> _letter("(b)"), _letter("C."), _letter("circle")
    ('B', 'C', 'circle')
    """
    bare = cell.strip().strip("()[].:").upper()
    return bare if bare in OPTION_LETTERS and len(bare) == 1 else cell.strip()


def _question(path: Path, row: int, cells: Mapping[str, Any], image: int) -> Question:
    index = plain_index(cells["index"])
    if not index:
        raise UserError(f"{where(path, row, 'index')}: every row needs its own index")
    text = cells["question"].strip()
    if not text:
        raise UserError(f"{where(path, row, 'question')}: the question is missing")
    options = {letter: cells[letter].strip() for letter in OPTION_LETTERS if cells.get(letter, "").strip()}
    if len(set(options.values())) < 2:
        count = f"one, {len(options)} times" if len(options) > 1 else str(len(options))
        raise UserError(f"{where(path, row)}: a question needs two options or more, and this one has {count}")
    answer = _letter(cells.get("answer", ""))
    if answer and answer not in options:
        raise UserError(
            f"{where(path, row, 'answer')}: {answer!r} is none of the row's options ({', '.join(options)}); "
            "write the letter of the right one"
        )
    return Question(
        index=index,
        base=index,
        text=text,
        options=options,
        answer=answer,
        image=image,
        place=where(Path(path.name), row),
        hint=cells.get("hint", "").strip(),
        category=cells.get("category", "").strip(),
        group=(cells.get("l2-category") or cells.get("l2_category") or "").strip(),
        part=TRAIN if split_name(part := cells.get("split", "")) == TRAIN else part.strip(),
    )
