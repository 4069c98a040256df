"""Fixtures of the training tests."""

from pathlib import Path

import pytest
from toys import build_model, score_letters

from ssl4rl.answers import FUNCTIONS


@pytest.fixture(scope="session", autouse=True)
def letters() -> None:
    FUNCTIONS["score_letters"] = score_letters


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))
