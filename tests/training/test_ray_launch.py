"""What is refused before Ray starts; training on its workers is among the tests of `make test-slow`."""

import pytest
from typer.testing import CliRunner

from ssl4rl.cli.main import app
from ssl4rl.errors import UserError
from ssl4rl.training import ray_launch

TRAIN = ["graph", "train", "--task", "link"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["graph", "eval", "--benchmark", "node"],
            r"launch starts training: ssl4rl launch ray --workers 2 ",
        ),
        ([], r"launch starts training"),
        (TRAIN, r"several processes need to know where the run goes: give --output"),
        ([*TRAIN, "--output", "RUN"], r"ray is not installed; pip install 'ssl4rl\[ray\]'"),
    ],
)
def test_what_cannot_be_launched_is_one_line(command: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launch, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["launch", "ray", "--workers", "2", *command])
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise result.exception
