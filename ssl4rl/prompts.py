"""The sentences and labels that all prompts share: the form of the reply, and lettered options."""

from __future__ import annotations

from collections.abc import Sequence

OPTION_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

REPLY_FORMAT = "Reason inside <think></think>, then give {answer} inside <answer></answer>."
DIRECT_FORMAT = "Give {answer} inside <answer></answer> and nothing else."


def reply_form(answer: str, reasoning: bool = True) -> str:
    """The last sentence of a prompt, ``answer`` being what to give: "one letter".

    >>> reply_form("yes or no")
    'Reason inside <think></think>, then give yes or no inside <answer></answer>.'
    """
    return (REPLY_FORMAT if reasoning else DIRECT_FORMAT).format(answer=answer)


def option_labels(count: int) -> list[str]:
    """Labels of ``count`` options: letters as far as the alphabet goes, else numbers from 1."""
    return list(OPTION_LETTERS[:count]) if count <= len(OPTION_LETTERS) else [str(i + 1) for i in range(count)]


def label_noun(count: int) -> str:
    """What a reply that picks one of ``count`` options is: "one letter" or "one number"."""
    return "one letter" if count <= len(OPTION_LETTERS) else "one number"


def write_options(texts: Sequence[str]) -> str:
    """Labelled lines: "A: first", "B: second"."""
    return "\n".join(f"{label}: {text}" for label, text in zip(option_labels(len(texts)), texts, strict=True))
