"""``ssl4rl doctor``: what is installed, what will not work, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ssl4rl.cli.options import JsonOption, print_json


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", help="A folder or a hub name: whether it can be used here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Examines versions, hardware, extras, disk, the hub and a model; exits with 1 if something will not work."""
    from ssl4rl.doctor import examine
    from ssl4rl.inference.environment import prepare_environment

    prepare_environment()
    facts = examine(model)
    if as_json:
        print_json(facts)
    else:
        for name, text in _rows(facts):
            typer.echo(f"{name:<15} {text}")
        for problem in facts["problems"]:
            typer.secho(f"problem: {problem['problem']}", fg="red")
            typer.echo(f"    fix: {problem['fix']}")
        found = len(facts["problems"])
        typer.echo(f"{found} problem{'s' if found > 1 else ''}" if found else "no problems found")
    raise typer.Exit(1 if facts["problems"] else 0)


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "python", f"{facts['python']} on {facts['platform']}"
    yield "packages", ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    memory = f", {facts['memory_gb']} GB of memory" if facts["memory_gb"] else ""
    yield "hardware", f"{facts['cpus']} CPUs{memory}, {', '.join(facts['gpus']) or 'no GPU'}"
    yield "threads", f"{facts['threads']} (OMP_NUM_THREADS {facts['variables'].get('OMP_NUM_THREADS', 'not set')})"
    yield "extras", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in facts["extras"].items())
    for row in facts["disk"]:
        state = "" if row["writable"] else ", cannot be written"
        yield row["what"], f"{row['folder']}: {row['free_gb']} GB free{state}"
    hub = facts["hub"]
    state = {True: "reachable", False: "not reachable", None: "not tried"}[hub["reachable"]]
    reason = f" ({hub['why']})" if hub["why"] else ""
    yield "hub", f"{hub['address']}: {state}{reason}"
    model = facts.get("model")
    if model is not None and model["usable"]:
        images = "reads images" if model["reads_images"] else "reads no images"
        yield (
            "model",
            f"{model['name']} ({model['kind']}) can be used, {images}, has {model['context_length']:,} tokens",
        )
        yield "", f"replies end with {' '.join(model['ends_replies_with'])}"
        for note in model["notes"]:
            yield "", note
