"""A short run of ``python -m benchmarks.endurance``: nothing stays open, and workers agree."""

from benchmarks.endurance import digests, run_evaluation, train
from ssl4rl.data.graphs.citations import default_graph

FEW = 4
"""Files that the rest of the process may open meanwhile; a run that forgets one an example opens a hundred."""


def test_a_run_leaves_no_file_open(tmp_path):
    for rows in (
        train(default_graph(), 160, tmp_path / "train"),
        run_evaluation(default_graph(), 100, tmp_path / "eval"),
    ):
        assert len(rows) == 3 and rows[-1]["files"] <= rows[0]["files"] + FEW, rows


def test_any_number_of_workers_draws_the_same_examples():
    assert len(set(digests(default_graph(), (1, 2, 8), 40).values())) == 1
