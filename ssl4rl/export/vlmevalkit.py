"""Predictions as the table that VLMEvalKit scores.

Its matcher recognises a letter only if spaces surround it, and counts letters anywhere in the text: so the reasoning is
left out, and spaces are put inside the answer's tags. Index and question are those of VLMEvalKit's own files.
"""

from __future__ import annotations

import csv
from pathlib import Path

from ssl4rl.answers import ANSWER_TAG, END_OF_THOUGHT
from ssl4rl.errors import UserError
from ssl4rl.evaluation.plan import build_benchmark
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.files import wanted
from ssl4rl.runs import Run
from ssl4rl.vision.benchmarks.multiple_choice import MultipleChoice

FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula."""


def spaced(reply: str) -> str:
    """The text after the reasoning, with spaces around the answer's tags; never empty, and no spreadsheet's formula.

    >>> spaced("<think>A or C?</think><answer>C</answer>")
    '<answer> C </answer>'
    """
    answered = 0
    for end in END_OF_THOUGHT.finditer(reply):
        answered = end.end()
    parts, start = [], 0
    text = reply[answered:]
    for tag in ANSWER_TAG.finditer(text):
        parts += [text[start : tag.start()], tag[0]]
        start = tag.end()
    said = " ".join(filter(None, (part.strip() for part in [*parts, text[start:]])))
    return f" {said}" if said.startswith(FORMULA) else said or "-"


def export_predictions(run: Run, output: Path) -> int:
    """Writes a run's predictions as a TSV, in the order of the table that was asked; returns the number of rows.

    Options stand under the letters that they had in the prompt.

    Columns: ``index``, ``question``, ``hint``, the options, ``answer``, ``category``, ``l2-category``, ``split`` and
    ``prediction``.

    Raises:
        UserError: for a run of another benchmark, or if the questions have changed since.
    """
    if output.suffix.lower() != ".tsv":
        raise UserError(f"--output {output}: give a file that ends in .tsv")
    recipe = EvalRecipe.of(run)
    benchmark = build_benchmark(recipe)
    if not isinstance(benchmark, MultipleChoice):
        raise UserError(
            f"{run.path} is of benchmark {recipe.benchmark}; only multiple-choice questions can be exported this way"
        )
    replies = {prediction.item: prediction.reply for prediction in run.predictions()}
    rows = {f"question:{row.index}": benchmark.in_shown_order(row) for row in benchmark.rows}
    if missing := replies.keys() - rows.keys():
        raise UserError(
            f"{run.path} answers {min(missing)}, which {benchmark.source.name} no longer has; evaluate again"
        )
    order = {question.index: place for place, question in enumerate(benchmark.source.questions)}
    asked = [row for item, row in rows.items() if item in replies]
    asked.sort(key=lambda row: (row.rotated, order[row.base]))
    letters = sorted({letter for row in benchmark.rows for letter in row.options})
    header = ["index", "question", "hint", *letters, "answer", "category", "l2-category", "split", "prediction"]
    with wanted(output) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(header)
        for row in asked:
            options = [row.options.get(letter, "") for letter in letters]
            labels = [row.answer, row.category, row.group, row.part]
            prediction = spaced(replies[f"question:{row.index}"])
            writer.writerow([row.index, row.text, row.hint, *options, *labels, prediction])
    return len(asked)
