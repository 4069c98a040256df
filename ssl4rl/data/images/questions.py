"""Reads tables of multiple-choice questions: the TSV files of MMBench and SEED-Bench, and a user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ssl4rl.data.images.files import find_broken, raise_first
from ssl4rl.data.images.store import recall, remember
from ssl4rl.data.images.summary import summarise_questions
from ssl4rl.data.images.tables import list_tsv, plain_index, read_header, read_tsv
from ssl4rl.data.tables import Problems, where
from ssl4rl.errors import UserError
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.source import Report
from ssl4rl.vision.questions import Question, QuestionSet, link_rotated_copies

REQUIRED = ("index", "question", "image", "A", "B", "answer")
"""Columns that a table must have; further options have columns ``C``, ``D``, …."""

FORMAT = 2
"""Raised when the questions that are made of a table change."""


def load_questions(path: str) -> QuestionSet:
    """The questions of a TSV file, or of the one TSV file in a folder.

    Columns: ``index``, ``question``, ``image`` (base64, or the index of the row that holds the image), ``A``, ``B``, …
    (empty where a question has fewer options), ``answer`` (a letter), and optionally ``hint``, ``category``,
    ``l2-category`` and ``split``.

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
        questions = [Question(**row) for row in rows]
    listing = list_tsv(table)
    raise_first({number: str(table.parent / problem) for number, problem in listing.problems.items()})
    return QuestionSet(listing.name, listing.store, listing.hashes, link_rotated_copies(questions))


def check_questions(path: str) -> Report:
    """Reads every row and decodes every image once, and names each that is bad."""
    problems = Problems(strict=False)
    try:
        table = _table(path)
        questions = _questions(table, problems)
        if problems.messages:
            return Report(problems.messages, None, {"bad rows": len(problems.messages)})
        questions = link_rotated_copies(questions)
        listing = list_tsv(table)
    except UserError as error:
        return Report([*problems.messages, str(error)], None)
    broken = find_broken(listing)
    if broken:
        named = [str(table.parent / problem) for problem in broken.values()]
        return Report(named, None, {"rows with broken or missing images": len(broken)})
    return Report([], summarise_questions(QuestionSet(listing.name, listing.store, listing.hashes, questions)))


def recognises_questions(path: str) -> bool:
    """Whether the path is a TSV with the columns of questions, or a folder that holds one."""
    file = Path(path).expanduser()
    tables = sorted(file.glob("*.tsv")) if file.is_dir() else [file]
    return any(
        table.suffix.lower() == ".tsv" and {"question", "answer", "A", "B"} <= set(read_header(table, "\t"))
        for table in tables
    )


def _table(path: str) -> Path:
    file = Path(path).expanduser()
    if file.is_dir():
        tables = sorted(file.glob("*.tsv"))
        if len(tables) != 1:
            raise UserError(f"{path} holds {len(tables)} .tsv files; name the one to read")
        return tables[0]
    if not file.is_file():
        raise UserError(f"there is no file {path}; give a TSV with the columns {', '.join(REQUIRED)}")
    if file.suffix.lower() != ".tsv":
        raise UserError(f"{path} is not a .tsv; multiple-choice questions are read from tab-separated tables")
    return file


def _questions(path: Path, problems: Problems) -> list[Question]:
    """The questions of a table, in its order: the n-th one is about the table's n-th image.

    Raises:
        UserError: if the table as a whole cannot be read, or has no rows.
    """
    questions = []
    image = -1
    for image, (row, cells) in enumerate(read_tsv(path, REQUIRED, problems)):
        try:
            questions.append(_question(path, row, cells, image))
        except UserError as error:
            problems.add(str(error))
    if image < 0 and not problems.messages:
        raise UserError(f"{path} has no rows")
    return questions


def _question(path: Path, row: int, cells: Mapping[str, str], image: int) -> Question:
    index = plain_index(cells["index"])
    if not index:
        raise UserError(f"{where(path, row, 'index')}: every row needs its own index")
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
        image=image,
        place=where(Path(path.name), row),
        hint=cells.get("hint", "").strip(),
        category=cells.get("category", "").strip(),
        group=cells.get("l2-category", "").strip(),
        part=cells.get("split", "").strip(),
    )
