"""A comparison of two evaluations, printed for people."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from ssl4rl.evaluation.compare import Comparison, Pair
from ssl4rl.registry import BENCHMARKS
from ssl4rl.report.words import in_words, question_line
from ssl4rl.runs import Run
from ssl4rl.statistics import Estimate

if TYPE_CHECKING:
    from rich.console import Console

MAX_REPLY = 600
"""Characters of a reply that are shown: its end, which holds the answer."""


def print_comparison(console: Console, first: Run, second: Run, comparison: Comparison, changed: int) -> None:
    """Prints both scores, their difference, the settings that differ, and at most ``changed`` changed items."""
    print_difference(console, first, second, comparison)
    side = _side(comparison.benchmark)
    for pair in comparison.changed[:changed]:
        _print_changed(console, side, (first, second), pair)
    if len(comparison.changed) > changed:
        console.print(f"\n{len(comparison.changed) - changed} more items changed; --changed N shows more")


def print_difference(console: Console, first: Run, second: Run, comparison: Comparison) -> None:
    """Prints both scores, their difference, and the settings that differ."""
    from rich.table import Table

    table = Table("run", "accuracy", "95 % interval", "parsed", box=None)
    table.add_row(str(first.path), *_cells(comparison.first))
    table.add_row(str(second.path), *_cells(comparison.second))
    console.print(table)
    console.print(difference_in_words(comparison), soft_wrap=True)
    for run, count in ((first, comparison.only_first), (second, comparison.only_second)):
        if count:
            console.print(f"{count} questions are in {run.path} only and are left out", soft_wrap=True)
    if comparison.rows_left_out:
        console.print(
            f"{comparison.rows_left_out} rotated rows are in one run only and are left out: the comparison is about "
            "the questions as both runs asked them",
            soft_wrap=True,
        )
    if comparison.settings:
        table = Table("setting", str(first.path), str(second.path), box=None)
        for key, (a, b) in comparison.settings.items():
            table.add_row(key, _value(a), _value(b))
        console.print(table)


def difference_in_words(comparison: Comparison) -> str:
    """The difference with its interval and p, and how many questions were won and lost."""
    paired = comparison.paired
    return (
        f"difference {100 * paired.difference:+.1f} points [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}], "
        f"p = {paired.p:.2g} ({paired.test}), {paired.won} won and {paired.lost} lost of {comparison.shared} shared "
        "questions"
    )


def _print_changed(console: Console, side: str, runs: tuple[Run, Run], pair: Pair) -> None:
    asked = pair[0]
    console.print(f"\n── {asked.item} · {question_line(asked.prompt, asked.choices)}", soft_wrap=True)
    right = ", ".join(in_words(label, asked.choices) for label in asked.accepted)
    console.print(f"right: {right}", soft_wrap=True)
    for run, prediction in zip(runs, pair, strict=True):
        answer = in_words(prediction.answer, prediction.choices)
        console.print(f"{run.path}: {prediction.outcome}, {answer}", soft_wrap=True)
        console.print(f"→ {prediction.reply[-MAX_REPLY:]}", soft_wrap=True)
        console.print(f"  ssl4rl {side} show '{prediction.id}' --run {shlex.quote(str(run.path))}", soft_wrap=True)


def _side(benchmark: str) -> str:
    """Which command shows the benchmark's examples."""
    return BENCHMARKS.get(benchmark).source_kind.side if benchmark in BENCHMARKS.names() else "graph"


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    return f"{estimate.score:.3f}", f"[{estimate.low:.3f}, {estimate.high:.3f}]", f"{estimate.parsed:.1%}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, default=str)
