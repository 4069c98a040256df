import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ssl4rl.data.graphs import GRAPH
from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS


def test_the_default_is_embedded() -> None:
    graph = GRAPH.load()
    assert graph.num_edges > 0
    assert graph.fingerprint == GRAPH.load("citations").fingerprint


def documented() -> list[str]:
    """The programs on the page of datasets: a registered function, and a large graph."""
    page = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_documented_large_graph_is_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("edges.npy", np.array([[0, 1, 2], [1, 2, 0]]))
    Path("texts.txt").write_text("one\ntwo\nthree\n")
    _, code = documented()
    exec(compile(code, "docs/datasets.md", "exec"), {})
    assert list(GRAPH.load("./web").texts) == ["one", "two", "three"] and GRAPH.load("./web").num_edges == 3


def test_the_documented_function_is_a_dataset() -> None:
    code, _ = documented()
    exec(compile(code, "docs/datasets.md", "exec"), {})

    assert GRAPH.load("rivers").node_meaning == "a river"
    assert "rivers" in GRAPHS.names()
    with pytest.raises(UserError, match="'rivers' exists already"):
        GRAPHS.register("rivers")(GRAPH.load)


def test_an_unknown_name_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"unknown dataset 'corra'; did you mean cora\?"):
        GRAPH.load("corra")
    with pytest.raises(UserError, match=r"there is no folder \./corra"):
        GRAPH.load("./corra")


def test_folders_that_hold_a_graph_are_recognised(tmp_path: Path) -> None:
    assert not GRAPH.recognises(str(tmp_path)) and not GRAPH.recognises(str(tmp_path / "nowhere"))
    for name in ("graph.json", "nodes.jsonl", "edges.csv", "nodes.xlsx"):
        (tmp_path / name).touch()
        assert GRAPH.recognises(str(tmp_path))
        assert not GRAPH.recognises(str(tmp_path / name))
        (tmp_path / name).unlink()


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\n")
    with pytest.raises(UserError, match=r"nodes\.csv is a file; give the folder"):
        GRAPH.load(str(tmp_path / "nodes.csv"))


def test_a_folder_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "nodes.csv").write_text("id,text\na,x\nb,y\n")
    (tmp_path / "mine" / "edges.csv").write_text("source,target\na,b\n")
    monkeypatch.chdir(tmp_path)
    assert GRAPH.load("mine").name == "mine"


def test_an_entry_point_is_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "brooks.py").write_text(
        "import numpy as np\nfrom ssl4rl.graph.graph import TextAttributedGraph\n"
        "def brooks():\n    return TextAttributedGraph.from_edges('brooks', ['x', 'y'], np.array([[0], [1]]))\n"
    )
    about = tmp_path / "brooks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brooks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ssl4rl.graphs]\nbrooks = brooks:brooks\n")
    done = subprocess.run(
        [sys.executable, "-c", "import ssl4rl; print(ssl4rl.load('brooks').texts)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['x', 'y']\n", done.stderr
