"""The figures of docs/evidence.md, from the answers that a folder holds. No model is needed.

    python -m experiments.evidence_plot [experiments/results/evidence]

``docs/evidence.svg`` has the score of each kind of arm on each set of questions, with its 95 % interval, beside the
untrained model's: the task's in blue, controls in orange, other training in green. ``docs/evidence-steps.svg`` has how
the task's first arm was trained. Of another folder, both are named after it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.arms import BASE
from experiments.evidence import RESULTS
from experiments.evidence_table import CONTROLS, read, rows_of
from ssl4rl.report.figures import drawn_svg, figure_of
from ssl4rl.training.controls import TASK

DOCS = Path(__file__).parents[1] / "docs"
KEYS = {"reward": "reward", "groups that agree": "flat/before", "entropy (nats)": "entropy"}
COLORS = {BASE: "#71717a", TASK: "#2563eb", "control": "#d97706"}
OTHERS = "#0d9488"
WIDTH, ROW, TITLE = 8.5, 0.26, 12
"""Of a figure and of an arm in it, in inches; of a panel's title, in characters."""


def scores(name: str, rows: Sequence[dict[str, Any]]) -> bytes:
    """A panel for each set of questions, and in it a line for each kind of arm."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    sets = list(dict.fromkeys(row["asked"] for row in rows))

    def draw(canvas: Any) -> None:
        for place, (axes, asked) in enumerate(zip(canvas.subplots(1, len(sets), sharey=True), sets, strict=True)):
            for row in (row for row in rows if row["asked"] == asked):
                value, low, high = row["estimate"]
                kind = "control" if row["arm"] in CONTROLS else row["arm"]
                height, color = arms.index(row["arm"]), COLORS.get(kind, OTHERS)
                axes.plot([low, high], [height, height], color=color, linewidth=1.6)
                axes.plot([value], [height], color=color, marker="o", ms=4, clip_on=False)
                if row["arm"] == BASE:
                    axes.axvline(value, color=color, linewidth=0.8, linestyle=":")
            axes.set_title(fill(asked, TITLE), fontsize=9)
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
            axes.spines[["top", "right"]].set_visible(False)
            if not place:
                axes.set_yticks(range(len(arms)), arms)
                axes.invert_yaxis()

    return drawn_svg(name, (WIDTH, 1.1 + ROW * len(arms)), draw)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    folder = parser.parse_args().folder
    arms, about = read(folder)
    (DOCS / f"{folder.name}.svg").write_bytes(scores(folder.name, list(rows_of(arms))))
    figure = figure_of(about[f"{TASK}-0"]["metrics"], "steps", "The task, seed 0", KEYS)
    if figure is not None:
        (DOCS / f"{folder.name}-steps.svg").write_bytes(figure.svg())


if __name__ == "__main__":
    main()
