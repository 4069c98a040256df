"""One HTML page of what changed between two evaluations: image, question and both replies. It needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.errors import UserError
from ssl4rl.evaluation.compare import Comparison, Pair
from ssl4rl.evaluation.plan import build_benchmark
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.example import Example
from ssl4rl.report.words import in_words
from ssl4rl.runs import Run

SIDE = 320
"""Longest side of an image on the page, in pixels."""

STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #1b1b1f; }
section { border-top: 1px solid #c9c9d1; padding: 1em 0; }
.asked { display: flex; gap: 1.2em; align-items: flex-start; }
.replies { display: grid; grid-template-columns: 1fr 1fr; gap: 1.2em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; }
.reply { border-left: 4px solid #9a9aa5; padding: .2em .8em; }
.reply.correct { border-color: #2e8b57; } .reply.wrong { border-color: #b03a3a; }
h3 { font-size: 1em; margin: .6em 0 .2em; } .id { color: #6a6a75; font-size: .85em; }
"""


def write_page(path: Path, first: Run, compared: Sequence[tuple[Run, Comparison]], limit: int) -> None:
    """Writes :func:`changed_page` to a file.

    Raises:
        UserError: if the file cannot be written, or the first run's data is gone or has changed.
    """
    page = changed_page(first, compared, limit)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a file in a folder that exists") from error


def changed_page(first: Run, compared: Sequence[tuple[Run, Comparison]], limit: int) -> str:
    """The page of the first run and each later one, with at most ``limit`` changed items of each, as HTML.

    Raises:
        UserError: if the first run's data is gone or has changed.
    """
    benchmark = build_benchmark(EvalRecipe.of(first))
    parts = [_compared(benchmark, (first, second), comparison, limit) for second, comparison in compared]
    title = escape(f"{benchmark.label} on {benchmark.source.name}: what changed")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = f"<body>\n<h1>{title}</h1>\n{''.join(parts)}</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>{body}</html>\n'


def _compared(benchmark: AnyBenchmark, runs: tuple[Run, Run], comparison: Comparison, limit: int) -> str:
    paired, changed = comparison.paired, comparison.changed
    summary = (
        f"{comparison.first.score:.3f} → {comparison.second.score:.3f} on {comparison.shared} questions: "
        f"{100 * paired.difference:+.1f} points [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}], "
        f"p = {paired.p:.2g}; {len(changed)} replies changed their score"
    )
    items = "".join(_item(benchmark, runs, pair) for pair in changed[:limit])
    more = f"<p>{len(changed) - limit} more are not shown.</p>\n" if len(changed) > limit else ""
    names = " and ".join(escape(str(run.path)) for run in runs)
    return f"<h2>{names}</h2>\n<p>{escape(summary)}</p>\n{items}{more}"


def _item(benchmark: AnyBenchmark, runs: tuple[Run, Run], pair: Pair) -> str:
    asked = pair[0]
    example = benchmark.example(asked.index)
    if example.id != asked.id:
        raise UserError(f"{asked.id} is now {example.id}: the dataset or ssl4rl has changed; evaluate again")
    right = ", ".join(in_words(label, asked.choices) for label in asked.accepted)
    replies = ""
    for run, prediction in zip(runs, pair, strict=True):
        outcome = escape(prediction.outcome)
        heading = f"{escape(str(run.path))}: {outcome}, {escape(in_words(prediction.answer, prediction.choices))}"
        replies += f'<div class="reply {outcome}"><h3>{heading}</h3><pre>{escape(prediction.reply)}</pre></div>'
    return (
        f'<section><p class="id">{escape(str(asked.id))}</p>\n<div class="asked">{_images(example)}'
        f"<pre>{escape(example.text)}</pre></div>\n<p>right: {escape(right)}</p>\n"
        f'<div class="replies">{replies}</div></section>\n'
    )


def _images(example: Example) -> str:
    return "".join(f'<img alt="" src="{_data_url(image)}">' for image in example.images)


def _data_url(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
