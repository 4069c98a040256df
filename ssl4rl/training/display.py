"""What a person sees while a run trains: a live panel on a terminal, one line per step elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

FLAT_STEPS = 3
"""So many flat steps in a row are not chance."""

TASK_REWARD = "reward/"
"""What the names of the rewards of a mixture's tasks begin with."""


def explain_flat(rewards: Sequence[float], parsed: Sequence[float], levels: Sequence[str]) -> str:
    """Why nothing can be learned when every completion of each group scores the same, and what to try.

    ``rewards`` and ``parsed`` are the last steps' means; ``levels`` the task's levels from easy to hard.
    """
    reward, readable = sum(rewards) / len(rewards), sum(parsed) / len(parsed)
    start = "every completion of a group scores the same, so there is nothing to learn from"
    if readable < 0.1:
        return f"{start}: no answer can be read from the replies; is this an instruct model? are replies cut off?"
    if reward > 0.9:
        return f"{start}: the task is too easy; try --level {levels[-1] if levels else 'with a harder one'}"
    if reward < 0.1:
        return f"{start}: the task is too hard; try --level {levels[0] if levels else 'with an easier one'}"
    return f"{start}: the model always replies the same to a prompt; raise grpo.temperature or use another model"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Shows the steps of a run; a context manager, so that the live panel is always closed."""

    def __init__(self, total: int, levels: Sequence[str] = (), console: Console | None = None) -> None:
        self.total = total
        self.levels = levels
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._times: deque[float] = deque(maxlen=10)
        self._last = time.monotonic()
        self._flat: deque[tuple[float, float]] = deque(maxlen=FLAT_STEPS)
        self._note = ""

    def __enter__(self) -> Display:
        self._last = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Prints a line above the panel."""
        self.console.print(line, markup=False)

    def step(self, step: int, logs: Mapping[str, Any]) -> None:
        """Shows one step's metrics: TRL's, ``parsed``, and for a mixture the reward of each task."""
        now = time.monotonic()
        self._times.append(now - self._last)
        self._last = now
        pace = sum(self._times) / len(self._times)
        values = {
            "step": f"{step}/{self.total}",
            "reward": f"{_value(logs, 'reward'):.3f}",
            **_by_task(logs),
            "flat groups": f"{_value(logs, 'frac_reward_zero_std'):.0%}",
            "parsed": f"{_value(logs, 'parsed'):.0%}",
            "reply length": f"{_value(logs, 'completions/mean_length'):.0f}",
            "s/step": f"{pace:.1f}",
            "left": _duration(pace * (self.total - step)),
        }
        note = self._explain(logs)
        if self._live is not None:
            table = Table(*values, box=None, caption=self._note or None, caption_justify="left")
            table.add_row(*values.values())
            self._live.update(table, refresh=True)
            return
        self.say("  ".join(f"{name} {value}" for name, value in values.items()))
        if note:
            self.say(f"note: {note}")

    def _explain(self, logs: Mapping[str, Any]) -> str:
        """The explanation of a flat reward when it starts; the panel keeps it while the reward is flat."""
        if _value(logs, "frac_reward_zero_std") < 1:
            self._flat.clear()
            self._note = ""
            return ""
        self._flat.append((_value(logs, "reward"), _value(logs, "parsed")))
        if len(self._flat) < FLAT_STEPS or self._note:
            return ""
        rewards, parsed = zip(*self._flat, strict=True)
        self._note = explain_flat(rewards, parsed, self.levels)
        return self._note


def _by_task(logs: Mapping[str, Any]) -> dict[str, str]:
    """Reward and parsed share of each task of a mixture: ``0.612 (98% parsed)``."""
    columns = {}
    for name in logs:
        if name.startswith(TASK_REWARD):
            task = name.removeprefix(TASK_REWARD)
            columns[task] = f"{_value(logs, name):.3f} ({_value(logs, f'parsed/{task}'):.0%} parsed)"
    return columns


def _value(logs: Mapping[str, Any], name: str) -> float:
    value = logs.get(name)
    return 0.0 if value is None else float(value)
