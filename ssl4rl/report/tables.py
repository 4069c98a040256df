"""Scores as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

MAX_POSITIONS = 26
"""Most options that are listed one by one: as many as there are letters."""

Row = Mapping[str, Any]
"""An accuracy with its interval, and what belongs to it."""


def print_scores(scores: Mapping[str, Any], console: Console) -> None:
    """Prints the content of scores.json: the model's score, and every baseline on the same items."""
    from rich.table import Table

    table = Table(title=f"{scores['benchmark']} on {scores['dataset']}, {scores['model']}", title_justify="left")
    table.add_column("")
    timed = any("seconds" in row for row in scores["baselines"].values())
    for column in ("accuracy", "95 % interval", "n", "model − baseline", *(["fit"] if timed else [])):
        table.add_column(column, justify="right", no_wrap=True)
    rotated = "circular" in scores.get("readings", {})
    table.add_row("the model, circular" if rotated else "the model", *_cells(scores), style="bold")
    table.add_row(f"  lenient ({scores['lenient']['parsed']:.0%})", *_cells(scores["lenient"]))
    if scores["accuracy_parsed"] is not None:
        parsed = {"accuracy": scores["accuracy_parsed"], "low": scores["low_parsed"], "high": scores["high_parsed"]}
        table.add_row(f"  among parsed ({scores['parsed']:.0%}; valid {scores['valid']:.0%})", *_cells(parsed))
    if rotated:
        table.add_row("  vanilla", *_cells(scores["readings"]["vanilla"]))
        table.add_row("  row mean", *_cells(scores["readings"]["row_mean"]))
    for name, row in scores["baselines"].items():
        seconds = [f"{row['seconds']:.1f} s"] if "seconds" in row else []
        table.add_row(name, *_cells(row), *seconds)
    table.add_row("uniform chance", f"{scores['chance']:.3f}", "", "", "")
    console.print(table)
    if "consistency" in scores:
        _print_consistency(scores["consistency"], console)
    if scores.get("categories"):
        _print_categories(scores, console)
    _print_positions(scores, console)
    if scores["truncated"]:
        console.print(f"{scores['truncated']:.0%} of the replies were cut off; --max-new-tokens decides")
    for note in scores["notes"]:
        console.print(note, soft_wrap=True)


def _cells(row: Row) -> tuple[str, str, str, str]:
    gain, difference = row.get("model_minus_baseline"), ""
    if gain is not None:
        difference = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
    return f"{row['accuracy']:.3f}", f"{row['low']:.3f} – {row['high']:.3f}", str(row.get("n", "")), difference


def _print_consistency(consistency: Mapping[str, Any], console: Console) -> None:
    """Prints how far the answers to other forms of the same questions agree."""
    from rich.table import Table

    table = Table(f"other forms of {consistency['n']} questions", box=None)
    for column in ("prompts changed", "answered alike", "95 % interval", "accuracy", "model − form"):
        table.add_column(column, justify="right")
    for name, form in consistency["forms"].items():
        alike = ("–", "") if form["agreement"] is None else _share(form["agreement"])
        gain = {"model_minus_baseline": form["model_minus_form"], **form}
        table.add_row(name, str(form["changed"]), *alike, f"{form['accuracy']:.3f}", _cells(gain)[3])
    table.add_row("all of them", "", *_share(consistency["agreement"]), "", "")
    console.print(table)
    worst, best = (_with_interval(consistency[name]) for name in ("worst", "best"))
    console.print(f"right in every form {worst}, in any {best}")


def _share(row: Row) -> tuple[str, str]:
    return f"{row['accuracy']:.1%}", f"{row['low']:.3f} – {row['high']:.3f}"


