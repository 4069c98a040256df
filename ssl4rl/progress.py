"""How far something is that takes long: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

EVERY_SECONDS = 30.0
"""Between two lines where there is no terminal; what takes less prints none."""


_quiet = False


def be_quiet(quiet: bool) -> None:
    """Leaves out progress and remarks from now on, or no longer."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether progress and remarks are left out."""
    return _quiet


_facts_only = False


def only_facts(only: bool) -> None:
    """Leaves standard output to what a program reads (``--json``): remarks go to standard error, or no longer."""
    global _facts_only
    _facts_only = only


def console() -> Console:
    """Where remarks are printed."""
    from rich.console import Console

    return Console(stderr=_facts_only, highlight=False, soft_wrap=True)


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Shows on standard error how many of ``total`` are done; what it yields is called with how many more are."""
    if done >= total or _quiet:
        yield lambda more: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done)
            yield lambda more: bar.advance(task, more)
        return
    before, started = done, time.monotonic()
    last = started
    over = threading.Event()

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        last = time.monotonic()

    def report() -> None:
        """Says how far it is also while nothing is finished, so that a slow server can be told from a dead one."""
        while not over.wait(EVERY_SECONDS):
            idle = time.monotonic() - last
            note = f" (the last one {idle:.0f} s ago)" if idle >= EVERY_SECONDS else ""
            if not note and done > before:
                minutes = (total - done) * (last - started) / (done - before) / 60
                note = f" (about {minutes:.0f} min left)" if minutes >= 1 else " (less than a minute left)"
            sys.stderr.write(f"{title}: {done:,} of {total:,}{note}\n")
            sys.stderr.flush()

    threading.Thread(target=report, daemon=True).start()
    try:
        yield advance
    finally:
        over.set()
