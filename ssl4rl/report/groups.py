"""Recorded replies as a report shows them: those to one example side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssl4rl.evaluation.compare import Comparison
from ssl4rl.example import ExampleId, task_label
from ssl4rl.records import Completion, HeldoutAnswer, Prediction
from ssl4rl.report.shown import Drawing, Rebuilt, drawing_of
from ssl4rl.report.words import in_words, question_line
from ssl4rl.runs import PREDICTIONS, Run
from ssl4rl.training.refill import is_flat

COMPARED = "compared"
"""The kind of a group with the replies of two runs."""
FLAT, REPLACED, CHANGED = "flat", "replaced", "changed"
"""What a group is marked with: equal rewards, not trained on, scored differently by the runs or steps compared."""


@dataclass(frozen=True)
class Reply:
    """One reply in a group."""

    by: str
    """The run, the step or the number of the sample, where these differ within the group."""
    text: str
    answer: str | None
    """What was read from it, in words."""
    score: float
    outcome: str
    tokens: int | None = None
    reward: float | None = None
    """Where it is not the score."""


@dataclass
class Group:
    """The replies to one example."""

    id: str
    kind: str
    """``training``, ``held out``, ``evaluation``, an evaluation's ablation or other form, or ``compared``."""
    run: str
    task: str
    where: str
    """The step or the item."""
    question: str
    prompt: str
    gold: str
    chance: float | None
    replies: list[Reply]
    marks: list[str] = field(default_factory=list)
    images: Sequence[int] = ()
    """Places in the report's list of images."""
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Entry:
    """An example whose replies are to be shown, before it is rebuilt."""

    run: Run
    id: ExampleId
    group: Group


def count_replies(entries: Iterable[Entry]) -> int:
    """How many replies they have together."""
    return sum(len(entry.group.replies) for entry in entries)


def spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """As many of the entries, evenly, as have at most ``most`` replies together."""
    total = count_replies(entries)
    if total <= most:
        return list(entries)
    chosen, seen, due = [], 0, 0.0
    for entry in entries:
        seen += len(entry.group.replies)
        # The next is taken once as large a share of all has passed as was taken already.
        own = len(entry.group.replies)
        if seen * most / total >= due + own / 2 and due + own <= most:
            chosen.append(entry)
            due += own
    return chosen


def illustrated(entries: Iterable[Entry], rebuilt: Rebuilt) -> list[Group]:
    """The groups with images, drawings, and whatever else only the example itself knows."""
    groups = []
    for entry in entries:
        group = entry.group
        groups.append(group)
        if (found := rebuilt.example(entry.run, entry.id)) is None:
            continue
        task, example = found
        group.images, group.drawing = rebuilt.images_of(example), drawing_of(task, example)
        if not group.prompt:  # what is held out is recorded without it
            group.prompt, group.gold, group.chance = example.text, example.gold, example.chance
            group.question = question_line(example.text, {})
    return groups


def _grouped(records: Iterable[Any], key: Any) -> Iterator[list[Any]]:
    groups: dict[Hashable, list[Any]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    yield from groups.values()


# Training


def of_training(run: Run) -> list[Entry]:
    """The held-out examples with their replies before and after, and the groups that were sampled, the latest last."""
    heldout = run.heldout()
    steps = sorted({answer.step for answer in heldout})
    ends = {steps[0], steps[-1]} if steps else set()
    answers = _grouped((answer for answer in heldout if answer.step in ends), lambda answer: answer.index)
    sampled = _grouped(run.completions(), lambda record: (record.step, str(record.id)))
    return [*(_held_out(run, each) for each in answers), *(_sampled(run, each) for each in sampled)]


def _sampled(run: Run, records: Sequence[Completion]) -> Entry:
    first = records[0]
    marks = [FLAT] if is_flat(record.reward for record in records) else []
    if not any(record.selected for record in records):
        marks.append(REPLACED)
    replies = [
        Reply("", record.reply, record.answer, record.score, record.outcome, record.tokens, _reward(record))
        for record in records
    ]
    group = Group(
        id=str(first.id),
        kind="training",
        run=str(run.path),
        task=first.id.label,
        where=f"step {first.step}",
        question=question_line(first.prompt, {}),
        prompt=first.prompt,
        gold=first.gold,
        chance=first.chance,
        replies=replies,
        marks=marks,
    )
    return Entry(run, first.id, group)


def _reward(record: Completion) -> float | None:
    return None if record.reward == record.score else record.reward


def _held_out(run: Run, answers: Sequence[HeldoutAnswer]) -> Entry:
    first = answers[0]
    replies = [Reply(_when(each.step), each.reply, each.answer, each.score, each.outcome) for each in answers]
    group = Group(
        id=str(first.id),
        kind="held out",
        run=str(run.path),
        task=first.id.label,
        where=f"example {first.index}",
        question="",
        prompt="",
        gold="",
        chance=None,
        replies=replies,
        marks=[CHANGED] if len({each.score for each in answers}) > 1 else [],
    )
    return Entry(run, first.id, group)


def _when(step: int) -> str:
    return f"after step {step}" if step else "before training"


# Evaluation


def of_evaluation(run: Run) -> list[Entry]:
    """The items with their replies, and those of the ablations and other forms."""
    entries = []
    for path in sorted(run.path.glob(PREDICTIONS.replace(".", "*."))):
        variant = path.name.removeprefix("predictions").removesuffix(".jsonl").removeprefix(".") or None
        for records in _grouped(run.answered(variant), lambda record: record.item):
            sampled = len(records) > 1
            replies = [_replied(record, f"sample {record.sample}" if sampled else "") for record in records]
            kind = "evaluation" if variant is None else variant
            entries.append(_item(run, records[0], kind, replies))
    return entries


def of_comparison(runs: tuple[Run, Run], comparison: Comparison) -> list[Entry]:
    """The items that two evaluations scored differently, with both replies."""
    entries = []
    for pair in comparison.changed:
        both = zip(runs, pair, strict=True)
        replies = [_replied(prediction, str(run.path)) for run, prediction in both]
        entries.append(_item(runs[0], pair[0], COMPARED, replies, [CHANGED]))
    return entries


def _item(run: Run, asked: Prediction, kind: str, replies: list[Reply], marks: Sequence[str] = ()) -> Entry:
    gold = ", ".join(in_words(label, asked.choices) for label in asked.accepted) or "not known"
    # The knobs of an ablation are what its name says.
    task = task_label(asked.id.task, asked.id.level, {})
    group = Group(
        id=str(asked.id),
        kind=kind,
        run=str(run.path),
        task=f"{task}, {asked.category}" if asked.category else task,
        where=f"item {asked.item}",
        question=question_line(asked.prompt, asked.choices),
        prompt=asked.prompt,
        gold=gold,
        chance=asked.chance,
        replies=replies,
        marks=list(marks),
    )
    return Entry(run, asked.id, group)


def _replied(record: Prediction, by: str) -> Reply:
    answer = None if record.answer is None else in_words(record.answer, record.choices)
    return Reply(by, record.reply, answer, record.score, record.outcome, record.tokens)


def as_json(group: Group) -> Mapping[str, Any]:
    """The group for the page's script, without what is empty."""
    drawing = group.drawing
    row = {**vars(group), "replies": [_kept(vars(reply)) for reply in group.replies]}
    return _kept({**row, "drawing": None if drawing is None else vars(drawing)})


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value not in (None, "", [], ())}
