"""A few of the kills of ``python -m experiments.kills``, which does fifty."""

import pytest

from experiments.kills import Harness


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("kills"), seed=1)


@pytest.mark.parametrize(("what", "kills"), [("training", 2), ("evaluation", 1)])
def test_a_run_that_was_killed_ends_like_an_uninterrupted_one(harness: Harness, what: str, kills: int) -> None:
    series = harness.series(what, 0, kills)
    assert not series.problem
