"""What the audit says of tasks: a line for each check, and which of them failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ssl4rl.audit.behaviour import behaviour
from ssl4rl.audit.contamination import find_overlap
from ssl4rl.audit.contract import Findings, check_contract
from ssl4rl.audit.fairness import ERRORS, EXCESS, MUST_DETECT, Cell, judge, measure
from ssl4rl.audit.shortcuts import GRID, PLAIN, SHARP, find_shortcuts, is_on_images, noise
from ssl4rl.benchmarks import Benchmark
from ssl4rl.errors import NotApplicable
from ssl4rl.source import Source
from ssl4rl.tasks import AnyTask

if TYPE_CHECKING:
    from ssl4rl.inference.engines import Engine

JPEG_QUALITY = 30
"""Of the noise that is looked at for a JPEG's blocks: so low that they are clear in a small piece, too."""

MANY_ERRORS = 100
"""Standard errors beyond which their number says nothing more: with one answer to everything there is no error."""

Verdict = Literal["failed", "passed", "not testable", "reported"]


@dataclass(frozen=True)
class Line:
    """One check of one task."""

    source: str
    task: str
    check: str
    """contract: its rules; leak: what prompts must not show; ambiguous: questions with two right answers; blind:
    replies that look at nothing; rule: of the options, the answers or the shape of the graph; traits: what images carry
    besides their content; needs: what reads the texts alone, the structure alone, or no image; overlap: what is held
    out and was trained on; model: what a model's replies rest on."""
    split: str
    verdict: Verdict
    found: str


def audit(
    tasks: Sequence[AnyTask],
    count: int,
    say: Callable[[str], None] = lambda line: None,
    *,
    trained_on: Source | None = None,
    engine: Engine | None = None,
) -> list[Line]:
    """Checks every task on ``count`` examples; ``say`` reports progress.

    The verdicts on rules are those of the whole table (Holm's correction). What is held out is compared with
    ``trained_on``, or with the rest of the same data; the model of ``engine`` is asked, too, if there is one.
    """
    lines: dict[int, list[Line]] = {}
    cells: list[Cell] = []
    owners: list[int] = []
    for place, task in enumerate(tasks):
        say(f"checking {task.label} on {task.source.name}")
        findings = check_contract(task, count)
        lines[place] = list(_of_contract(findings))
        if any("cannot be built" in problem for problem in findings.problems):
            continue
        try:
            measured = measure(task, count)
        except NotApplicable as error:
            lines[place].append(Line(task.source.name, task.label, "rule", task.split, "not testable", str(error)))
            continue
        cells += measured
        owners += [place] * len(measured)
        lines[place] += _of_images(task, count)
        if place == 0:
            # Levels differ in what a prompt shows of the data, not in the data.
            lines[place] += _of_overlap(task, count, trained_on)
        if engine is not None:
            say(f"asking the model about {task.label} on {task.source.name}")
            about = (task.source.name, task.label, "model", task.split)
            lines[place] += [Line(*about, "reported", found) for found in behaviour(task, engine)]
    judged = judge(cells)
    for place, before in lines.items():
        before += _of_rules([cell for cell, owner in zip(judged, owners, strict=True) if owner == place])
    return [line for some in lines.values() for line in some]


def _of_contract(findings: Findings) -> Iterator[Line]:
    about = (findings.source, findings.task)
    for check, problems in (
        ("contract", findings.problems),
        ("leak", findings.leaks),
        ("ambiguous", findings.ambiguous),
    ):
        for problem in problems:
            yield Line(*about, check, findings.split, "failed", problem)
    for reply, errors in findings.blind_above_chance.items():
        far = f"{errors:.0f}" if errors < MANY_ERRORS else f"over {MANY_ERRORS}"
        found = f"the reply {reply!r} earns {far} standard errors more than chance"
        yield Line(*about, "blind", findings.split, "failed", found)
    if findings.passed:
        found = f"{findings.examples:,} examples, {findings.distinct:,} of them distinct"
        yield Line(*about, "contract", findings.split, "passed", found)


