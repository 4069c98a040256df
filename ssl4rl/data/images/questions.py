"""Reads tables of multiple-choice questions: the TSV files of MMBench and SEED-Bench, and those of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from ssl4rl.answers import OPTION_LETTERS
from ssl4rl.data.images.files import DEFAULT
from ssl4rl.data.images.store import recall, remember
from ssl4rl.data.images.tables import list_tsv, plain_index, read_tsv
from ssl4rl.data.tables import where
from ssl4rl.errors import UserError
from ssl4rl.vision.questions import Question, QuestionSet, with_bases

REQUIRED = ("index", "question", "image", "A", "B", "answer")
"""Columns that a table must have; options go on with ``C``, ``D``, … as far as there are such columns."""

FORMAT = 1
"""Raised when what is made of a table changes."""


def load_questions(source: str | None = None) -> QuestionSet:
    """The questions of a TSV file, or of the one TSV file in a folder; those about the drawn scenes for None.

    Columns: ``index``, ``question``, ``image`` (base64, or the index of the row that holds the picture), ``A``,
    ``B``, … (empty where a question has fewer options), ``answer`` (a letter), and optionally ``hint``,
    ``category``, ``l2-category`` and ``split``.

    Raises:
        UserError: if there is no such file or it is malformed; the message names the row and the field.
    """
    if source is None or source == DEFAULT:
        from ssl4rl.data.images.scene_questions import scene_questions

        return scene_questions()
    path = _table(Path(source).expanduser())
    # What is said about the whole file (its columns) comes before what is said about one picture.
    status = path.stat()
    stamp = repr((FORMAT, str(path.resolve()), status.st_size, status.st_mtime_ns))
    memory = f"questions-{hashlib.sha256(stamp.encode()).hexdigest()[:32]}"
    rows = recall(memory).get("rows")
    if rows is None:
        found = list(_rows(path))
        remember(memory, {"rows": [asdict(question) for question in found]})
    else:
        found = [Question(**row) for row in rows]
    listing = list_tsv(path)
    if listing.problems:
        number, first = len(listing.problems), next(iter(listing.problems.values()))
        raise UserError(
            f"{path.parent / first}" + (f" ({number - 1} more pictures have such problems)" if number > 1 else "")
        )
    return QuestionSet(listing.name, listing.pictures, listing.hashes, with_bases(found))


def _table(path: Path) -> Path:
    if path.is_dir():
        tables = sorted(path.glob("*.tsv"))
        if len(tables) != 1:
            raise UserError(f"{path} holds {len(tables)} .tsv files; name the one to read")
        return tables[0]
    if not path.is_file():
        raise UserError(f"there is no file {path}; give a TSV with the columns {', '.join(REQUIRED)}")
    if path.suffix.lower() != ".tsv":
        raise UserError(f"{path} is no .tsv; multiple-choice questions are read from tab-separated tables")
    return path


def _rows(path: Path) -> Iterator[Question]:
    """The questions of a table, in its order, so that the n-th one is about the table's n-th picture."""
    picture = -1
    for picture, (row, cells) in enumerate(read_tsv(path, REQUIRED)):
        yield _question(path, row, cells, picture)
    if picture < 0:
        raise UserError(f"{path} has no rows")


def _question(path: Path, row: int, cells: Mapping[str, str], picture: int) -> Question:
    index = plain_index(cells["index"])
    if not index:
        raise UserError(f"{where(path, row, 'index')}: every row needs an index of its own")
    text = cells["question"].strip()
    if not text:
        raise UserError(f"{where(path, row, 'question')}: the question is missing")
    options = {letter: cells[letter].strip() for letter in OPTION_LETTERS if cells.get(letter, "").strip()}
    if len(options) < 2:
        raise UserError(f"{where(path, row)}: a question needs two options or more, and this one has {len(options)}")
    answer = cells["answer"].strip()
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
        picture=picture,
        place=where(Path(path.name), row),
        hint=cells.get("hint", "").strip(),
        category=cells.get("category", "").strip(),
        group=cells.get("l2-category", "").strip(),
        part=cells.get("split", "").strip(),
    )
