"""The contract of every registered graph task (benchmarks on split test) at every level, on every source at hand.

500 examples each; ``make audit-full`` looks at 10,000.
"""

import pytest

from experiments.audit import TAGLAS, Leaks, audit, every_task, shown_edges
from ssl4rl.data import load_graph
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.graph.tasks.link import Link


@pytest.fixture(scope="module", params=["citations", "folder_tag", *TAGLAS])
def source(request, tmp_path_factory):
    if request.param == "citations":
        return load_graph(None)
    real = request.getfixturevalue("real_data")
    if request.param == "folder_tag":
        return load_graph(str(real / "folder_tag"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL4RL_HOME", str(tmp_path_factory.mktemp("home")))
        fetch(request.param, real / "taglas")
        return load_graph(request.param)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_gold_scores_one_nothing_blind_beats_chance_and_nothing_leaks(source, split):
    rows = [audit(task, 100 if split == "val" else 500) for task in every_task(source, split)]
    assert len(rows) >= (12 if split != "test" else 4)
    for row in rows:
        assert (row["gold_below_1"], row["leaks"], row["blind_above_chance"]) == (0, [], {}), row


def test_the_audit_finds_what_is_planted():
    graph = load_graph(None)
    task = Link(graph, knobs={"num_hops": 2, "fanout": 10})
    leaks = Leaks(graph)
    example = next(e for e in map(task.example, range(100)) if e.target == "yes" and e.meta["edges"])
    assert leaks.of(example) == []
    first, second = (
        next(n for n, node in example.meta["nodes"].items() if node == asked) for asked in example.meta["asked"]
    )
    planted = example.text.replace("Edges: ", f"Edges: {first}-{second}, ")
    object.__setattr__(example, "parts", (planted,))
    example.meta["edges"].append(example.meta["asked"])
    assert leaks.of(example) == ["shows the asked edge"]
    leaks.held_out = leaks.linked
    assert "shows an edge of val or test" in leaks.of(example)
    assert len(list(shown_edges(planted))) == len(example.meta["edges"])
