"""``ssl4rl data``: list, describe, fetch, convert, validate and start datasets. Only ``fetch`` imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from ssl4rl.build import Use
    from ssl4rl.graph.graph import TextAttributedGraph

app = typer.Typer(no_args_is_help=True, help="List, describe, fetch, convert, validate and start datasets.")

SHOWN = 50
"""Problems that ``validate`` prints; the rest are counted."""


def _complete_source(incomplete: str) -> list[str]:
    from ssl4rl.registry import SOURCE_KINDS

    names = [name for kind in SOURCE_KINDS.names() for name in SOURCE_KINDS.get(kind).registry.names()]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _complete_kind(incomplete: str) -> list[str]:
    from ssl4rl.registry import SOURCE_KINDS

    return [name for name in SOURCE_KINDS.names() if name.startswith(incomplete)]


def _complete_graph(incomplete: str) -> list[str]:
    from ssl4rl.registry import GRAPHS

    return [name for name in GRAPHS.names() if name.startswith(incomplete)]


def _complete_fetchable(incomplete: str) -> list[str]:
    from ssl4rl.data.graphs.taglas_raw import RAW

    return [name for name in RAW if name.startswith(incomplete)]


Dataset = Annotated[
    str, typer.Argument(metavar="NAME|PATH", help="A name, a folder or a file.", autocompletion=_complete_source)
]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="What it is, if its name or files could mean several.", autocompletion=_complete_kind),
]


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; unlike a table of rich, never cut or folded when piped."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("list")
def list_datasets(as_json: JsonOption = False) -> None:
    """The registered datasets of every kind, where they come from, and which are here."""
    from ssl4rl.registry import SOURCE_KINDS

    kinds = [SOURCE_KINDS.get(name) for name in SOURCE_KINDS.names()]
    sources = [kind.entry(name) for kind in kinds for name in kind.registry.names()]
    if as_json:
        return print_json(*sources)
    rows = [("name", "kind", "from", "here")]
    for source in sources:
        state = source.get("folder", "ready") if source["here"] else f"not yet: ssl4rl data fetch {source['name']}"
        rows.append((source["name"], source["kind"], source["from"], state))
    _print_rows(rows)
    typer.echo("\nA folder or file of your own is a dataset too; ssl4rl data new NAME starts a graph.")


@app.command()
def info(dataset: Dataset, kind: Kind = None, as_json: JsonOption = False) -> None:
    """Sizes, classes, splits and the like of a dataset."""
    from ssl4rl.build import find_kind

    source_kind = find_kind(dataset, kind)
    summary = source_kind.summarise(source_kind.load(dataset))
    if as_json:
        return print_json({"kind": source_kind.name, **summary.facts})
    _print_rows([("kind", source_kind.name), *summary.rows])
    for line in summary.details:
        typer.echo(line)
    for warning in summary.facts.get("warnings", ()):
        typer.echo(f"warning: {warning}")


@app.command()
def validate(dataset: Dataset, kind: Kind = None, as_json: JsonOption = False) -> None:
    """Check a dataset and name every problem, and every task that cannot use it; exit code 2 if there is a problem."""
    from ssl4rl.build import find_kind, uses_of_benchmarks, uses_of_tasks

    source_kind = find_kind(dataset, kind)
    report = source_kind.validate(dataset)
    tasks = {} if report.problems else uses_of_tasks(dataset, source_kind)
    benchmarks = {} if report.problems else uses_of_benchmarks(dataset, source_kind)
    facts = {} if report.summary is None else report.summary.facts
    warnings = list(facts.get("warnings", ()))
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "kind": source_kind.name,
                "valid": not report.problems,
                "problems": list(report.problems),
                "skipped": dict(report.skipped),
                "warnings": warnings,
                "tasks": {name: _use(use) for name, use in tasks.items()},
                "benchmarks": {name: _use(use) for name, use in benchmarks.items()},
                "summary": None if report.summary is None else facts,
            }
        )
    else:
        _print_problems(
            dataset, report.problems, any(not use.reason for use in (*tasks.values(), *benchmarks.values()))
        )
        if report.skipped:
            word = "not read" if report.problems else "skipped"
            typer.echo(f"{word}: {', '.join(f'{count:,} {noun}' for noun, count in report.skipped.items())}")
        if report.summary is not None and not report.problems:
            rows = [(f"task {name}", _use_of_task(use)) for name, use in tasks.items()]
            rows += [(f"benchmark {name}", _use_of_benchmark(use)) for name, use in benchmarks.items()]
            _print_rows([*report.summary.rows, *rows])
        for warning in warnings:
            typer.echo(f"warning: {warning}")
    if report.problems:
        raise typer.Exit(2)


def _use(use: Use) -> dict[str, Any]:
    return {"usable": not use.reason, "reason": use.reason, "distinct": dict(use.distinct)}


def _use_of_task(use: Use) -> str:
    from ssl4rl.build import DRAWN

    if use.reason:
        return f"cannot use it: {use.reason}"
    counts = [f"{number} distinct items in {DRAWN} examples of {split}" for split, number in use.distinct.items()]
    return f"can use it: {', '.join(counts)}"


def _use_of_benchmark(use: Use) -> str:
    return f"cannot use it: {use.reason}" if use.reason else f"can use it: {use.distinct['test']:,} questions in test"


def _print_problems(dataset: str, problems: Sequence[str], is_usable: bool) -> None:
    if not problems:
        return typer.echo(f"{dataset} is valid{'.' if is_usable else ', but no task or benchmark can use it:'}")
    for problem in problems[:SHOWN]:
        typer.echo(problem)
    if len(problems) > SHOWN:
        typer.echo(f"… and {len(problems) - SHOWN:,} more (--json prints all)")
    counted = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''} in {dataset}"
    typer.echo(f"{counted}; it cannot be used until they are fixed or deleted", err=True)


def _facts(graph: TextAttributedGraph, folder: Path) -> dict[str, Any]:
    """A graph that was written, and where."""
    counts = {"nodes": graph.num_nodes, "edges": graph.num_edges}
    return {"name": graph.name, **counts, "fingerprint": graph.fingerprint, "folder": str(folder)}


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="Its name.", autocompletion=_complete_fetchable)],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take the files from here, laid out like the hub repository."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The hub's commit to download; the latest by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a graph (or take its files from a folder), convert it, and keep it."""
    from ssl4rl.data.graphs.fetch import fetch as fetch_dataset
    from ssl4rl.data.graphs.store import graph_folder
    from ssl4rl.data.graphs.taglas_raw import REPOSITORY
    from ssl4rl.errors import UserError

    if source is not None and revision is not None:
        raise UserError("--revision names a commit of the hub; leave it out with --from")
    typer.echo(f"fetching {dataset} from {source or REPOSITORY}", err=True)
    graph = fetch_dataset(dataset, source, revision)
    if as_json:
        return print_json(_facts(graph, graph_folder(graph.name)))
    typer.echo(
        f"{graph.name}: {graph.num_nodes:,} nodes, {graph.counts['edges']:,} edges, now in {graph_folder(graph.name)}"
    )


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="A graph: a name or a folder.", autocompletion=_complete_graph)],
    folder: Annotated[Path, typer.Argument(help="The folder to write; it is a dataset itself.")],
    as_json: JsonOption = False,
) -> None:
    """Convert a graph into files that open at once, whatever its size.

    Rows are read one after another, so that tables may be larger than memory. A conversion into the same folder leaves
    the one before there, for jobs that read it.
    """
    from ssl4rl.data.graphs.store import convert as convert_graph

    graph = convert_graph(dataset, folder)
    if as_json:
        return print_json(_facts(graph, folder))
    typer.echo(f"{graph.name}: {graph.num_nodes:,} nodes, {graph.num_edges:,} edges, now in {folder}")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to write.")], as_json: JsonOption = False
) -> None:
    """Write a small, commented graph folder to start from."""
    from ssl4rl.templates import write_skeleton

    write_skeleton(folder)
    if as_json:
        return print_json({"folder": str(folder), "files": sorted(file.name for file in folder.iterdir())})
    typer.echo(
        f"wrote {folder}/nodes.csv, edges.csv and dataset.yaml; put your rows in, then: ssl4rl data validate {folder}"
    )