def _print_categories(scores: Mapping[str, Any], console: Console) -> None:
    """Prints accuracy by category, each group's own means before its categories."""
    from rich.table import Table

    table = Table("by category", box=None)
    for column in ("n", "accuracy", "95 % interval", "row mean"):
        table.add_column(column, justify="right")
    groups = {group["name"]: group for group in scores["groups"]}
    for name in sorted({leaf["group"] for leaf in scores["categories"]}):
        if group := groups.get(name):
            means = (f"{group['micro']:.3f}", f"macro {group['macro']:.3f}", f"{group['row_mean']:.3f}")
            table.add_row(name, str(group["n"]), *means, style="bold")
        for leaf in scores["categories"]:
            if leaf["group"] == name:
                indent = "  " if name else ""
                interval = f"{leaf['low']:.3f} – {leaf['high']:.3f}"
                cells = (str(leaf["n"]), f"{leaf['accuracy']:.3f}", interval, f"{leaf['row_mean']:.3f}")
                table.add_row(f"{indent}{leaf['name'] or '(none)'}", *cells)
    console.print(table)
    over_groups = f", of the groups {scores['macro']['groups']:.3f}" if groups else ""
    console.print(f"mean of the categories {scores['macro']['categories']:.3f}{over_groups}")


def _print_positions(scores: Mapping[str, Any], console: Console) -> None:
    """Prints recall by the position of the right option, and how often each was picked."""
    if not 0 < len(scores["positions"]) <= MAX_POSITIONS:
        return
    parts = [f"{row['label']} {row['right']} of {row['gold']} (picked {row['picked']})" for row in scores["positions"]]
    spread = "" if scores["spread"] is None else f"; spread of recall {scores['spread']:.3f}"
    console.print(f"right by option: {', '.join(parts)}{spread}", soft_wrap=True)


def print_rescored(recorded: Mapping[str, Any], again: Mapping[str, Any], extraction: str, console: Console) -> None:
    """Prints a run's scores as they were recorded and as they are read again."""
    from rich.table import Table

    table = Table("", "recorded", extraction, box=None)
    before, after = _readings(recorded), _readings(again)
    for name in before:
        table.add_row(name, before[name], after[name])
    console.print(table)


def _readings(scores: Mapping[str, Any]) -> dict[str, str]:
    readings = {
        "accuracy": _with_interval(scores),
        "parsed": f"{scores['parsed']:.1%}",
        "valid": f"{scores['valid']:.1%}",
    }
    if "macro_f1" in scores:
        readings["macro F1"] = f"{scores['macro_f1']:.3f}"
    for name, reading in scores.get("readings", {}).items():
        readings[name] = _with_interval(reading)
    return readings


def _with_interval(row: Row) -> str:
    return f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def print_suite(rows: Sequence[Mapping[str, Any]], side: str, console: Console) -> None:
    """Prints our results above the paper's cells, a column per evaluation."""
    from rich.table import Table

    paper = "Table 5" if side == "graph" else "vision tables"
    title = f"percent, ours above the cells of the paper's {paper}"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row["name"].replace("-", "\n", 1), justify="right", no_wrap=True)
    accuracies = [f"{100 * row['accuracy']:.1f}" if "accuracy" in row else "–" for row in rows]
    intervals = [f"{100 * row['low']:.0f}–{100 * row['high']:.0f}" if "accuracy" in row else "" for row in rows]
    table.add_row("ours", *accuracies, style="bold")
    table.add_row("  interval", *intervals)
    table.add_row("  items", *(str(row.get("n", "")) for row in rows), end_section=True)
    for name in dict.fromkeys(name for row in rows for name in row["paper"]):
        cells = [row["paper"].get(name) for row in rows]
        table.add_row(name, *("" if cell is None else f"{100 * cell:.1f}" for cell in cells))
    table.add_row("  items", *(str(row["paper_n"]) for row in rows))
    console.print(table)
    console.print(VISION_NOTE if side == "vision" else GRAPH_NOTE, soft_wrap=True)


VISION_NOTE = (
    "MMBench: mean over all rows, rotated ones included, as in the paper; circular is in the runs' scores.json. "
    "ImageNet: the paper's numbers of items are the smallest that fit its decimals."
)
GRAPH_NOTE = (
    "The paper does not say which items it scored; its numbers of items are the smallest that fit its decimals. Nor "
    "does it say whether Products was asked as nodes or as links (both are compared with the same cells), or among how "
    "many relations fb15k237 and wn18rr were asked (here among 10, unless task.num_options is set)."
)
