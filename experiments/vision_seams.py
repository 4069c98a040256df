"""What do rules earn that read nothing but the edges of pieces, by the width of the gap between these?

    python -m experiments.vision_seams [--examples 500] [--gaps 0 0.1 0.2 0.3 0.4]

Three rules: the least difference of the outermost pixels, that of the outer eighth of a piece in coarse steps, and that
of gradients continued across the gap. Each is run on the tasks that ask how pieces go together, with edges matched
(``ssl4rl.vision.seams``) and without. Of jigsaw, the order is the one with the least sum over all edges.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.vision_audit import sources
from ssl4rl import answers
from ssl4rl.environment import environment
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.prompts import OPTION_LETTERS
from ssl4rl.registry import TASKS
from ssl4rl.vision.seams import OPPOSITE, SIDES

Array = NDArray[np.float64]
Rule = Callable[[Array, Array, str, float], float]
"""What it costs to put the second piece on a side of the first, so many pixels apart."""
STEPS = 8
"""Steps along an edge in which outer eighths are compared."""


def inward(piece: Array, side: str) -> Array:
    """A piece turned so that the first row of the result is its edge on that side, [across, along, 3]."""
    across = piece.swapaxes(0, 1) if side in ("left", "right") else piece
    return across[::-1] if side in ("right", "below") else across


def outermost(piece: Array, other: Array, side: str, distance: float) -> float:
    one, two = inward(piece, side), inward(other, OPPOSITE[side])
    return float(np.abs(one[:2].mean(axis=0) - two[:2].mean(axis=0)).mean())


def outer_eighth(piece: Array, other: Array, side: str, distance: float) -> float:
    def steps(edge: Array) -> Array:
        strip = edge[: max(2, len(edge) // 8)].mean(axis=0)
        return strip[: len(strip) // STEPS * STEPS].reshape(STEPS, -1, 3).mean(axis=1)

    return float(np.abs(steps(inward(piece, side)) - steps(inward(other, OPPOSITE[side]))).mean())


def gradients(piece: Array, other: Array, side: str, distance: float) -> float:
    one, two = inward(piece, side), inward(other, OPPOSITE[side])
    slope = (one[0] - one[3] - two[0] + two[3]) / 6
    return float(np.abs(two[0] - one[0] - distance * slope).mean())


RULES: Mapping[str, Rule] = {"outermost": outermost, "outer eighth": outer_eighth, "gradients": gradients}


def of_pair(example: Example, gap: float, rule: Rule) -> str:
    one, other = map(pixels, example.images)
    return min(SIDES, key=lambda side: rule(one, other, side, gap * len(one)))


def of_connections(example: Example, gap: float, rule: Rule) -> str:
    first, *others = map(pixels, example.images)
    distance, chosen = gap * len(first) / (1 - gap), list[int]()
    for side in example.scoring.arguments["gold"]:
        costs = {place: rule(first, other, side, distance) for place, other in enumerate(others) if place not in chosen}
        chosen.append(min(costs, key=costs.__getitem__))
    return ", ".join(OPTION_LETTERS[place] for place in chosen)


def of_patch(example: Example, gap: float, rule: Rule) -> str:
    image, *patches = map(pixels, example.images)
    left, top, right, bottom = example.meta["places"][example.meta["asked"]]
    hole = example.meta["hole"]
    around = {
        "left": (left - hole[0], image[top:bottom, : hole[0]][:, -8:]),
        "right": (hole[2] - right, image[top:bottom, hole[2] :][:, :8]),
        "above": (top - hole[1], image[: hole[1], left:right][-8:]),
        "below": (hole[3] - bottom, image[hole[3] :, left:right][:8]),
    }

    def cost(patch: Array) -> float:
        return sum(rule(patch, strip, side, far) / (1 + far) for side, (far, strip) in around.items())

    costs = list(map(cost, patches))
    return OPTION_LETTERS[int(np.argmin(costs))]


def of_jigsaw(example: Example, gap: float, rule: Rule) -> str:
    pieces = list(map(pixels, example.images))
    distance = gap * len(pieces[0]) / (1 - gap)
    beside = {
        side: [[rule(one, other, side, distance) for other in pieces] for one in pieces] for side in ("right", "below")
    }

    def cost(order: tuple[int, ...]) -> float:
        a, b, c, d = order
        right, below = beside["right"], beside["below"]
        return right[a][b] + right[c][d] + below[a][c] + below[b][d]

    return ", ".join(str(piece + 1) for piece in min(permutations(range(4)), key=cost))


SOLVERS: Mapping[str, Callable[[Example, float, Rule], str]] = {
    "pair": of_pair,
    "connections": of_connections,
    "patch": of_patch,
    "jigsaw": of_jigsaw,
}


def pixels(image: Any) -> Array:
    return np.asarray(image, dtype=np.float64)


def earned(name: str, source: Any, knobs: Mapping[str, Any], count: int) -> dict[str, Any]:
    """What each rule earns in the mean on the first examples, and what guessing does."""
    task = TASKS.get(name)(source, knobs=knobs)
    scores: dict[str, list[float]] = {rule: [] for rule in RULES}
    for example in map(task.example, range(count)):
        for rule, cost in RULES.items():
            reply = example.reply_with(SOLVERS[name](example, knobs["gap"], cost))
            scores[rule].append(answers.score(reply, example.scoring).value)
    means = {rule: round(float(np.mean(values)), 4) for rule, values in scores.items()}
    return {"task": name, "source": source.name, **knobs, "examples": count, "chance": task.example(0).chance, **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--gaps", type=float, nargs="+", default=[0, 0.1, 0.2, 0.3, 0.4])
    parser.add_argument("--tasks", nargs="+", default=list(SOLVERS), choices=list(SOLVERS))
    parser.add_argument("--sources", nargs="+", default=["noise", "scenes", "photos"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/vision_seams.json"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for source in sources(options.sources, options.data):
        for name in options.tasks:
            for gap in options.gaps:
                for matched in [{}] if name == "jigsaw" else [{"matched": False}, {"matched": True}]:
                    try:
                        rows.append(earned(name, source, {"gap": gap, **matched}, options.examples))
                    # On noise without a gap the right edge always matches best; and not every gap leaves room.
                    except UserError as error:
                        rows.append({"task": name, "source": source.name, "gap": gap, **matched, "none": str(error)})
                    print(json.dumps(rows[-1]), flush=True)
                    report = {"environment": environment(), "rows": rows}
                    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
