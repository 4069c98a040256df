"""``ssl4rl docs``: where to read on."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer


def docs(
    agent: Annotated[
        bool, typer.Option("--agent", help="Print the guide for coding agents: from data to a result in 150 lines.")
    ] = False,
) -> None:
    """Says where the documentation is; with --agent, prints the guide that comes with the package."""
    if agent:
        typer.echo((files("ssl4rl") / "templates" / "agent" / "SKILL.md").read_text(encoding="utf-8"), nl=False)
        return
    typer.echo("the pages are docs/ in the repository; `make docs` there builds them as a site")
    typer.echo("with the package come: ssl4rl docs --agent (a guide of 150 lines), and --help of every command")
