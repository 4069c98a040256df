"""``ssl4rl pull REPO``: a model or exported examples from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl4rl.cli.options import JsonOption, print_json


def pull(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; datasets/OWNER/NAME is no model.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder to write; one called NAME here by default.")
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="A commit, branch or tag.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Downloads a model or exported examples; of a model, nothing that could run code."""
    from ssl4rl.hub.pull import pull as fetch

    found = fetch(repo, output, revision)
    if as_json:
        facts = {"repo": found.repo, "kind": found.kind, "revision": found.revision, "folder": str(found.folder)}
        print_json({**facts, "files": found.files, "left_out": found.left_out})
        return
    typer.echo(f"{len(found.files)} files of {found.repo} ({found.revision[:12]}) are now in {found.folder}")
    if found.left_out:
        typer.echo(f"left out, as they could hold code: {', '.join(found.left_out)}", err=True)
    if found.is_model:
        typer.echo(f"use it with: --model {found.folder}")
    elif "manifest.json" in found.files:
        typer.echo(f"check it with: ssl4rl export --verify {found.folder}")
