"""Tasks, sources and examples by name."""

from dataclasses import replace

import numpy as np
import pytest

import ssl4rl
from ssl4rl.build import find_kind
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.runs import Run, UsedSource


def test_a_task_by_name_takes_knobs_as_keywords():
    graph = ssl4rl.load("citations")
    task = ssl4rl.task("link", graph, level="easy", split="val", seed=2, fanout=3)
    assert task.source is graph
    assert (task.label, task.split, task.seed) == ("link@easy+fanout=3", "val", 2)
    assert ssl4rl.task("link").source.name == "citations"
    assert ssl4rl.task("rotation").source.name == "scenes"
    assert ssl4rl.benchmark("node").split == "test"
    with pytest.raises(UserError, match="did you mean link"):
        ssl4rl.task("lnk")


def test_kinds_are_found_by_name_by_content_or_as_told(tmp_path):
    assert find_kind("cora").name == "graph"
    assert find_kind("scenes").name == "images"
    assert find_kind("scenes", "questions").name == "questions"
    (tmp_path / "nodes.csv").write_text("id,text\n")
    assert find_kind(str(tmp_path)).name == "graph"
    with pytest.raises(UserError, match="did you mean scenes"):
        find_kind("scense")
    with pytest.raises(UserError, match="unknown kind of source 'grap'"):
        find_kind("cora", "grap")


@pytest.mark.parametrize("name", ["link", "neighbor", "rotation", "jigsaw"])
def test_an_id_rebuilds_its_example(name):
    task = ssl4rl.task(name, split="val", seed=1)
    example = task.example(3)
    again_task, again = ssl4rl.rebuild(str(example.id))
    assert (again.id, again.text, again.scoring) == (example.id, example.text, example.scoring)
    assert again_task.label == task.label


def test_a_benchmark_and_a_task_of_one_name_are_told_apart():
    task, benchmark = ssl4rl.task("link", level="paper"), ssl4rl.benchmark("link", level="paper", split="train")
    for asked in (task, benchmark):
        found, _ = ssl4rl.rebuild(asked.example(0).id)
        assert type(found) is type(asked)


def test_an_id_that_no_longer_fits_is_explained():
    example = ssl4rl.task("link").example(0)
    stale = f"{str(example.id).partition('#')[0]}#00000000"
    with pytest.raises(UserError, match=f"is now {example.id.source}.*--run RUN says which"):
        ssl4rl.rebuild(stale)
    with pytest.raises(UserError, match=r"'elsewhere' is unknown \(it is not registered\); add --dataset"):
        ssl4rl.rebuild(str(example.id).replace("citations", "elsewhere"))
    with pytest.raises(UserError, match="has no item 99999999"):
        ssl4rl.rebuild("citations/test/node@one-hop/0/99999999#00000000")
    with pytest.raises(UserError, match="unknown task 'lnk'"):
        ssl4rl.rebuild(str(example.id).replace("link", "lnk"))


@pytest.mark.parametrize(
    ("fingerprint", "version", "packages", "reason"),
    [
        ("0" * 64, Link.version, ssl4rl.__version__, "the content of citations .00000000 → "),
        (None, 77, ssl4rl.__version__, f"task link .version 77 → {Link.version}."),
        (None, Link.version, "0.0.1", r"ssl4rl .0\.0\.1 → "),
        (None, Link.version, ssl4rl.__version__, "nothing that was recorded"),
    ],
)
def test_a_run_says_what_changed(tmp_path, fingerprint, version, packages, reason):
    graph = ssl4rl.load("citations")
    run = Run.create(tmp_path / "run", {"seed": 0})
    run.write_environment(
        [UsedSource("graph", "citations", "citations", fingerprint or graph.fingerprint)], None, {"task link": version}
    )
    run.write_json("environment.json", {**run.environment, "packages": {"ssl4rl": packages}})
    stale = f"{str(ssl4rl.task('link').example(0).id).partition('#')[0]}#00000000"
    with pytest.raises(UserError, match=reason):
        ssl4rl.rebuild(stale, run=run)


def test_a_run_remembers_where_its_source_lies(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "nodes.csv").write_text("id,text\n" + "".join(f"{i},text number {i}\n" for i in range(40)))
    (folder / "edges.csv").write_text("source,target\n" + "".join(f"{i},{(i * 7 + 1) % 40}\n" for i in range(40)))
    task = ssl4rl.task("link", str(folder))
    run = Run.create(tmp_path / "run", {"seed": 0})
    run.write_environment([UsedSource("graph", "mine", str(folder), task.source.fingerprint)], None, {"task link": 1})
    example = task.example(0)
    assert ssl4rl.rebuild(example.id, run=run)[1].text == example.text
    with pytest.raises(UserError, match="did not use it"):
        ssl4rl.rebuild(str(example.id).replace("mine", "other"), run=run)


def test_a_source_remembers_how_it_was_loaded(tmp_path, house):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "nodes.csv").write_text("id,text\n" + "".join(f"{i},text number {i}\n" for i in range(40)))
    (folder / "edges.csv").write_text("source,target\n" + "".join(f"{i},{(i * 7 + 1) % 40}\n" for i in range(40)))
    used = UsedSource.of(ssl4rl.task("link", ssl4rl.load(str(folder))))
    assert (used.name, used.dataset) == ("mine", str(folder))
    assert UsedSource.of(ssl4rl.task("link")).dataset == "citations"
    in_memory = replace(ssl4rl.load("citations"), name="copy")
    task = ssl4rl.task("link", in_memory)
    assert UsedSource.of(task).dataset is None
    run = Run.create(tmp_path / "run", {"seed": 0})
    run.write_environment([UsedSource.of(task)], None, {"task link": 1})
    with pytest.raises(UserError, match="the run used copy from memory"):
        ssl4rl.rebuild(task.example(0).id, run=run)
    assert ssl4rl.rebuild(task.example(0).id, in_memory)[1].text == task.example(0).text


def test_a_benchmark_that_refuses_its_source_does_not_hide_the_task_of_its_name():
    every = np.stack(np.triu_indices(12, 1))
    # Only two pairs are not linked.
    edges = every[:, ~np.isin(every[0] * 12 + every[1], [1, 2 * 12 + 3])]
    crowded = TextAttributedGraph.from_edges("crowded", [f"thing {i}" for i in range(12)], edges)
    task = ssl4rl.task("link", crowded, level="paper")
    for index in range(6):
        example = task.example(index)
        assert ssl4rl.rebuild(example.id, crowded)[1].text == example.text
