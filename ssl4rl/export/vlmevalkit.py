"""Predictions as the table that VLMEvalKit scores.

Its matcher takes a letter for the answer only where spaces stand around it, and counts letters anywhere in the text: so
the reasoning is left out, and spaces are put inside the answer's tags. Index and question are those of its own files.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import build_benchmark
from ssl4rl.evaluation.scores import read_predictions
from ssl4rl.runs import CONFIG
from ssl4rl.vision.benchmarks.multiple_choice import MultipleChoice

_REASONING = re.compile(r".*<\s*/\s*think\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"\s*(<\s*/?\s*answer\s*>)\s*", re.IGNORECASE)


def spaced(reply: str) -> str:
    """What stands after the reasoning, with spaces around the answer's tags; never empty.

    >>> spaced("<think>A or C?</think><answer>C</answer>")
    '<answer> C </answer>'
    """
    return _TAG.sub(r" \1 ", _REASONING.sub("", reply)).strip() or "-"


def export_predictions(run: Path, output: Path) -> int:
    """Writes a run's predictions as a TSV, in the order of the table that was asked; returns how many rows there are.

    Columns: ``index``, ``question``, ``hint``, the options, ``answer``, ``category``, ``l2-category``, ``split`` and
    ``prediction``.

    Raises:
        UserError: for a run of another benchmark, or if the questions are no longer those that it answered.
    """
    if output.suffix.lower() != ".tsv":
        raise UserError(f"--output {output}: give a file that ends in .tsv")
    recipe = EvalRecipe.load(run / CONFIG)
    benchmark = build_benchmark(recipe)
    if not isinstance(benchmark, MultipleChoice):
        raise UserError(f"{run} is of benchmark {recipe.benchmark}; only multiple-choice questions are exported so")
    said = {record["item"]: record["reply"] for record in read_predictions(run)}
    rows = {f"question:{row.index}": row for row in benchmark.rows}
    missing = said.keys() - rows.keys()
    if missing:
        raise UserError(f"{run} answers {min(missing)}, which {benchmark.source.name} no longer has; evaluate again")
    letters = sorted({letter for row in benchmark.rows for letter in row.options})
    header = ["index", "question", "hint", *letters, "answer", "category", "l2-category", "split", "prediction"]
    order = {question.index: place for place, question in enumerate(benchmark.source.questions)}
    asked = [row for row in benchmark.rows if f"question:{row.index}" in said]
    asked.sort(key=lambda row: (row.rotated, order[row.base]))
    try:
        file = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}; give a file in a folder that exists") from error
    with file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(header)
        for row in asked:
            options = [row.options.get(letter, "") for letter in letters]
            about = [row.answer, row.category, row.group, row.part]
            writer.writerow([row.index, row.text, row.hint, *options, *about, spaced(said[f"question:{row.index}"])])
    return len(said)
