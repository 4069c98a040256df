"""The part of the audit that takes seconds: what ``train`` looks at before its first step."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ssl4rl.audit.ambiguous import find_ambiguous
from ssl4rl.audit.blind import blind_replies, excess
from ssl4rl.audit.fairness import judge, measure_cheaply
from ssl4rl.audit.leaks import find_leaks
from ssl4rl.example import Example
from ssl4rl.mixture import parts_of
from ssl4rl.source import origin_of
from ssl4rl.tasks import AnyTask

SECONDS = 4.0
"""For all tasks of a run together."""
MOST, FEWEST = 400, 60
"""Examples of a task that are looked at, and how many are needed to say anything of rules."""


def quick_check(task: AnyTask, seconds: float = SECONDS) -> list[str]:
    """What was looked at, and a line for each suspicion; of a mixture for each of its tasks.

    Leaks, ambiguous questions, blind replies and cheap rules, on as many examples as half of the time allows. Whatever
    goes wrong is a line, too: a check never stops a run.
    """
    parts = parts_of(task)
    lines, clean, looked_at = [], list[str](), 0
    for part in parts:
        try:
            examples = _drawn(part, seconds / len(parts) / 2)
            if found := _suspicions(part, examples):
                lines.append(f"audit: {part.label}: {'; '.join(found[:2])}; see {_command(part)}")
            else:
                clean.append(part.label)
                looked_at += len(examples)
        except Exception as error:  # a plug-in's example may hold anything
            lines.append(f"audit: {part.label} was not checked ({type(error).__name__}: {error})")
    if clean:
        of = clean[0] if len(clean) == 1 else f"{len(clean)} tasks and levels"
        lines.append(f"audit: nothing found in {looked_at} examples of {of}")
    return lines


def _command(task: AnyTask) -> str:
    """What audits the same examples, and more of them."""
    origin = origin_of(task.source)
    words = ["ssl4rl", "audit", "--task", task.name, "--level", task.level]
    words += ["--dataset", origin] if origin is not None else []
    words += ["--seed", str(task.seed)] if task.seed else []
    for key, value in task.overrides.items():
        words += ["--set", f"task.{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def _suspicions(task: AnyTask, examples: Sequence[Example]) -> list[str]:
    problems = (*find_leaks(task, examples), *find_ambiguous(task, examples))
    found = [f"{problem} ({where})" for problem, where in problems]
    half = len(examples) // 2
    if len(examples) >= FEWEST:
        suspects = excess(blind_replies(examples[:half]), examples[:half])
        suspects = excess(suspects, examples[half:])
        found += [f"the reply {reply[:40]!r} earns more than chance" for reply in suspects]
        found += list(_suspicious_rules(task, examples[:half], examples[half:]))
    return found


def _drawn(task: AnyTask, seconds: float) -> list[Example]:
    """The first examples, as many as there is time for; an instance of its own, so that no counter of a run moves."""
    own, end = task.on_split(task.split), time.monotonic() + seconds
    drawn: list[Example] = []
    while len(drawn) < MOST and time.monotonic() < end:
        example = own.example(len(drawn))
        drawn.append(replace(example, parts=(example.text,)))
    return drawn


def _suspicious_rules(task: AnyTask, fit: Sequence[Example], held_out: Sequence[Example]) -> Iterator[str]:
    if fit[0].scoring.function != "score_text":
        for cell in judge(measure_cheaply(task, fit, held_out)):
            if cell.verdict == "finding":
                yield f"{cell.rule} earns {cell.score:.2f} where chance is {cell.chance:.2f}"
