"""Recorded replies as text, in the same layout for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from ssl4rl.records import Completion, Prediction, ReplyRecord
from ssl4rl.report.words import in_words


def replies_text(records: Sequence[ReplyRecord]) -> str:
    """The example, its prompt and the right answer, and below them the replies to it, each with what it scored."""
    first = records[0]
    origin, gold = "", first.gold
    if isinstance(first, Completion):
        origin = f"step {first.step} · "
    elif isinstance(first, Prediction):
        origin = f"item {first.item} · "
        gold = ", ".join(in_words(label, first.choices) for label in first.accepted) or "not known"
    replies = [f"→ {_verdict(record)}\n{record.reply}" for record in records]
    return "\n".join([f"── {origin}{first.id}", first.prompt, f"  (gold: {gold})", *replies, ""])


def _verdict(record: ReplyRecord) -> str:
    """``sample 3 · correct 1.00``, and ``not trained on`` where that is so."""
    number = (
        f"sample {record.sample} · " if "sample" in record.model_fields_set and isinstance(record, Prediction) else ""
    )
    replaced = ", not trained on" if isinstance(record, Completion) and not record.selected else ""
    return f"{number}{record.outcome} {record.score:.2f}{replaced}"


def by_example(records: Sequence[ReplyRecord]) -> list[list[ReplyRecord]]:
    """The replies to each example (at a step) together, in the order in which the first of them stand."""
    groups: dict[tuple[str, int | None], list[ReplyRecord]] = {}
    for record in records:
        step = record.step if isinstance(record, Completion) else None
        groups.setdefault((str(record.id), step), []).append(record)
    return list(groups.values())
