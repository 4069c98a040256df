"""``ssl4rl data``: list, describe, fetch, convert, check and start datasets. Only ``fetch`` imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import complete_dataset
from ssl4rl.registry import GRAPHS

app = typer.Typer(no_args_is_help=True, help="List, describe, fetch, convert, check and start datasets.")

SHOWN = 50
"""Bad rows that ``validate`` prints; the rest is counted."""


def _complete_fetchable(incomplete: str) -> list[str]:
    from ssl4rl.data.graphs.taglas import RAW

    return [name for name in RAW if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False, indent=1))


def _print_rows(*rows: tuple[str, ...]) -> None:
    """Columns as wide as their widest cell; unlike a table of rich, never cut or folded when piped."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("list")
def list_datasets(as_json: Json = False) -> None:
    """The datasets that can be named, where they come from, and which are here."""
    from ssl4rl.data import DEFAULT
    from ssl4rl.data.graphs.store import FORMAT, graph_folder, read_about
    from ssl4rl.data.graphs.taglas import RAW, REPOSITORY

    found = []
    for name in GRAPHS.names():
        if name not in RAW:
            found.append({"name": name, "from": "embedded" if name == DEFAULT else "registered", "here": True})
            continue
        about = read_about(name)
        here = about is not None and about.get("format") == FORMAT
        entry = {"name": name, "from": f"{REPOSITORY}/{RAW[name].folder}", "here": here}
        found.append({**entry, "folder": str(graph_folder(name))} if here else entry)
    if as_json:
        return _print_json(found)
    rows: list[tuple[str, ...]] = []
    for entry in found:
        here = str(entry.get("folder", "ready")) if entry["here"] else f"not yet: ssl4rl data fetch {entry['name']}"
        rows.append((str(entry["name"]), str(entry["from"]), here))
    _print_rows(("name", "from", "here"), *rows)
    typer.echo("\nAny folder with nodes.csv and edges.csv is a dataset too: ssl4rl data new NAME starts one.")


@app.command()
def info(
    dataset: Annotated[str, typer.Argument(help="A name or a folder.", autocompletion=complete_dataset)],
    as_json: Json = False,
) -> None:
    """Sizes, classes, relations and splits of a dataset."""
    from ssl4rl.data import load_graph
    from ssl4rl.data.graphs.summary import summary

    graph = load_graph(dataset)
    about = summary(graph)
    if as_json:
        return _print_json({**about, "label_names": [*graph.label_names], "relation_names": [*graph.relation_names]})
    _print_rows(*_described(about))
    for title, names in (("classes", graph.label_names), ("relations", graph.relation_names)):
        if names:
            more = f" … and {len(names) - 12} more" if len(names) > 12 else ""
            typer.echo(f"{title}: {', '.join(names[:12])}{more}")
    example = next((text for text in graph.texts if text), "")
    if example:
        typer.echo(f"one text: {example[:200]}{'…' if len(example) > 200 else ''}")


def _described(about: dict[str, Any]) -> list[tuple[str, ...]]:
    """The summary as rows for a person."""

    def sizes(kind: str) -> str:
        parts = " / ".join(f"{about[f'{kind}_splits'][split]:,}" for split in ("train", "val", "test"))
        return f"{parts} (train / val / test, {'given' if about[f'{kind}_splits_from'] == 'data' else 'seeded'})"

    edges = f"{about['num_edges']:,} as the source counts them; {about['num_pairs']:,} linked pairs of nodes"
    unlabelled = about["unlabelled_nodes"] if about["num_classes"] else 0
    dropped = f"{about['self_loops']:,} self-loops, {about['duplicates']:,} repeated or reversed edges"
    return [
        ("name", about["name"]),
        (
            "nodes",
            f"{about['num_nodes']:,} (each is {about['node_meaning']}; {about['median_words']:,} words in median)",
        ),
        ("edges", edges),
        ("an edge means", f"{about['edge_meaning']} ({'directed' if about['directed'] else 'undirected'})"),
        ("dropped", dropped),
        ("without text", f"{about['empty_texts']:,} nodes"),
        ("without edges", f"{about['isolated_nodes']:,} nodes"),
        (
            "classes",
            f"{about['num_classes']:,} ({unlabelled:,} nodes have none)" if unlabelled else f"{about['num_classes']:,}",
        ),
        ("relations", f"{about['num_relations']:,}"),
        ("node splits", sizes("node")),
        ("edge splits", sizes("edge")),
    ]


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="Its name.", autocompletion=_complete_fetchable)],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take the files from here, laid out like the hub repository."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="The hub's commit to download; by default the present one.")
    ] = None,
) -> None:
    """Download a dataset (or take its files from a folder), convert it, and keep it."""
    from ssl4rl.data.graphs.fetch import fetch as fetch_dataset
    from ssl4rl.data.graphs.store import graph_folder
    from ssl4rl.data.graphs.taglas import REPOSITORY
    from ssl4rl.errors import UserError

    if source is not None and revision is not None:
        raise UserError("--revision is the hub's; it does not go with --from")
    typer.echo(f"fetching {dataset} from {source or REPOSITORY}", err=True)
    graph = fetch_dataset(dataset, source, revision)
    typer.echo(
        f"{graph.name}: {graph.num_nodes:,} nodes, {graph.counts['edges']:,} edges, now in {graph_folder(graph.name)}"
    )


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="A name or a folder.", autocompletion=complete_dataset)],
    folder: Annotated[Path, typer.Argument(help="The folder to write; it is a dataset of its own.")],
) -> None:
    """Convert a graph once into files that open at once, whatever its size."""
    from ssl4rl.data import load_graph
    from ssl4rl.data.graphs.store import write_graph

    graph = load_graph(dataset)
    write_graph(graph, {"dataset": dataset}, folder)
    typer.echo(f"{graph.name}: {graph.num_nodes:,} nodes, {graph.num_edges:,} edges, now in {folder}")


@app.command()
def validate(folder: Annotated[Path, typer.Argument(help="Your folder.")], as_json: Json = False) -> None:
    """Check a folder of plain files and name every bad row; exit code 2 if there is one."""
    from ssl4rl.data.graphs.folder import check_folder
    from ssl4rl.data.graphs.summary import summary

    report = check_folder(folder)
    about = None if report.graph is None else summary(report.graph)
    if as_json:
        _print_json({"folder": str(folder), "valid": about is not None, "problems": report.problems, "summary": about})
    elif about is not None:
        typer.echo(f"{folder} is valid.")
        _print_rows(*_described(about))
    else:
        for problem in report.problems[:SHOWN]:
            typer.echo(problem)
        more = len(report.problems) - SHOWN
        if more > 0:
            typer.echo(f"… and {more:,} more (--json prints all)")
        plural = "s" if len(report.problems) > 1 else ""
        typer.echo(f"{len(report.problems):,} problem{plural} in {folder}", err=True)
    if about is None:
        raise typer.Exit(2)


@app.command()
def new(folder: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to write.")]) -> None:
    """Write a small, commented dataset folder to start from."""
    from ssl4rl.templates import write_skeleton

    write_skeleton(folder)
    typer.echo(
        f"wrote {folder}/nodes.csv, edges.csv and dataset.yaml; put your rows in, then: ssl4rl data validate {folder}"
    )
