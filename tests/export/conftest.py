"""Exports, and replies to their rows with the scores that they have here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ssl4rl
from ssl4rl.audit.blind import blind_replies
from ssl4rl.tasks import AnyTask

Case = dict[str, Any]
TASKS = ("rotation", "jigsaw", "contrastive", "position", "link", "neighbor", "attribute")


@pytest.fixture(scope="session")
def everything() -> AnyTask:
    """The paper's tasks on graphs and images, the answer alone asked for in one of them."""
    return ssl4rl.mix([*map(ssl4rl.task, TASKS), ssl4rl.task("link", level="easy", reasoning=False)])


@pytest.fixture(scope="session")
def texts() -> AnyTask:
    """Tasks without images."""
    return ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("neighbor"), ssl4rl.task("attribute", reasoning=False)])


@pytest.fixture(scope="session")
def cases() -> Callable[[AnyTask, int, int], list[Case]]:
    """Replies to the first rows of a task: right, right after reasoning, another row's, torn, and blind ones."""

    def call(task: AnyTask, rows: int, replies: int) -> list[Case]:
        examples = [task.example(index) for index in range(rows)]
        blind = blind_replies(examples)
        found = []
        for index, example in enumerate(examples):
            right = example.gold_reply
            given = [
                right,
                f"<think>It is <answer>1</answer>\n</think>\n{right}",
                examples[index - 1].gold_reply,
                right[:-3],
            ]
            given += [blind[(7 * index + place) % len(blind)] for place in range(replies - len(given))]
            found += [{"index": index, "reply": reply, "score": task.score(reply, example).value} for reply in given]
        return found

    return call


@pytest.fixture
def case_file(cases, tmp_path) -> Callable[[AnyTask, int, int], Path]:
    """The same in a file."""

    def call(task: AnyTask, rows: int, replies: int) -> Path:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps(cases(task, rows, replies)), encoding="utf-8")
        return path

    return call
