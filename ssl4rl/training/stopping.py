"""Stopping a run at a signal or a time limit, after a step whose checkpoint can be resumed exactly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from transformers import TrainerCallback

AGAIN_SECONDS = 2.0
"""A launcher passes a signal on that its processes got from the terminal already: so soon, it is the same one."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop(TrainerCallback):  # type: ignore[misc]
    """Ends training after the first step where a checkpoint can be resumed exactly, which it has saved.

    A context manager: inside, SIGINT and SIGTERM ask for the stop, and a second one gives up at once. ``seconds`` is a
    limit on the time since ``started`` (of the monotonic clock): training ends before the next stretch of steps would
    pass it, if that is as long as the longest so far.

    Args:
        multiple: a checkpoint after so many steps, or a multiple of them, can be resumed exactly.
        agree: whether any process asks for the stop; the same answer on all of them.
        say: prints a line.
    """

    def __init__(
        self,
        multiple: int,
        agree: Callable[[bool], bool],
        say: Callable[[str], None],
        started: float,
        seconds: float | None = None,
    ) -> None:
        self.multiple, self.agree, self.say = multiple, agree, say
        self.started, self.seconds = started, seconds
        self.signal: int | None = None
        """The signal that asked for the stop."""
        self.stopped = False
        """Whether training was ended."""
        self._asked = 0.0
        self._before: Sequence[Any] = ()
        self._last = self._longest = 0.0

    def __enter__(self) -> Stop:
        # Python allows handlers in its main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = [signal.signal(each, self._ask) for each in SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in zip(SIGNALS, self._before, strict=False):
            signal.signal(each, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._asked = number, now
            name = signal.Signals(number).name
            self.say(f"{name}: stopping after this step, with a checkpoint; again to stop at once")
        elif now - self._asked > AGAIN_SECONDS:
            raise KeyboardInterrupt

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.multiple:
            return
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now
        late = self.seconds is not None and now + self._longest - self.started > self.seconds
        if state.global_step >= state.max_steps:
            late = False  # no step is left
        if self.agree(self.signal is not None or late):
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True
