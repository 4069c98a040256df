"""The metrics of ranking as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_HITS = ("1", "3", "10")


def print_ranking(scores: Mapping[str, Any], console: Console) -> None:
    """Prints the model's ranking metrics from scores.json, and every baseline's on the same queries."""
    from rich.table import Table

    ranking = scores["ranking"]
    title = f"{scores['benchmark']} on {scores['dataset']}, {scores['model']}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    hits = [k for k in SHOWN_HITS if k in ranking["hits"]]
    for column in ("MRR", "95 % interval", *(f"Hits@{k}" for k in hits), "AUC", "AP"):
        table.add_column(column, justify="right", no_wrap=True)
    if any("seconds" in row for row in scores["baselines"].values()):
        table.add_column("fit, s", justify="right", no_wrap=True)
    table.add_row("the model", *_cells(ranking, hits), style="bold")
    for side, row in ranking.get("sides", {}).items():
        table.add_row(f"  {side}", *_cells(row, hits))
    for name, row in scores["baselines"].items():
        part = "" if row["n"] == scores["n"] else f" (first {row['n']})"
        seconds = [f"{row['seconds']:.1f}"] if "seconds" in row else []
        table.add_row(f"{name}{part}", *_cells(row["ranking"], hits), *seconds)
    table.add_row("at random", *_cells(ranking["chance"], hits))
    console.print(table)
    gains = [f"{name} {_gain(row['model_minus_baseline'])}" for name, row in scores["baselines"].items()]
    if gains:
        console.print(f"MRR, model − baseline, in points: {'; '.join(gains)}", soft_wrap=True)
    sizes = ranking["candidates"]
    each = f"{sizes['most']}" if sizes["least"] == sizes["most"] else f"{sizes['least']} to {sizes['most']}"
    console.print(
        f"{ranking['queries']} queries about {ranking['edges']} edges, {each} candidates each; mean rank "
        f"{ranking['mean_rank']:.1f}; the right one ties with others in {ranking['tied']:.0%}",
        soft_wrap=True,
    )


def _gain(gain: Mapping[str, float]) -> str:
    return f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _cells(row: Mapping[str, Any], hits: list[str]) -> list[str]:
    mrr = row["mrr"]
    bounds = f"{mrr['low']:.3f} – {mrr['high']:.3f}" if isinstance(mrr, Mapping) else ""
    shares = [_value(row["hits"].get(k)) for k in hits]
    return [_value(mrr), bounds, *shares, _value(row.get("auc")), _value(row.get("average_precision"))]


def _value(metric: Mapping[str, float] | float | None) -> str:
    """A metric with or without its interval; empty where there is none."""
    value = metric["value"] if isinstance(metric, Mapping) else metric
    return "" if value is None else f"{value:.3f}"
