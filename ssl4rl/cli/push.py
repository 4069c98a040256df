"""``ssl4rl push RUN|EXPORT REPO``: to the Hugging Face hub, with a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json


def push(
    folder: Annotated[Path, typer.Argument(metavar="RUN|EXPORT", help="A finished run, or a folder of examples.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; it is made if there is none.")],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option("--eval", metavar="RUN", help="Repeatable: an evaluation of the model, for the card."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="Of what is pushed, as the hub names it: apache-2.0.")
    ] = None,
    data_licence: Annotated[
        str | None, typer.Option("--data-license", metavar="TEXT", help="Of the data that the examples are cut from.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Everyone can see a repository that is made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the card; send nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sends a run's model, or exported examples, to the Hugging Face hub, with a card that tells what the run recorded.

    The card has the task, the data and its licence, scores with intervals and controls, limits and the recipe.
    """
    from ssl4rl.hub.push import CARD, prepare
    from ssl4rl.hub.push import push as send

    upload = prepare(folder, repo, licence=licence, data_licence=data_licence, evaluations=evaluation or ())
    if dry_run and not as_json:
        typer.echo(upload.card)
    for remark in upload.remarks:
        typer.echo(f"note: {remark}", err=True)
    address = None if dry_run else send(upload, public=public)
    files = [CARD, *upload.files]
    if as_json:
        facts = {"repo": repo, "kind": upload.kind, "address": address, "files": files, "bytes": upload.size}
        print_json(facts | ({"card": upload.card} if dry_run else {}))
        return
    verb = "would send" if dry_run else "sent"
    typer.echo(
        f"{verb} {len(files)} files, {upload.size / 1e6:,.1f} MB{f', to {address}' if address else ''}", err=dry_run
    )
    if address:
        name = repo if upload.kind == "model" else f"datasets/{repo}"
        typer.echo(f"get it with: ssl4rl pull {name}")
