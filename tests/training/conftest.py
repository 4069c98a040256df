"""Fixtures of the training tests."""

from pathlib import Path

import pytest
from toys import build_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))
