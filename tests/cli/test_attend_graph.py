"""``graph attend`` end to end: what of a graph a model looks at, drawn, recorded, and in the report of a run."""

import json
import shutil
import xml.etree.ElementTree as Xml

import pytest

from ssl4rl.build import task
from ssl4rl.graph.read_graph import shown_texts
from ssl4rl.models import embedded_path
from ssl4rl.report.attention import GraphRecord, pictures_of
from ssl4rl.runs import Run, UsedSource

HOSTILE = "</text><script>alert(1)</script> $x_1$ [bold]"


@pytest.fixture
def hostile(tmp_path):
    """A ring with chords whose texts would be scripts, mathematics or markup if they were not escaped."""
    here = tmp_path / "graph"
    here.mkdir()
    (here / "nodes.csv").write_text("id,text\n" + "".join(f'{i},"{HOSTILE} {i}"\n' for i in range(60)))
    edges = "".join(f"{i},{(i + 1) % 60}\n{i},{(i * 7 + 3) % 60}\n" for i in range(60))
    (here / "edges.csv").write_text("source,target\n" + edges)
    return str(here)


def test_models_side_by_side(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = task("link", "citations").example(0)
    code, out, err = run("graph", "attend", example.id, "--model", "tiny", "--model", "tiny")
    assert code == 0, err
    shown = shown_texts(example.text)
    assert all(f"[{number}]" in out for number in shown) and "question and options" in out
    assert out.endswith("wrote attention.svg\n")
    assert "tiny: of the attention from 'no'" in out or "tiny: of the attention from 'yes'" in out
    drawn = Xml.fromstring((tmp_path / "attention.svg").read_text())
    texts = ["".join(each.itertext()) for each in drawn.iter() if each.tag.endswith("}text")]
    assert texts.count("tiny") == 2 and all(any(words in text for text in texts) for words in shown.values())

    code, out, _ = run("graph", "attend", example.id, "--word", "edge", "--layer", "2", "--json")
    row = json.loads(out)
    assert code == 0 and row["id"] == str(example.id) and row["layer"] == 2 and row["token"].strip() == "edge"
    shares = [*row["nodes"].values(), *row["edges"].values(), row["question"], row["rest"]]
    assert sum(each["share"] for each in shares) == pytest.approx(1, abs=1e-5)
    assert row["nodes"].keys() == example.meta["nodes"].keys() and len(row["edges"]) == len(example.meta["edges"])


def test_a_run_keeps_the_map_of_its_base_beside_its_trained_model(run, hostile, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    asked = task("link", hostile)
    kept = Run.create(tmp_path / "a run", {"tasks": [], "model": {"path": "tiny"}})
    kept.write_environment([UsedSource.of(asked)], "0123", {})
    shutil.copytree(embedded_path("tiny"), kept.path / "model")
    code, out, err = run("graph", "attend", asked.example(0).id, "--run", kept.path)
    assert code == 0 and "[bold]" in out, err
    [drawn] = pictures_of(kept)
    assert drawn.suffix == "svg" and drawn.data == next((kept.path / "attention").glob("*.svg")).read_bytes()
    assert b"<script" not in drawn.data and b"&lt;script" in drawn.data and b"$x_1$" in drawn.data
    assert [head.partition(", from")[0] for head in drawn.table.head[1:3]] == ["tiny", "a run"]


def test_errors_are_one_line(run, refused, tmp_path):
    asked = task("link", "citations").example(0)
    example, shown = asked.id, shown_texts(asked.text)
    assert "is not the id of an example" in refused("graph", "attend", "link")
    assert "'zebra' is not in the question" in refused("graph", "attend", example, "--word", "zebra")
    assert "is not in the question" in refused("graph", "attend", example, "--word", shown["1"])
    assert "--layer 9: the model has layers 1 to" in refused("graph", "attend", example, "--layer", "9", "--json")
    assert "cannot be written" in refused("graph", "attend", example, "--svg", tmp_path / "no" / "out.svg")
    image = task("rotation", "scenes").example(0).id
    assert "rotation is for ssl4rl vision" in refused("graph", "attend", image)
    kept = Run.create(tmp_path / "run", {"tasks": [], "model": {"path": "tiny"}})
    assert "has no trained model" in refused("graph", "attend", example, "--run", kept.path, "--dataset", "citations")


def test_what_is_not_found_is_not_drawn():
    from ssl4rl.errors import UserError
    from ssl4rl.report.attention import graph_record
    from ssl4rl.report.shown import Drawing

    drawing = Drawing([("1", 0.0, 0.0, True), ("2", 1.0, 1.0, False)], [(0, 1)], directed=True)
    share = {"share": 0.1, "tokens": 1}
    found = {"model": "m", "token": "t", "nodes": {"1": share}, "edges": {"2-1": share}, "question": share}
    record = {"id": "x", "texts": {}, "drawing": drawing, "maps": [{**found, "rest": share}]}
    with pytest.raises(UserError, match=r"1-2, \[2\] cannot be found in the prompt of x"):
        graph_record("x", {}, drawing, GraphRecord.model_validate(record).maps)
