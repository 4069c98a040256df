"""How a curriculum moved: of each rung, its share of the prompts and its estimated pass rate over the run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ssl4rl.errors import UserError
from ssl4rl.runs import Run

SHARE, PASS_RATE = "share/", "pass_rate/"
BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 50
"""Characters of a plot; each is the mean over as many steps."""


def rung_lines(run: Run) -> list[str]:
    """A plot of the shares of each rung, from the first step to the last, with its first and last pass rate.

    Raises:
        UserError: for a run without a curriculum.
    """
    steps = [line for line in run.metrics() if any(name.startswith(SHARE) for name in line)]
    if not steps:
        raise UserError(f"{run.path} has no rungs: its difficulty is fixed, and its tasks have constant shares")
    names = [name.removeprefix(SHARE) for name in steps[0] if name.startswith(SHARE)]
    width = max(map(len, names))
    highest = max(max(_means([step[SHARE + name] for step in steps])) for name in names)
    lines = [f"shares of the prompts, steps {steps[0]['step']} to {steps[-1]['step']}; a full block is {highest:.0%}"]
    for name in names:
        shares, rates = ([step[kind + name] for step in steps] for kind in (SHARE, PASS_RATE))
        plot = "".join(BLOCKS[round((len(BLOCKS) - 1) * mean / highest)] for mean in _means(shares))
        lines.append(f"{name:<{width}} |{plot}| {shares[-1]:4.0%}, pass rate {rates[0]:.2f} → {rates[-1]:.2f}")
    return lines


def _means(values: Sequence[float]) -> list[float]:
    """The means of at most ``WIDTH`` parts of the values, in order."""
    parts = min(WIDTH, len(values))
    edges = [part * len(values) // parts for part in range(parts + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
