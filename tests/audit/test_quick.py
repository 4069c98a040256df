"""The check before training: what it says, that it ends in time, and that it stops nothing."""

import shlex
import time

import pytest
from planted import LEAKS, picks

import ssl4rl
from ssl4rl.audit import quick
from ssl4rl.audit.quick import quick_check
from ssl4rl.graph.tasks.link import Link


@pytest.fixture(scope="module")
def warm():
    """What the first example of a graph costs is not the check's."""
    ssl4rl.task("link").example(0)


@pytest.mark.parametrize(
    ("task", "found"),
    [
        (LEAKS["shows the right option's text outside the options"], "shows the right option's text outside"),
        (lambda: picks("memorised"), "memorised option earns 1.00 where chance is 0.25"),
        (lambda: picks("position"), "<answer>A</answer>"),
    ],
)
def test_a_fault_is_told_in_one_line_with_the_command_that_says_more(task, found):
    [line] = quick_check(task())
    assert found in line and "ssl4rl audit --task" in line


def test_the_command_that_says_more_is_about_the_same_examples(monkeypatch, tmp_path):
    (tmp_path / "my graph").mkdir()
    (tmp_path / "my graph" / "nodes.csv").write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in range(20)))
    edges = "".join(f"{n},{(n + step) % 20}\n" for n in range(20) for step in (1, 2, 5))
    (tmp_path / "my graph" / "edges.csv").write_text(f"source,target\n{edges}")
    monkeypatch.setattr(quick, "_suspicions", lambda task, examples: ["odd"])
    task = ssl4rl.task("link", str(tmp_path / "my graph"), level="easy", seed=3, text_budget=40)
    [line] = quick_check(task)
    words = shlex.split(line.partition("see ")[2])
    assert words[:6] == ["ssl4rl", "audit", "--task", "link", "--level", "easy"]
    assert words[6:] == ["--dataset", str(tmp_path / "my graph"), "--seed", "3", "--set", "task.text_budget=40"]


def test_each_task_of_a_mixture_is_checked_within_the_time(warm):
    mixture = ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("neighbor"), ssl4rl.task("rotation")])
    mixture.redrawn.clear()
    start = time.monotonic()
    [line] = quick_check(mixture, seconds=3.0)
    assert line.startswith("audit: nothing found in ") and line.endswith(" examples of 3 tasks and levels")
    assert time.monotonic() - start < 20 and not mixture.redrawn


class Broken(Link):
    def draft(self, index, rng):
        raise ZeroDivisionError("division by zero")


def test_a_task_that_breaks_is_a_line_and_no_crash():
    [line] = quick_check(Broken(ssl4rl.load("citations")))
    assert line == "audit: link@medium was not checked (ZeroDivisionError: division by zero)"
