"""The log of a run: what was said while it went on, with the time, and how it ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.runs import CONFIG

LOG = "log.txt"
"""Its name in the run's folder; a resumed run goes on with it."""


class RunLog:
    """Takes down lines, also before it is known where the run will be, and where nothing is shown."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._waiting: list[str] = []

    def note(self, line: str) -> None:
        """Takes a line down."""
        self._waiting.append(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {line}\n")
        # A folder with a file in it is no place for a new run: the log waits for its recipe.
        if self._folder is not None and (self._folder / CONFIG).is_file():
            # A full disk ends a run by what it cannot do without, which its log is not.
            with suppress(OSError), (self._folder / LOG).open("a", encoding="utf-8", errors="replace") as file:
                file.write("".join(self._waiting))
            self._waiting.clear()

    def beside(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """Says a line, and takes it down."""

        def both(line: str) -> None:
            say(line)
            self.note(line)

        return both

    @contextmanager
    def kept(self, folder: Path | None) -> Iterator[None]:
        """Writes the lines into a run's folder, and the error with which the block ends; nowhere for None."""
        self._folder = folder
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            self.note(f"ended by {type(stop).__name__}")
            raise
        except UserError as error:
            self.note(f"ended: {error}")
            raise
        except BaseException:
            self.note(f"ended by an error:\n{traceback.format_exc()}")
            raise
        finally:
            self._folder = None