def _of_images(task: AnyTask, count: int) -> Iterator[Line]:
    """What classifiers make of the traits of an image task's images, and on noise of their sharpness and JPEG blocks.

    The first sees what a blank image leaves, so it says as well how far a reply without the image gets.
    """
    if isinstance(task, Benchmark) or not is_on_images(task):
        return
    on_noise = type(task)(
        noise(quality=JPEG_QUALITY), split=task.split, level=task.level, knobs=task.overrides, seed=task.seed
    )
    for asked, views, of in ((task, (PLAIN,), "its images"), (on_noise, (SHARP, GRID), "noise")):
        try:
            tried = asked.on_split("val")
        except NotApplicable as error:
            yield Line(asked.source.name, asked.label, "traits", "val", "not testable", f"{of}: {error}")
            continue
        rows = find_shortcuts([asked], [tried], count, views)
        if not rows:
            found_out = f"{of}: all {count} right answers are the same"
            yield Line(asked.source.name, asked.label, "traits", "val", "not testable", found_out)
        for found in rows:
            score = max(found.forest, found.logistic)
            verdict: Verdict = "passed"
            if found.errors_above_chance > ERRORS and score - found.chance > EXCESS:
                verdict = "failed"
            elif ERRORS * math.sqrt(found.chance * (1 - found.chance) / count) > MUST_DETECT:
                verdict = "not testable"
            earned = f"{score:.3f} where chance is {found.chance:.3f}"
            about = (task.source.name, task.label)
            yield Line(*about, "traits", "val", verdict, f"a classifier of {found.sees} of {of}: {earned}")
            if found.sees == PLAIN:
                yield Line(*about, "needs", "val", "reported", f"blank image: {earned}")


def _of_overlap(task: AnyTask, count: int, trained_on: Source | None) -> Iterator[Line]:
    """How much of what is held out was trained on.

    It fails the benchmark where other data was named and the copies could move a score by more than a rule may earn.
    Copies within the same data are the data's own: they are reported.
    """
    found = find_overlap(task, count, trained_on)
    if found is None:
        return
    verdict: Verdict = "not testable" if found.compared else "passed"
    if found.exact + found.near:
        verdict = "failed" if trained_on is not None and found.share > EXCESS else "reported"
    described = (
        f"{found.exact} of {found.held_out:,} held-out items occur in {found.trained}, and {found.near} nearly do"
        f"{f' ({found.compared} were compared)' if found.compared else ''}{': ' if found.first else ''}{found.first}"
    )
    split = task.split if isinstance(task, Benchmark) else "val"
    yield Line(task.source.name, task.label, "overlap", split, verdict, described)


def _of_rules(cells: Sequence[Cell]) -> Iterator[Line]:
    """Every finding; of the other rules a line for each split: how many passed, and how many say nothing."""
    for split in dict.fromkeys(cell.split for cell in cells):
        of_split = [cell for cell in cells if cell.split == split]
        rules = [cell for cell in of_split if cell.verdict != "reported"]
        about = (of_split[0].source, of_split[0].task)
        for cell in rules:
            if cell.verdict == "finding":
                yield Line(*about, "rule", split, "failed", _described(cell))
        passed = [cell for cell in rules if cell.verdict == "passed"]
        if passed:
            best = max(passed, key=lambda cell: cell.excess)
            found = f"{len(passed)} rules earn no more than chance allows; most: {_described(best)}"
            yield Line(*about, "rule", split, "passed", found)
        silent = [cell for cell in rules if cell.verdict == "not testable"]
        if silent:
            found = (
                f"{len(silent)} rules: with {silent[0].examples:,} examples of {silent[0].clusters:,} items, "
                f"{100 * MUST_DETECT:.0f} points above chance could have been missed"
            )
            yield Line(*about, "rule", split, "not testable", found)
        for cell in of_split:
            if cell.verdict == "reported":
                yield Line(*about, "needs", split, "reported", _described(cell))


def _described(cell: Cell) -> str:
    return f"{cell.rule}: {cell.score:.3f} where chance is {cell.chance:.3f} (±{2 * cell.error:.3f})"
