"""The paper's tables beside ours: in the terminal after ``eval --suite paper``, and as pages of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ssl4rl.evaluation.paper.views import UNSTATED, Column, View, ours, views

if TYPE_CHECKING:
    from rich.console import Console

NO_RUN = "–"


def print_suite(rows: Sequence[Mapping[str, Any]], side: str, console: Console) -> None:
    """Prints each table of the paper, its columns as rows and ours before its cells.

    Below it are what is known to be wrong in it, what was not run and why, and what to know to compare.
    """
    from rich.measure import Measurement
    from rich.table import Table

    evaluated = {row["name"]: row for row in rows}
    noted = set()
    for view in views(side):
        title = f"Table {view.number}. {view.title} (percent)"
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        table.add_column("", no_wrap=True)
        for name in ("ours", "items", *view.row_names, *(["gain"] if view.columns[0].gain else [])):
            table.add_column(_broken(name), justify="right", no_wrap=True)
        for column in view.columns:
            cells = [f"{column.cells[name]:.2f}" for name in view.row_names]
            table.add_row(column.name, *_ours(column, evaluated), *cells, *([column.gain] if column.gain else []))
        # Wider than the terminal rather than cut.
        whole = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        console.width = max(console.width, whole)
        console.print(table)
        for error in view.errors:
            console.print(f"  remark: {error}", soft_wrap=True)
        for reason, runs in _missing(view, evaluated).items():
            console.print(f"  missing: {', '.join(runs)}: {reason}", soft_wrap=True)
        if view.benchmark not in noted:
            console.print(f"  note: {UNSTATED[view.benchmark]}", soft_wrap=True)
            noted.add(view.benchmark)
        console.print()


def _missing(view: View, evaluated: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The runs that a table needs and that were left out, by the reason."""
    missing: dict[str, list[str]] = {}
    for run in view.runs:
        if reason := evaluated.get(run, {}).get("left_out"):
            missing.setdefault(reason, []).append(run)
    return missing


def _broken(name: str) -> str:
    """A row's name in two lines, so that a table of ten of them fits a terminal."""
    return name.replace(" ", "\n", 1) if " " in name else name.replace("-", "-\n", 1)


def _ours(column: Column, evaluated: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Our results of a column's runs, with intervals where there are any, and their numbers of items."""
    results = ours(column, evaluated)
    shown = []
    for result in results:
        if result is None:
            shown.append(NO_RUN)
            continue
        interval = f" [{100 * result['low']:.1f}, {100 * result['high']:.1f}]" if "low" in result else ""
        shown.append(f"{100 * result['accuracy']:.1f}{interval}")
    items = [str(result.get("n", "")) if result else NO_RUN for result in results]
    return ("\n".join(shown), "\n".join(items)) if results else (NO_RUN, NO_RUN)


def file_name(view: View) -> str:
    """The name of a table's page."""
    return f"table-{view.number:02d}.md"


def paper_pages() -> dict[str, str]:
    """The pages about the paper's tables, by file name: one for each, and README.md, which lists them."""
    shown = views()
    pages = {file_name(view): _page(view) for view in shown}
    lines = [
        "# The paper's tables",
        "",
        "One page for each table of results of the SSL4RL paper: its cells, what each column is here, what recomputing",
        "them shows, and how to run it. `ssl4rl graph|vision eval --suite paper` prints the same tables with the",
        "results of a model. `python -m tools.write_paper` writes these pages.",
        "",
        "| table | what | remarks |",
        "|---|---|---|",
        *(f"| [Table {view.number}]({file_name(view)}) | {view.title} | {len(view.errors)} |" for view in shown),
    ]
    return {**pages, "README.md": "\n".join(lines) + "\n"}


def _page(view: View) -> str:
    gains = ["gain"] if view.columns[0].gain else []
    head = ["column", "here", *view.row_names, *gains]
    lines = [
        f"# Table {view.number}: {view.title}",
        "",
        "[All tables](README.md). Cells are the paper's, in percent; `python -m tools.write_paper` writes this page.",
        "",
        _row(head),
        _row(["---", "---", *["---:"] * (len(head) - 2)]),
    ]
    for column in view.columns:
        cells = [f"{column.cells[name]:.2f}" for name in view.row_names]
        lines.append(_row([column.name, _here(column), *cells, *([column.gain] if gains else [])]))
    lines += ["", "## What is known to be wrong or unclear in it", ""]
    lines += [f"- {error}." for error in view.errors] or ["Nothing."]
    lines += ["", "## To run it here", "", "```", _command(view), "```", "", UNSTATED[view.benchmark]]
    return "\n".join([*lines, "", _needed(view)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _here(column: Column) -> str:
    runs = ", ".join(f"`{run}`" for run in column.runs)
    if not runs:
        return "mean of the columns"
    return f"{runs}: {column.part}" if column.part else runs


def _command(view: View) -> str:
    data = "" if view.side == "graph" else " --dataset FOLDER"
    return f"ssl4rl {view.side} eval --suite paper{data} --model MODEL --output RUNS"


def _needed(view: View) -> str:
    """What this project does not bring and the table needs."""
    task = "link" if view.side == "graph" else "rotation"
    train = f"`ssl4rl {view.side} train --task {task} --level paper`"
    data = {
        "graph": "The graphs come from the hub (`ssl4rl data fetch NAME`).",
        "mmbench": "FOLDER holds MMBench's DEV-EN as `mmbench*.tsv`.",
        "seedbench": "FOLDER holds `seedbench*.tsv` (SEEDBench_IMG).",
        "imagenet": "FOLDER holds ImageNet's images in a folder `imagenet`; they are licensed for research only.",
    }
    return (
        f"{data[view.benchmark]} MODEL is the base model for the first row, and for each other row one that was "
        f"trained on its task ({train}, and so on), in the paper on eight GPUs of 80 GB."
    )
