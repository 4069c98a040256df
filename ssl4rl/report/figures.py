"""What reports draw, by matplotlib as SVG: first of all the curves of a run, what it learned over its steps."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ssl4rl.report.blocks import Table

MOST_POINTS = 150
"""Points of a curve; each is the mean over as many steps as that takes."""
SIZE = 5.6, 3.0
"""Inches. Wider than a phone, so letters stay readable there."""
COLORS = ("#1f5fbf", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#a16207", "#be185d", "#4b5563")
"""Each has a contrast of at least 4.5 to 1 on white, and on black when inverted."""


@dataclass(frozen=True)
class Point:
    """A value at a step, with its interval if it has one."""

    step: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Figure:
    """Curves over the steps of a run."""

    name: str
    """As part of a file's name."""
    title: str
    curves: Mapping[str, Sequence[Point]]
    between: tuple[float, float] | None = (0.0, 1.0)
    """The ends of the axis; None fits them to the values."""

    @property
    def table(self) -> Table:
        """The same as a table, for those who do not see it: a row for each step."""
        steps = sorted({point.step for points in self.curves.values() for point in points})
        at = {name: {point.step: point for point in points} for name, points in self.curves.items()}
        rows = [[f"{step:g}", *(_cell(at[name].get(step)) for name in self.curves)] for step in steps]
        return Table(self.title, ["step", *self.curves], rows)

    @property
    def in_words(self) -> str:
        """From where to where each curve goes."""
        ends = [f"{name} from {_cell(points[0])} to {_cell(points[-1])}" for name, points in self.curves.items()]
        return f"{self.title}: {'; '.join(ends)}"

    def svg(self) -> bytes:
        """The drawing: the same bytes for the same values."""
        return drawn_svg(self.name, SIZE, self._draw)

    def _draw(self, canvas: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = canvas.add_subplot()
        for number, (name, points) in enumerate(self.curves.items()):
            _draw(axes, name, points, COLORS[number % len(COLORS)])
        if self.between is not None:
            axes.set_ylim(self.between[0] - 0.02, self.between[1] + 0.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#d4d4d8", linewidth=0.6)
        axes.set_xlabel("step")
        if len(self.curves) > 1:
            canvas.legend(loc="outside lower left", ncols=2, frameon=False)


def drawn_svg(name: str, size: tuple[float, float], draw: Callable[[Any], None]) -> bytes:
    """What ``draw`` puts on a canvas of that size in inches, as SVG: the same bytes for the same drawing.

    Its letters are text, so that they can be searched and read aloud, and no name is read as mathematics.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas)
        for text in canvas.findobj(Text):
            text.set_parse_math(False)
        written = io.BytesIO()
        canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()


def _draw(axes: Any, name: str, points: Sequence[Point], color: str) -> None:
    steps, values = [point.step for point in points], [point.value for point in points]
    # A leading underscore would hide a name from the legend.
    label = f"\u200b{name}" if name.startswith("_") else name
    axes.plot(steps, values, color=color, linewidth=1.6, marker="o" if len(points) < 30 else None, ms=3, label=label)
    bounded = [point for point in points if point.low is not None and point.high is not None]
    if bounded:
        low, high = ([getattr(point, end) for point in bounded] for end in ("low", "high"))
        axes.fill_between([point.step for point in bounded], low, high, color=color, alpha=0.15, linewidth=0)


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    bounds = "" if point.low is None else f" [{point.low:.3f}, {point.high:.3f}]"
    return f"{point.value:.3g}{bounds}" if point.value >= 10 else f"{point.value:.3f}{bounds}"


def curve(metrics: Iterable[Mapping[str, Any]], key: str) -> list[Point]:
    """The values of a key over the steps, as the means of at most 150 parts."""
    lines = [line for line in metrics if key in line]
    parts = min(MOST_POINTS, len(lines))
    edges = [part * len(lines) // parts for part in range(parts + 1)] if parts else []
    points = []
    for start, end in pairwise(edges):
        part = lines[start:end]
        step = part[0]["step"] if len(part) == 1 else sum(line["step"] for line in part) / len(part)
        points.append(Point(step, sum(line[key] for line in part) / len(part)))
    return points


def figure_of(
    metrics: Sequence[Mapping[str, Any]],
    name: str,
    title: str,
    keys: Mapping[str, str],
    between: tuple[float, float] | None = (0.0, 1.0),
) -> Figure | None:
    """A figure of these keys of metrics.jsonl, by what they are called; None if the run has none of them."""
    curves = {called: points for called, key in keys.items() if (points := curve(metrics, key))}
    return Figure(name, title, curves, between) if curves else None
