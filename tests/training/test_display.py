"""What is printed while a run trains."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from ssl4rl.training.display import Display, explain_flat


def logs(reward: float, flat: float = 0.25, **more: float) -> dict[str, float]:
    return {
        "reward": reward,
        "reward/selected": 0.9,
        "reward/sampled": 0.9,
        "frac_reward_zero_std": flat,
        "flat/before": flat,
        "flat/after": flat,
        "refill/rounds": 0,
        "parsed": 1.0,
        "valid": 1.0,
        "answers/commonest": 0.5,
        "completions/mean_length": 21.4,
        **more,
    }


def shown(*steps: dict[str, float], terminal: bool = False) -> str:
    out = io.StringIO()
    with Display(10, "easy", "hard", Console(file=out, force_terminal=terminal, width=160)) as display:
        for number, step in enumerate(steps, start=1):
            display.step(number, step)
    return out.getvalue()


def test_one_line_per_step_where_there_is_no_terminal() -> None:
    [line] = shown(logs(0.5)).splitlines()
    assert line.startswith("step 1/10  reward 0.500  flat groups 25%  valid 100%  reply length 21  s/step 0.0  left 0:")


def test_the_reward_of_each_task_of_a_mixture() -> None:
    [line] = shown(
        {**logs(0.5), "reward/link@medium": 0.25, "valid/link@medium": 0.9, "rewards/score/mean": 0.5}
    ).splitlines()
    assert line.startswith("step 1/10  reward 0.500  link@medium 0.250 (90% valid)  flat groups 25%")


def test_what_a_refill_left() -> None:
    [line] = shown(logs(0.5, **{"flat/before": 0.75, "flat/after": 0.125, "refill/rounds": 4})).splitlines()
    assert "flat groups 75%  refilled to 12%  valid" in line


def test_a_collapse_to_one_answer_is_said_after_ten_steps() -> None:
    collapsed = logs(0.25, **{"answers/commonest": 0.95})
    assert shown(*[collapsed] * 9).count("note:") == 0
    text = " ".join(shown(*[collapsed] * 15).split())
    assert text.count("note:") == 1 and "95% of the replies give the same answer" in text
    assert "lower grpo.learning_rate" in text and "grpo.use_adaptive_entropy=true" in text
    assert shown(*[collapsed] * 9, logs(0.5), *[collapsed] * 9).count("note:") == 0
    # One task of a mixture can collapse while the others do not.
    one = logs(0.25, **{"answers/commonest/link@medium": 0.99})
    assert shown(*[one] * 10).count("note:") == 1
    assert "collapsed to it" in shown(*[collapsed] * 10, terminal=True).replace("\n", " ")


def test_a_live_panel_on_a_terminal() -> None:
    text = shown(logs(0.5), logs(0.75), terminal=True)
    assert "2/10" in text and "0.750" in text and "reply length" in text


def test_a_flat_reward_is_explained_once_and_again_after_it_moved() -> None:
    flat = logs(0.99, flat=1.0)
    assert shown(flat, flat).count("note:") == 0
    assert shown(flat, flat, flat, flat, flat).count("note: every completion of a group scores the same") == 1
    assert shown(flat, flat, flat, logs(0.5), flat, flat, flat).count("note:") == 2
    assert "too easy; try --level hard" in shown(flat, flat, flat, terminal=True).replace("\n", " ")


@pytest.mark.parametrize(
    ("reward", "parsed", "valid", "words"),
    [
        (0.0, 0.0, 0.0, "no answer can be read"),
        (0.0, 0.9, 0.05, "none of those to choose from; try task.reasoning=false"),
        (0.97, 1.0, 1.0, "too easy; try --level hard"),
        (0.02, 0.9, 0.9, "too hard; try --level easy"),
        (0.5, 1.0, 1.0, "temperature"),
    ],
)
def test_why_a_reward_is_flat(reward: float, parsed: float, valid: float, words: str) -> None:
    assert words in explain_flat([reward] * 3, [parsed] * 3, [valid] * 3, "easy", "hard")
    assert "--level" not in explain_flat([reward], [parsed], [valid], "", "")


STEPS = """
from ssl4rl.training.display import Display
with Display(3) as display:
    display.say("writing to runs/first")
    for step in (1, 2, 3):
        display.step(step, {"reward": 0.25 * step, "frac_reward_zero_std": 1, "valid": 0.0, "parsed": 0.0})
"""


def test_a_real_terminal_gets_a_table_that_is_drawn_again_and_a_pipe_gets_plain_lines() -> None:
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", STEPS]
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment) as process:
        os.close(slave)
        drawn = b""
        try:
            while part := os.read(master, 65536):
                drawn += part
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(master)
    terminal = drawn.decode()
    assert process.returncode == 0 and "writing to runs/first" in terminal
    # Each step is drawn over the one before, whose lines are erased first.
    assert all(f"{step}/3" in terminal for step in (1, 2, 3)) and terminal.count("\x1b[2K") >= 4
    assert "no answer can be read from the replies" in " ".join(terminal.split())

    piped = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = piped.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "writing to runs/first",
        *("step 1/3", "step 2/3", "step 3/3"),
        "note: every completion of a group scores the same, so there is nothing to learn from: no answer can be read "
        "from the replies; if they are cut off, raise grpo.max_completion_length; otherwise try task.reasoning=false, "
        "reward.format=0.2 or another instruct model",
    ]
    assert "\x1b" not in piped.stdout and not piped.stderr
