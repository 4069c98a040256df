"""The contract of a task, checked on any task or benchmark: the tests, ``make audit-full`` and plug-ins run this."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ssl4rl import answers
from ssl4rl.answers import Outcome, Scoring
from ssl4rl.audit.ambiguous import find_ambiguous
from ssl4rl.audit.blind import blind_replies, excess
from ssl4rl.audit.leaks import find_leaks
from ssl4rl.errors import UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.tasks import AnyTask

REBUILT = 4
"""Examples that are built again, by a second instance of the task and in another order."""
LONGEST_REPLY = 60
"""Characters of a reply that the findings show."""


@dataclass(frozen=True)
class Findings:
    """What checking one task on one source found: a row of the audit's report."""

    source: str
    task: str
    split: str
    examples: int
    distinct: int
    """Different prompts among them."""
    problems: tuple[str, ...]
    """Each rule that was broken, with the first example that breaks it."""
    leaks: tuple[str, ...]
    """What prompts show that they must not, with the first example that does."""
    ambiguous: tuple[str, ...]
    """How two answers can be right, with the first example where they are."""
    blind_above_chance: Mapping[str, float]
    """Replies that never look at the prompt and earn more than chance: by how many standard errors."""
    ms_per_example: float

    @property
    def passed(self) -> bool:
        """Whether there is nothing to find fault with."""
        return not (self.problems or self.leaks or self.ambiguous or self.blind_above_chance)


@dataclass(frozen=True)
class Drawn:
    """An example without its images, which few could be held of, and the digest of what it showed."""

    example: Example
    shown: str


