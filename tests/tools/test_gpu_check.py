"""The check for those who have a GPU runs in full without one, with small shapes."""

import json

import pytest

from benchmarks.gpu import PARTS, run_part


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_every_part_runs_on_the_processor(name: str) -> None:
    part = run_part(name, small=True)
    assert part["rows"] and not any("failed" in row or row.get("passed") is False for row in part["rows"]), part
    json.dumps(part)
