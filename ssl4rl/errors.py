"""Errors that are the user's to fix: the command line prints them as one line and exits with 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix; the message says what was wrong, where, and what to do."""


class NotApplicable(UserError):
    """The source lacks what the task needs (relations, labels, enough edges)."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """An error for a name that does not exist, with the nearest valid ones (or all of them, if none is near)."""
    names = sorted(set(valid))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return UserError(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")
    return UserError(f"unknown {kind} {name!r}; there are: {', '.join(names) or 'none'}")