def check_contract(task: AnyTask, count: int) -> Findings:
    """Checks ``count`` examples of a task: scoring, ids, determinism, images, blind replies, leaks, double answers.

    A crash of the task is a finding like any other.
    """
    # A benchmark has a fixed number of items. Half of them are kept for a second look at suspects.
    count = max(1, min(count, getattr(task, "size", 2 * count) // 2))
    start = time.perf_counter()
    problems: dict[str, str] = {}
    drawn = _draw(task, range(count), problems)
    seconds = time.perf_counter() - start
    sound = []
    for each in drawn:
        found = [*_scoring_problems(task, each.example), *_record_problems(each.example)]
        for problem in found:
            problems.setdefault(problem, str(each.example.id))
        sound += [] if found else [each.example]
    if drawn:
        _check_hashes(drawn, problems)
        _check_rebuilt(task, drawn, problems)
    suspects = _blind_above_chance(task, [each.example for each in drawn], problems)
    return Findings(
        source=task.source.name,
        task=task.label,
        split=task.split,
        examples=count,
        distinct=len({each.shown for each in drawn}),
        problems=tuple(f"{problem} ({where})" for problem, where in problems.items()),
        leaks=tuple(f"{leak} ({where})" for leak, where in find_leaks(task, sound)),
        ambiguous=tuple(
            f"{found} ({where})" for found, where in (*find_ambiguous(task, sound), *_answered_in_two_ways(drawn))
        ),
        blind_above_chance={reply[:LONGEST_REPLY]: errors for reply, errors in suspects.items()},
        ms_per_example=round(1000 * seconds / count, 2),
    )


def _draw(task: AnyTask, indices: Iterable[int], problems: dict[str, str]) -> list[Drawn]:
    drawn = []
    for index in indices:
        try:
            example = task.example(index)
            drawn.append(Drawn(replace(example, parts=(example.text,)), _digest(example)))
        except Exception as error:  # whatever a task raises is what the audit reports
            problems.setdefault(f"an example cannot be built: {_reason(error)}", f"example {index}")
    return drawn


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _digest(example: Example) -> str:
    """A hash of the text and the pixels that an example shows."""
    digest = hashlib.sha256(json.dumps(example.text).encode())
    for part in example.parts:
        if not isinstance(part, str):
            digest.update(repr((part.mode, part.size)).encode())
            digest.update(part.tobytes())
    return digest.hexdigest()


def _scoring_problems(task: AnyTask, example: Example) -> list[str]:
    """Rules of scoring and of what an example states that it breaks."""
    function, arguments = example.scoring
    if function not in answers.FUNCTIONS:
        return [f"its scoring function {function!r} does not exist"]
    problems = []
    try:
        if json.loads(json.dumps(arguments)) != arguments:
            problems.append("the arguments of its scoring change when they are written as JSON and read back")
    except (TypeError, ValueError):
        problems.append("the arguments of its scoring are not JSON")
    if not isinstance(example.gold, str):
        problems.append("its gold answer is not a string")
    try:
        verdict = task.score(f"<think>?</think><answer>{example.gold}</answer>", example)
        if verdict.value != 1 or verdict.outcome != Outcome.CORRECT:
            problems.append("its gold answer does not score 1")
    except Exception as error:
        problems.append(f"scoring its gold answer fails: {_reason(error)}")
    if not 0 <= example.chance < 1:
        problems.append("its chance is not in [0, 1)")
    if not example.source_items or not all(isinstance(item, str) and item for item in example.source_items):
        problems.append("it does not name the source items that it was drawn from")
    return problems


def _record_problems(example: Example) -> list[str]:
    """Rules of ids and of what is recorded with an example that it breaks."""
    problems = []
    if ExampleId.parse(str(example.id)) != example.id:
        problems.append("its id reads back as another one")
    try:
        json.dumps(example.meta)
    except (TypeError, ValueError):
        problems.append("its meta is not JSON")
    return problems


def _check_hashes(drawn: list[Drawn], problems: dict[str, str]) -> None:
    """An id occurs once, and examples with the same hash show the same: an image is covered by its hash."""
    ids: set[str] = set()
    shown_by: dict[str, str] = {}
    for each in drawn:
        example_id = each.example.id
        if str(example_id) in ids:
            problems.setdefault("two examples have the same id", str(example_id))
        ids.add(str(example_id))
        if shown_by.setdefault(example_id.hash, each.shown) != each.shown:
            problems.setdefault("two examples that show different things have the same hash", str(example_id))


def _answered_in_two_ways(drawn: list[Drawn]) -> Iterator[tuple[str, str]]:
    """A closed question that shows the same as another one and has another right answer."""
    scorings: dict[str, Scoring] = {}
    for each in drawn:
        scoring = each.example.scoring
        if scoring.function != "score_text" and scorings.setdefault(each.shown, scoring) != scoring:
            yield "another answer is right where the same is shown", str(each.example.id)
            return


def _check_rebuilt(task: AnyTask, drawn: list[Drawn], problems: dict[str, str]) -> None:
    """``example(i)`` is the same from a second instance, in another order, and when asked for again."""
    first = {each.example.id.index: each for each in drawn[:REBUILT]}
    for asked in (task.on_split(task.split), task):
        for again in _draw(asked, sorted(first, reverse=True), problems):
            before = first[again.example.id.index]
            if again != before:
                problems.setdefault(
                    "it is another one when it is built again (draft may draw from rng alone)", str(before.example.id)
                )


def _blind_above_chance(task: AnyTask, examples: list[Example], problems: dict[str, str]) -> dict[str, float]:
    """Blind replies that beat chance on these examples, and again on as many fresh ones."""
    if not examples:
        return {}
    try:
        suspects = excess(blind_replies(examples), examples)
        if not suspects:
            return {}
        # About one honest reply in 700 exceeds three standard errors, so an excess has to show on fresh examples too.
        last = min(2 * len(examples), getattr(task, "size", 2 * len(examples)))
        fresh = _draw(task, range(len(examples), last), problems)
        if not fresh:
            return {}  # of a benchmark of one item
        return excess(suspects, [each.example for each in fresh])
    except Exception as error:
        problems.setdefault(f"scoring a blind reply fails: {_reason(error)}", task.label)
        return {}
