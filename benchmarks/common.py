"""What the benchmarks of speed and memory share: paired runs, their medians and spread, and how they are reported.

A pair is one run of ours and one of the peer's, back to back on the same input in the same process, in alternating
order. A ratio is the peer's number over ours within a pair (how many times as long, or as much, it takes), and ``low``
and ``high`` are the smallest and the largest of those.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ssl4rl.environment import environment

RESULTS = Path(__file__).parent / "results"

Run = Callable[[], object]


def seconds(run: Run) -> float:
    """How long one run takes by the clock."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def paired(
    ours: Run, peer: Run, runs: int, *, warmup: int = 1, measure: Callable[[Run], float] = seconds
) -> tuple[list[float], list[float]]:
    """The measurements of ``runs`` pairs, ours and the peer's; ``warmup`` pairs before them are not counted."""
    measured: tuple[list[float], list[float]] = [], []
    for pair in range(warmup + runs):
        order = ((0, ours), (1, peer)) if pair % 2 == 0 else ((1, peer), (0, ours))
        for side, run in order:
            value = measure(run)
            if pair >= warmup:
                measured[side].append(value)
    return measured


def figure(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float] | None = None,
    *,
    unit: str = "s",
    at_least: float | None = None,
    at_most: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One figure: medians, and median, lowest and highest of the paired ratios; prints it in words.

    The bounds are on the ratio. Without a peer they are on our number, whose spread ``low`` and ``high`` then are.
    """
    ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)] if peer is not None else None
    spread = ratios or list(ours)
    result = {
        "figure": name,
        "ours": statistics.median(ours),
        "peer": None if peer is None else statistics.median(peer),
        "ratio": None if ratios is None else statistics.median(ratios),
        "low": min(spread),
        "high": max(spread),
        "unit": unit,
        "runs": len(ours),
    }
    result |= {key: bound for key, bound in (("at_least", at_least), ("at_most", at_most)) if bound is not None}
    words = f"{name}: {result['ours']:.4g} {unit}"
    if ratios is None:
        words += f" ({result['low']:.4g} to {result['high']:.4g}"
    else:
        words += (
            f", peer {result['peer']:.4g} {unit}: {result['ratio']:.2f}x ({result['low']:.2f} to {result['high']:.2f}"
        )
    print(f"{words}; {len(ours)} runs)", flush=True)
    return result | more


def report(file: str, figures: Sequence[dict[str, Any]], packages: Sequence[str] = (), **more: Any) -> None:
    """Writes ``results/<file>.json`` with machine and versions, and prints one line of JSON per figure at the end.

    ``packages`` are those whose versions matter here in addition to the usual ones.
    """
    machine = environment()
    machine["packages"] |= {package: version(package) for package in packages}
    machine["cpu"] = _cpu()
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": machine, "figures": list(figures), **more}, indent=1)
    (RESULTS / f"{file}.json").write_text(text + "\n", encoding="utf-8")
    for row in figures:
        print(json.dumps({key: row[key] for key in ("figure", "ours", "peer", "ratio", "low", "high")}), flush=True)


def _cpu() -> str:
    """The processor's name, where the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
