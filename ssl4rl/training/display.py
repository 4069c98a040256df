"""What a person sees while a run trains: a live panel on a terminal, one line per step elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ssl4rl.progress import console as remarks
from ssl4rl.progress import is_quiet
from ssl4rl.runlog import RunLog

FLAT_STEPS = 3
"""So many flat steps in a row are not chance."""

COLLAPSED_STEPS, COLLAPSED = 10, 0.9
"""A model that gives one answer to more than this share of its prompts, for so many steps, has collapsed to it."""

COMMONEST = "answers/commonest"
"""The share of the commonest answer, and what the names of those of a mixture's tasks begin with."""

TASK_REWARD, OF_NO_TASK = "reward/", ("reward/sampled", "reward/selected")
"""What the names of the rewards of a mixture's tasks begin with, and those that are no task's."""

SHARE, MOST_RUNGS = "share/", 3
"""What the names of the shares of a curriculum's rungs begin with, and of how many rungs the rewards are shown."""


def explain_flat(
    rewards: Sequence[float], parsed: Sequence[float], valid: Sequence[float], easier: str, harder: str
) -> str:
    """Why nothing can be learned when every completion of each group scores the same, and what to try.

    ``rewards``, ``parsed`` and ``valid`` are the last steps' means; ``easier`` and ``harder`` the task's easiest and
    hardest level, each empty if the run is at it.
    """
    reward, readable, allowed = (sum(means) / len(means) for means in (rewards, parsed, valid))
    start = "every completion of a group scores the same, so there is nothing to learn from"
    if readable < 0.1:
        return (
            f"{start}: no answer can be read from the replies; if they are cut off, raise grpo.max_completion_length; "
            "otherwise try task.reasoning=false, reward.format=0.2 or another instruct model"
        )
    if allowed < 0.1:
        return (
            f"{start}: answers can be read, but they are none of those to choose from; try task.reasoning=false, "
            "reward.format=0.2 or another instruct model"
        )
    if reward > 0.9:
        return f"{start}: " + (f"the task is too easy; try --level {harder}" if harder else "all earn nearly all")
    if reward < 0.1:
        return f"{start}: " + (f"the task is too hard; try --level {easier}" if easier else "all earn next to nothing")
    return f"{start}: the model always replies the same to a prompt; raise grpo.temperature or use another model"


def explain_collapse(commonest: float) -> str:
    """What it means that nearly all replies give the same answer, and what helps."""
    return (
        f"{commonest:.0%} of the replies give the same answer whatever the prompt, for {COLLAPSED_STEPS} steps: the "
        "model has collapsed to it; go back to an earlier checkpoint and lower grpo.learning_rate, set "
        "grpo.use_adaptive_entropy=true or grpo.beta, or sample more prompts per step"
    )


def as_minutes(seconds: float) -> str:
    """``3:07``, or ``1:03:07``."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Shows the steps of a run; a context manager, so that the live panel is always closed."""

    def __init__(self, total: int, easier: str = "", harder: str = "", console: Console | None = None) -> None:
        self.total = total
        self.easier, self.harder = easier, harder
        self.console = console or remarks()
        self.log = RunLog()
        self._live: Live | None = None
        self._times: deque[float] = deque(maxlen=10)
        self._last = time.monotonic()
        self._flat: deque[tuple[float, float, float]] = deque(maxlen=FLAT_STEPS)
        self._flat_note = ""
        self._collapsed = 0
        self._collapse_note = ""

    def __enter__(self) -> Display:
        self._last = time.monotonic()
        if self.console.is_terminal and not is_quiet():
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Prints a line above the panel, and takes it down in the run's log."""
        self.log.note(line)
        if not is_quiet():
            self.console.print(line, markup=False)

    def step(self, step: int, logs: Mapping[str, Any]) -> None:
        """Shows one step's metrics: TRL's, ``valid``, and for a mixture the reward of each task."""
        now = time.monotonic()
        self._times.append(now - self._last)
        self._last = now
        pace = sum(self._times) / len(self._times)
        values = {
            "step": f"{step}/{self.total}",
            "reward": f"{_value(logs, 'reward'):.3f}",
            **_by_task(logs),
            "flat groups": f"{_value(logs, 'flat/before'):.0%}",
            **({"refilled to": f"{_value(logs, 'flat/after'):.0%}"} if logs.get("refill/rounds") else {}),
            "valid": f"{_value(logs, 'valid'):.0%}",
            "reply length": f"{_value(logs, 'completions/mean_length'):.0f}",
            "s/step": f"{pace:.1f}",
            "left": as_minutes(pace * (self.total - step)),
        }
        line = "  ".join(f"{name} {value}" for name, value in values.items())
        notes = [note for note in (self._explain_flat(logs), self._explain_collapse(logs)) if note]
        if self._live is not None:
            caption = "\n".join(note for note in (self._flat_note, self._collapse_note) if note)
            table = Table(*values, box=None, caption=caption or None, caption_justify="left")
            table.add_row(*values.values())
            self._live.update(table, refresh=True)
            self.log.note(line)
            return
        self.say(line)
        for note in notes:
            self.say(f"note: {note}")

    # A note is given when its cause has lasted for a while; the panel keeps it as long as the cause lasts.

    def _explain_flat(self, logs: Mapping[str, Any]) -> str:
        if _value(logs, "frac_reward_zero_std") < 1:
            self._flat.clear()
            self._flat_note = ""
            return ""
        self._flat.append((_value(logs, "reward"), _value(logs, "parsed"), _value(logs, "valid")))
        if len(self._flat) < FLAT_STEPS or self._flat_note:
            return ""
        rewards, parsed, valid = zip(*self._flat, strict=True)
        self._flat_note = explain_flat(rewards, parsed, valid, self.easier, self.harder)
        return self._flat_note

    def _explain_collapse(self, logs: Mapping[str, Any]) -> str:
        commonest = max((_value(logs, name) for name in logs if name.startswith(COMMONEST)), default=0.0)
        if commonest <= COLLAPSED:
            self._collapsed = 0
            self._collapse_note = ""
            return ""
        self._collapsed += 1
        if self._collapsed < COLLAPSED_STEPS or self._collapse_note:
            return ""
        self._collapse_note = explain_collapse(commonest)
        return self._collapse_note


def _by_task(logs: Mapping[str, Any]) -> dict[str, str]:
    """Reward and valid share of each task of a mixture: ``0.612 (98% valid)``; of a curriculum's largest rungs."""
    tasks = [name.removeprefix(TASK_REWARD) for name in logs if name.startswith(TASK_REWARD) and name not in OF_NO_TASK]
    if any(name.startswith(SHARE) for name in logs):
        tasks = sorted(tasks, key=lambda task: -_value(logs, SHARE + task))[:MOST_RUNGS]
    return {
        task: f"{_value(logs, TASK_REWARD + task):.3f} ({_value(logs, f'valid/{task}'):.0%} valid)" for task in tasks
    }


def _value(logs: Mapping[str, Any], name: str) -> float:
    value = logs.get(name)
    return 0.0 if value is None else float(value)
