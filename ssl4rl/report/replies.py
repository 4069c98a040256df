"""One recorded reply as text, in the same layout for training and evaluation."""

from __future__ import annotations

from ssl4rl.records import Completion, Prediction, ReplyRecord
from ssl4rl.report.words import in_words


def reply_text(record: ReplyRecord) -> str:
    """The example, its prompt, the reply, and the answer that was right."""
    origin, gold = "", record.gold
    if isinstance(record, Completion):
        origin = f"step {record.step} · "
    elif isinstance(record, Prediction):
        number = f"sample {record.sample} · " if "sample" in record.model_fields_set else ""
        origin = f"item {record.item} · {number}"
        gold = ", ".join(in_words(label, record.choices) for label in record.accepted) or "not known"
    head = f"── {origin}{record.id} · {record.outcome} {record.score:.2f}"
    return f"{head}\n{record.prompt}\n→ {record.reply}\n  (gold: {gold})\n"
