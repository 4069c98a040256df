"""How a curriculum moved: of each rung, its share of the prompts and its estimated pass rate over the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ssl4rl.errors import UserError
from ssl4rl.runs import Run

SHARE, PASS_RATE = "share/", "pass_rate/"
BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 50
"""Characters of a plot; each is the mean over as many steps."""


@dataclass(frozen=True)
class Rung:
    """A rung of a curriculum, step by step."""

    rung: str
    steps: list[int]
    shares: list[float]
    """Of the prompts."""
    pass_rates: list[float]


def rungs_of(run: Run) -> list[Rung]:
    """What the run recorded of each rung.

    Raises:
        UserError: for a run without a curriculum.
    """
    lines = [line for line in run.metrics() if any(name.startswith(SHARE) for name in line)]
    if not lines:
        raise UserError(f"{run.path} has no rungs: its difficulty is fixed, and its tasks have constant shares")
    steps = [line["step"] for line in lines]
    names = [name.removeprefix(SHARE) for name in lines[0] if name.startswith(SHARE)]
    return [
        Rung(name, steps, *([line[kind + name] for line in lines] for kind in (SHARE, PASS_RATE))) for name in names
    ]


def rung_lines(run: Run) -> list[str]:
    """A plot of the shares of each rung, from the first step to the last, with its first and last pass rate.

    Raises:
        UserError: for a run without a curriculum.
    """
    rungs = rungs_of(run)
    width = max(len(each.rung) for each in rungs)
    highest = max(max(_means(each.shares)) for each in rungs)
    steps = rungs[0].steps
    lines = [f"shares of the prompts, steps {steps[0]} to {steps[-1]}; a full block is {highest:.0%}"]
    for each in rungs:
        plot = "".join(BLOCKS[round((len(BLOCKS) - 1) * mean / highest)] for mean in _means(each.shares))
        rates = f"pass rate {each.pass_rates[0]:.2f} → {each.pass_rates[-1]:.2f}"
        lines.append(f"{each.rung:<{width}} |{plot}| {each.shares[-1]:4.0%}, {rates}")
    return lines


def _means(values: Sequence[float]) -> list[float]:
    """The means of at most ``WIDTH`` parts of the values, in order."""
    parts = min(WIDTH, len(values))
    edges = [part * len(values) // parts for part in range(parts + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
