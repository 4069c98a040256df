"""What the engines are asked: prompts that the embedded model was trained on, of unequal lengths."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import ssl4rl
from ssl4rl.answers import FUNCTIONS
from ssl4rl.inference.engines import open_engine
from ssl4rl.inference.messages import Messages

# The tiny models that are built for tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

LABELS = ["yes", "no"]
# Choices that share tokens, one that begins another, and two that share more than a block of vLLM's cache.
PHRASES = ["[1] same", "[1]", "[2] same", "medicine " * 40 + "same", "medicine " * 40 + "botany"]


@pytest.fixture(scope="session", autouse=True)
def letters() -> None:
    from toys import score_letters

    FUNCTIONS["score_letters"] = score_letters


@pytest.fixture(scope="session")
def conversations() -> list[Messages]:
    task = ssl4rl.task("link", split="val")
    once = [task.example(index).messages() for index in range(20)]
    return [[{"role": "user", "content": one[0]["content"] * (1 + index % 3)}] for index, one in enumerate(once)]


@pytest.fixture(scope="session")
def choices(conversations: list[Messages]) -> list[list[str]]:
    answers = [PHRASES if index % 4 == 0 else LABELS for index in range(len(conversations))]
    # The last ones are bare, as they are with `reasoning=false`.
    tagged = len(answers) - 4
    return [
        [f"<answer>{answer}</answer>" for answer in some] if index < tagged else some
        for index, some in enumerate(answers)
    ]


@pytest.fixture(scope="session")
def reference() -> Any:
    """The embedded model, run by transformers in float32."""
    return open_engine("transformers", "tiny", dtype="float32", batch_size=6)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from toys import build_model

    return build_model(tmp_path_factory.mktemp("model"))
