"""Scores as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ssl4rl.report.ranking import print_ranking

if TYPE_CHECKING:
    from rich.console import Console

MAX_POSITIONS = 26
"""Most options that are listed one by one: as many as there are letters."""

Row = Mapping[str, Any]
"""An accuracy with its interval, and what belongs to it."""


def print_scores(scores: Mapping[str, Any], console: Console) -> None:
    """Prints the content of scores.json: the model's score, and every baseline on the same items."""
    if scores["accuracy"] is None:
        _print_unscored(scores, console)
        return
    ranked = "ranking" in scores
    (print_ranking if ranked else _print_accuracy)(scores, console)
    if "samples" in scores:
        _print_samples(scores["samples"], console)
    if "consistency" in scores:
        _print_consistency(scores["consistency"], console)
    if scores.get("categories"):
        _print_categories(scores, console)
    _print_labels(scores, console)
    if not ranked:
        _print_positions(scores, console)
    _print_tokens(scores["tokens"], console)
    if scores["truncated"]:
        console.print(f"{scores['truncated']:.0%} of the replies were cut off; --max-new-tokens decides")
    for note in scores["notes"]:
        console.print(note, soft_wrap=True)


def _print_accuracy(scores: Mapping[str, Any], console: Console) -> None:
    from rich.table import Table

    title = f"{scores['benchmark']} on {scores['dataset']}, {scores['model']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    timed = any("seconds" in row for row in scores["baselines"].values())
    for column in ("accuracy", "95 % interval", "n", "model − baseline", *(["fit, s"] if timed else [])):
        table.add_column(column, justify="right", no_wrap=True)
    rotated = "circular" in scores.get("readings", {})
    name = "the model" + (", circular" if rotated else "") + (", first reply" if "samples" in scores else "")
    table.add_row(name, *_cells(scores), style="bold")
    table.add_row(f"  lenient ({scores['lenient']['parsed']:.0%})", *_cells(scores["lenient"]))
    if scores["accuracy_parsed"] is not None:
        parsed = {"accuracy": scores["accuracy_parsed"], "low": scores["low_parsed"], "high": scores["high_parsed"]}
        table.add_row(f"  among parsed ({scores['parsed']:.0%}; valid {scores['valid']:.0%})", *_cells(parsed))
    if rotated:
        table.add_row("  vanilla", *_cells(scores["readings"]["vanilla"]))
        table.add_row("  row mean", *_cells(scores["readings"]["row_mean"]))
    for name, row in scores["baselines"].items():
        seconds = [f"{row['seconds']:.1f}"] if "seconds" in row else []
        table.add_row(name, *_cells(row), *seconds)
    table.add_row("uniform chance", f"{scores['chance']:.3f}", "", "", "")
    console.print(table)


def _print_unscored(scores: Mapping[str, Any], console: Console) -> None:
    """Prints what there is to say where the right answers are not known."""
    title = f"{scores['benchmark']} on {scores['dataset']}, {scores['model']}"
    console.print(f"{title}: {scores['rows']} replies, {scores['valid']:.0%} of them an option of their question")
    rows, file = scores["submission"]["rows"], scores["submission"]["file"]
    console.print(f"{file} in the run has {rows} rows of the table, for the benchmark's site to score")
    for note in scores["notes"]:
        console.print(note, soft_wrap=True)


def _cells(row: Row) -> tuple[str, str, str, str]:
    gain, difference = row.get("model_minus_baseline"), ""
    if gain is not None:
        difference = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
    return f"{row['accuracy']:.3f}", f"{row['low']:.3f} – {row['high']:.3f}", str(row.get("n", "")), difference


def _print_tokens(tokens: Mapping[str, Any], console: Console) -> None:
    """Prints what was read and written, if anything was written."""
    if tokens["reply"]:
        prompts = "prompts were not counted" if tokens["prompt"] is None else f"{tokens['prompt']:,} of prompts"
        console.print(f"tokens: {tokens['reply']:,} of replies, {tokens['mean_reply']:.1f} each; {prompts}")


def _print_samples(samples: Mapping[str, Any], console: Console) -> None:
    """Prints what more replies to a question are worth, and what they cost."""
    from rich.table import Table

    table = Table("k replies", box=None)
    for column in ("pass@k", "95 % interval", "majority@k", "95 % interval", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in samples["budget"]:
        table.add_row(str(row["k"]), *_share(row["pass"]), *_share(row["majority"]), f"{row['tokens']:,.0f}")
    console.print(table)
    console.print("pass@k: one of k replies is right; majority@k: the most frequent of their answers is")


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


def _print_labels(scores: Mapping[str, Any], console: Console) -> None:
    """Prints what is known of the answers as classes and as probabilities, in a line."""
    parts = []
    if "macro_f1" in scores and "ranking" not in scores:
        parts += [f"macro-F1 {scores['macro_f1']:.3f}", f"balanced accuracy {scores['balanced_accuracy']:.3f}"]
    if calibration := scores["calibration"]:
        gap = f"mean confidence {calibration['confidence']:.3f}, {calibration['bins']} bins"
        parts.append(f"calibration error {calibration['error']:.3f} ({gap})")
    if scores["hallucinated"]:
        parts.append(f"{scores['hallucinated']:.1%} of the replies name a class that is not offered")
    if parts:
        console.print("; ".join(parts), soft_wrap=True)


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
        "hallucinated": f"{scores['hallucinated']:.1%}",
    }
    if "macro_f1" in scores:
        readings["macro F1"] = f"{scores['macro_f1']:.3f}"
        readings["balanced accuracy"] = f"{scores['balanced_accuracy']:.3f}"
    for name, reading in scores.get("readings", {}).items():
        readings[name] = _with_interval(reading)
    return readings


def _with_interval(row: Row) -> str:
    return f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
