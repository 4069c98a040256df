"""One HTML page of what changed between two evaluations: picture, question and both replies. It needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.evaluation.compare import Comparison
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import AnyBenchmark, build_benchmark
from ssl4rl.evaluation.scores import Prediction
from ssl4rl.example import Example
from ssl4rl.runs import CONFIG

SIDE = 320
"""Longest side of a picture on the page, in pixels."""

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


def changed_page(first: Path, compared: Sequence[tuple[Path, Comparison]], limit: int) -> str:
    """The page of the first run and each later one: at most ``limit`` changed items of each, as HTML.

    Raises:
        UserError: if the first run's data is not there any more, or has changed.
    """
    benchmark = build_benchmark(EvalRecipe.load(first / CONFIG))
    parts = [_compared(benchmark, first, second, found, limit) for second, found in compared]
    title = escape(f"{benchmark.label} on {benchmark.source.name}: what changed")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = f"<body>\n<h1>{title}</h1>\n{''.join(parts)}</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>{body}</html>\n'


def _compared(benchmark: AnyBenchmark, first: Path, second: Path, found: Comparison, limit: int) -> str:
    paired = found.paired
    summary = (
        f"{found.first.score:.3f} → {found.second.score:.3f} on {found.shared} questions: "
        f"{100 * paired.difference:+.1f} points [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}], "
        f"p = {paired.p:.2g}; {len(found.changed)} replies changed their score"
    )
    shown = found.changed[:limit]
    left = f"<p>{len(found.changed) - limit} more are not shown.</p>\n" if len(found.changed) > limit else ""
    items = "".join(_item(benchmark, (first, second), pair) for pair in shown)
    return f"<h2>{escape(str(first))} and {escape(str(second))}</h2>\n<p>{escape(summary)}</p>\n{items}{left}"


def _item(benchmark: AnyBenchmark, runs: tuple[Path, Path], pair: tuple[Prediction, Prediction]) -> str:
    asked = pair[0]
    example = benchmark.example(asked["index"])
    if example.id != asked["id"]:
        raise UserError(f"{asked['id']} is now {example.id}: the dataset or ssl4rl has changed; evaluate again")
    right = ", ".join(f"{label} ({asked['choices'].get(label, '?')})" for label in asked["accepted"])
    replies = "".join(
        f'<div class="reply {escape(record["outcome"])}"><h3>{escape(str(run))}: {escape(record["outcome"])}</h3>'
        f"<pre>{escape(record['reply'])}</pre></div>"
        for run, record in zip(runs, pair, strict=True)
    )
    return (
        f'<section><p class="id">{escape(asked["id"])}</p>\n<div class="asked">{_pictures(example)}'
        f"<pre>{escape(example.text)}</pre></div>\n<p>right: {escape(right)}</p>\n"
        f'<div class="replies">{replies}</div></section>\n'
    )


def _pictures(example: Example) -> str:
    return "".join(f'<img alt="" src="{_data_url(image)}">' for image in example.images)


def _data_url(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
