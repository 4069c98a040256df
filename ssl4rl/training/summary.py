"""A run in numbers and in words: its summary.json, and the lines that are printed before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssl4rl.training.preparation import Prepared


def reward_change(metrics: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """The mean reward over the first and the last tenth of the steps, and that of each task of a mixture."""
    steps = [line for line in metrics if "reward" in line]
    change: dict[str, Any] = _first_and_last([line["reward"] for line in steps])
    by_task = {}
    for name in names:
        # A step need not have an example of every task.
        by_task[name] = _first_and_last([line[f"reward/{name}"] for line in steps if f"reward/{name}" in line])
    return {**change, "tasks": by_task} if by_task else change


def _first_and_last(values: list[float]) -> dict[str, float | None]:
    tenth = max(1, len(values) // 10)
    return {"first": _mean(values[:tenth]), "last": _mean(values[-tenth:])}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def describe_plan(run: Prepared) -> list[str]:
    """What training would do."""
    plan = run.plan
    return [
        *(f"risky: {line}" for line in run.risks),
        f"{run.tasks.train.label} on {run.tasks.train.source.name}, model {run.recipe.model.path}",
        f"{plan.max_steps} optimiser steps; {plan.prompts_per_generation} prompts x {plan.num_generations} completions "
        f"are sampled at once, {plan.num_prompts} prompts in all",
        f"longest prompt measured: {run.longest}",
    ]


def describe_estimate(estimate: Mapping[str, Any]) -> str:
    """A held-out score: ``0.638 (0.595 to 0.679, n=500, 99% parsed)``, and that of each task of a mixture."""
    line = (
        f"{estimate['score']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f}, "
        f"n={estimate['n']}, {estimate['parsed']:.0%} parsed)"
    )
    tasks = [f"{name} {own['score']:.3f}" for name, own in estimate.get("tasks", {}).items()]
    return f"{line}: {', '.join(tasks)}" if tasks else line


def describe_result(summary: Mapping[str, Any], run: Path) -> list[str]:
    """What a finished run learned."""
    lines = [f"{summary['task']} on {summary['dataset']}: {summary['steps']} steps in {_minutes(summary['seconds'])}"]
    before, after = summary["heldout"]["before"], summary["heldout"]["after"]
    if before is not None and after is not None:
        lines.append(f"held-out score {_range(before, '')} before, {_range(after, '')} after (n={after['n']})")
        if before["score_parsed"] is not None and after["score_parsed"] is not None:
            lines.append(
                f"among replies that could be read: {_range(before, '_parsed')} before, {_range(after, '_parsed')} "
                f"after ({before['parsed']:.1%} and {after['parsed']:.1%} of the replies)"
            )
        for name, own in after.get("tasks", {}).items():
            lines.append(f"{name}: {_range(before['tasks'][name], '')} before, {_range(own, '')} after (n={own['n']})")
        lines.append(_verdict(before, after))
    lines += [f"run: {run}", f"model: {run / 'model'}", f"its replies: ssl4rl log {run}"]
    return lines


def _verdict(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    gain = 100 * (after["score"] - before["score"])
    if after["low"] > before["high"]:
        return f"learned: {gain:+.1f} points, the 95% intervals do not overlap"
    if after["high"] < before["low"]:
        return f"got worse: {gain:+.1f} points, the 95% intervals do not overlap"
    return f"no clear change: {gain:+.1f} points, the 95% intervals overlap"


def _range(estimate: Mapping[str, Any], suffix: str) -> str:
    low, high = estimate[f"low{suffix}"], estimate[f"high{suffix}"]
    return f"{estimate[f'score{suffix}']:.3f} [{low:.3f}, {high:.3f}]"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
