"""A benchmark whose answers others keep: the replies as the file that its site scores.

MMBench's takes an Excel file with a row for each question (opencompass's docs/en/MMBench.md): its ``index``, the
``question``, the options, ``prediction``, and the two levels of its category.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.errors import UserError
from ssl4rl.evaluation.scores import picked
from ssl4rl.files import whole
from ssl4rl.records import Prediction
from ssl4rl.runs import Run
from ssl4rl.vision.benchmarks.multiple_choice import MultipleChoice
from ssl4rl.vision.questions import is_number

SUBMISSION = "submission.xlsx"

LONGEST_CELL = 32_767
"""Characters that a cell of Excel holds."""


def check_submittable(benchmark: AnyBenchmark) -> None:
    """Refuses a benchmark without answers, before it is asked, whose replies could not be written down for its site.

    Raises:
        UserError: if its items are no rows of a table, their options have other letters than there, or the package that
            writes the file is missing.
    """
    if not isinstance(benchmark, MultipleChoice):
        raise UserError(
            f"benchmark {benchmark.name} on {benchmark.source.name} has no answers, so nothing can be scored"
        )
    if benchmark.restated == "options":
        raise UserError(
            f"{benchmark.source.name} has no answers, so replies are written to {SUBMISSION} for its site, which knows "
            "options by the table's letters; leave out --set task.restated=options"
        )
    if find_spec("openpyxl") is None:
        raise UserError(
            f"{benchmark.source.name} has no answers, so replies are written to {SUBMISSION} for its site; that takes "
            "openpyxl: pip install 'ssl4rl[xlsx]'"
        )


def write_submission(run: Run, benchmark: AnyBenchmark, predictions: Sequence[Prediction]) -> int:
    """Writes the rows of the table that were asked, in its order, to submission.xlsx; returns how many there are.

    ``prediction`` is the letter that was answered, or the reply where none could be read.
    """
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    by_item = {prediction.item: prediction for prediction in predictions}
    asked = [(row, by_item.get(f"question:{row.index}")) for row in benchmark.source.questions]
    rows = [(row, prediction) for row, prediction in asked if prediction is not None]
    letters = sorted({letter for row, _ in rows for letter in row.options} | {*"ABCD"})
    lines: list[list[Any]] = [["index", "question", *letters, "prediction", "category", "l2-category"]]
    for row, prediction in rows:
        index = int(row.index) if is_number(row.index) else row.index
        options = [row.options.get(letter, "") for letter in letters]
        said = picked(prediction) or prediction.reply.strip()
        lines.append([index, row.text, *options, said, prediction.category, prediction.group])
    book = Workbook()
    sheet = book.active
    for line in lines:
        sheet.append([None] * len(line))
        for cell, value in zip(sheet[sheet.max_row], line, strict=True):
            text = isinstance(value, str)
            cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)[:LONGEST_CELL] if text else value
            if text and cell.value:
                cell.data_type = "s"  # never a formula, whatever a reply begins with
    with whole(run.path / SUBMISSION) as path:
        book.save(path)
    return len(rows)
