"""Errors that are the user's to fix: the command line prints them as one line and exits with 2."""

import difflib
from collections.abc import Iterable

LONGEST_QUOTE = 200
"""Characters of a value that a message quotes."""


LONGEST_NAME, MOST_NAMES = 60, 30
"""Characters of a name, and names, that a message lists."""


LONGEST_MESSAGE, KEPT_OF_ITS_END = 4_000, 1_000
"""Characters of a message, whatever it quotes; and of what it says last, which is what to do."""


class UserError(Exception):
    """Something the user can fix; the message says what was wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE - KEPT_OF_ITS_END]} … {message[-KEPT_OF_ITS_END:]}"
        super().__init__(message)


class NotApplicable(UserError):
    """The source lacks what the task needs (relations, labels, enough edges)."""


class FirstProblem(UserError):
    """What is wrong with a user's file, after which there may be more."""


def quoted(value: object) -> str:
    """What a message quotes: as Python writes it, and cut where it would no longer fit on a screen."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def listed(names: Iterable[str]) -> str:
    """Names for a message, with commas: as many as fit on a screen, each cut where it is long.

    >>> listed(["id", "text"]), listed(map(str, range(40)))[-22:]
    ('id, text', '27, 28, 29 and 10 more')
    """
    every = list(names)
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in every[:MOST_NAMES]]
    more = f" and {len(every) - len(shown):,} more" if len(every) > len(shown) else ""
    return f"{', '.join(shown)}{more}" if every else "none"


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """An error for a name that does not exist, with the nearest valid ones (or all of them, if none is near)."""
    names = sorted(set(valid))
    near = difflib.get_close_matches(name[:LONGEST_QUOTE], names, n=3, cutoff=0.5)
    if near:
        return UserError(f"unknown {kind} {quoted(name)}; did you mean {' or '.join(near)}?")
    return UserError(f"unknown {kind} {quoted(name)}; there are: {listed(names)}")
