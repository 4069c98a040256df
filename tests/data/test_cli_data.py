import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import ssl4rl
from ssl4rl.cli.data import app
from ssl4rl.data.graphs.taglas_raw import RAW
from ssl4rl.errors import UserError
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import Report


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def error(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_list_says_what_is_here(samples: Path, home: Path) -> None:
    assert "not yet: ssl4rl data fetch cora" in output("list")
    output("fetch", "cora", "--from", samples)
    entries = {
        (entry["kind"], entry["name"]): entry for entry in map(json.loads, output("list", "--json").splitlines())
    }
    assert next(iter(entries)) == ("graph", "citations")
    citations = entries["graph", "citations"]
    assert citations == {"name": "citations", "kind": "graph", "from": "embedded", "here": True}
    assert entries["graph", "cora"]["here"] and not entries["graph", "pubmed"]["here"]
    assert entries["graph", "cora"]["folder"] == str(home / "graphs" / "cora")


def test_every_registered_source_is_listed() -> None:
    listed = [(entry["kind"], entry["name"]) for entry in map(json.loads, output("list", "--json").splitlines())]
    kinds = [SOURCE_KINDS.get(name) for name in SOURCE_KINDS.names()]
    assert listed == [(kind.name, name) for kind in kinds for name in kind.registry.names()]
    for kind in kinds:
        assert next(
            line.split()[2:] for line in output("list").splitlines() if line.split()[:2] == [kind.default, kind.name]
        ) == ["embedded", "ready"]


@pytest.mark.parametrize("kind", SOURCE_KINDS.names())
def test_the_embedded_source_of_every_kind_is_described_and_valid(kind: str) -> None:
    default = SOURCE_KINDS.get(kind).default
    facts = json.loads(output("info", default, "--kind", kind, "--json"))
    assert facts["kind"] == kind
    report = json.loads(output("validate", default, "--kind", kind, "--json"))
    assert {"kind": kind, **report["summary"]} == facts
    assert (report["dataset"], report["kind"], report["valid"], report["problems"]) == (default, kind, True, [])
    assert output("info", default, "--kind", kind).split()[:2] == ["kind", kind]
    assert output("validate", default, "--kind", kind).startswith(f"{default} is valid.\n")


def test_what_is_skipped_is_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(["x.png is broken"], None, {"hidden files": 2, "other files": 1_000})
    skipping = replace(SOURCE_KINDS.get("graph"), name="skipping", check=lambda path: report)
    monkeypatch.setitem(SOURCE_KINDS._loaded, "skipping", skipping)
    result = run("validate", tmp_path, "--kind", "skipping")
    assert (result.exit_code, result.stdout) == (2, "x.png is broken\nnot read: 2 hidden files, 1,000 other files\n")
    skipped = json.loads(run("validate", tmp_path, "--kind", "skipping", "--json").stdout)["skipped"]
    assert skipped == {"hidden files": 2, "other files": 1_000}


def test_fetch_then_info(samples: Path, home: Path) -> None:
    for name in RAW:
        assert f"{name}: 40 nodes" in output("fetch", name, "--from", samples)
        facts = json.loads(output("info", name, "--json"))
        assert facts["num_nodes"] == 40
        for part in ("node", "edge"):
            assert set(facts[f"{part}_splits"]) == {"train", "val", "test"}
        shown = output("info", name)
        assert "(train / val / test, given)" in shown


def test_info_of_a_dataset_that_is_not_here(home: Path) -> None:
    assert "ssl4rl data fetch cora" in error("info", "cora")
    result = run("validate", "cora")
    assert result.exit_code == 2 and "ssl4rl data fetch cora" in result.stdout


def test_a_converted_folder_is_checked(tmp_path: Path, home: Path) -> None:
    run("convert", "citations", tmp_path / "fast")
    assert output("validate", tmp_path / "fast").startswith(f"{tmp_path / 'fast'} is valid.")
    (tmp_path / "fast" / "1" / "labels.npy").write_bytes(b"")
    result = run("validate", tmp_path / "fast")
    assert result.exit_code == 2 and "has changed since it was written" in result.stdout


def test_validate_of_what_is_not_a_graph(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\n")
    for path, problem in (("nodes.csv", "nodes.csv is a file; give the folder"), ("nowhere", "there is no folder")):
        result = run("validate", tmp_path / path, "--kind", "graph")
        assert result.exit_code == 2 and problem in result.stdout


def test_a_converted_folder_is_the_same_dataset(tmp_path: Path, home: Path) -> None:
    run("new", tmp_path / "mine")
    assert f"now in {tmp_path / 'fast'}" in output("convert", tmp_path / "mine", tmp_path / "fast")
    assert output("info", tmp_path / "fast", "--json") == output("info", tmp_path / "mine", "--json")


def test_revision_does_not_go_with_from(samples: Path, home: Path) -> None:
    assert "--revision names a commit of the hub" in error("fetch", "cora", "--from", samples, "--revision", "main")


def test_new_validates_at_once_and_never_overwrites(tmp_path: Path) -> None:
    folder = tmp_path / 'my: "graph"'
    output("new", folder)
    report = json.loads(output("validate", folder, "--json"))
    assert report["valid"] and report["problems"] == []
    assert report["summary"]["name"] == 'my: "graph"'
    assert report["summary"]["num_classes"] == 4
    assert "recipe" in output("info", folder)
    (folder / "nodes.csv").write_text("mine")
    assert "exists already" in error("new", folder)
    assert (folder / "nodes.csv").read_text() == "mine"
    assert "is the name of a registered dataset" in error("new", "cora")


def test_validate_lists_bad_rows_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\na,x\nb,y\n")
    (tmp_path / "edges.csv").write_text("source,target\n" + "a,q\n" * 60)
    result = run("validate", tmp_path)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert len(lines) == 52 and lines.pop() == "not read: 60 bad rows of edges.csv"
    assert lines[0] == f"{tmp_path}/edges.csv, row 2, field target: no node has the id 'q'"
    assert lines[-1] == "… and 10 more (--json prints all)"
    assert f"60 problems in {tmp_path}" in result.stderr
    result = run("validate", tmp_path, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert (report["valid"], len(report["problems"]), report["summary"]) == (False, 60, None)


def test_validate_sums_up_a_valid_folder(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text,label\na,x,k\nb,,\nc,z,k\n")
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,a\na,a\n")
    shown = output("validate", tmp_path)
    assert "1 self-loops, 1 repeated or reversed edges" in shown
    facts = json.loads(output("validate", tmp_path, "--json"))["summary"]
    assert (facts["empty_texts"], facts["isolated_nodes"], facts["unlabelled_nodes"]) == (1, 1, 1)
    assert (facts["num_edges"], facts["num_pairs"]) == (3, 1)


@pytest.mark.parametrize("arguments", [["list"], ["info", "mine"], ["validate", "mine"], ["new", "other"], ["--help"]])
def test_nothing_heavy_is_imported(arguments: list[str], tmp_path: Path) -> None:
    output("new", tmp_path / "mine")
    code = (
        "import sys\nfrom ssl4rl.cli.data import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'torch_geometric', 'transformers', 'datasets', 'huggingface_hub', 'pyarrow', 'networkx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_columns_that_are_missing_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("Recipe No,Dish\n1,soup\n2,stew\n")
    (tmp_path / "edges.csv").write_text("from recipe,to recipe\n1,2\n")
    said = run("validate", tmp_path).output
    for column in ("no column 'id'", "no column 'text' or 'title'", "no column 'source'"):
        assert column in said, said


def test_the_other_side_and_a_folder_called_nearly_so_are_named(tmp_path: Path, monkeypatch) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for name in ("photos", "recipes"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "recipes" / "nodes.csv").write_text("id,text\n1,a\n2,b\n")
    with pytest.raises(UserError, match="it holds images: use ssl4rl vision"):
        ssl4rl.load("photos", kind="graph")
    with pytest.raises(UserError, match=r"but a graph .*: use ssl4rl graph"):
        ssl4rl.load("recipes", kind="images")
    for written in ("recepies", "./recepies"):
        with pytest.raises(UserError, match=r"did you mean recipes\?"):
            ssl4rl.load(written)


def test_what_is_neither_a_name_nor_a_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dict is neither the name of a dataset nor a path; a graph in memory is made"):
        ssl4rl.load({"id": [1]})  # type: ignore[arg-type]
    assert ssl4rl.load(Path("citations")).num_nodes == 3000  # type: ignore[arg-type]


def test_empty_cells_of_a_template_are_counted(tmp_path: Path) -> None:
    rows = [f"{node},dish {node},{'' if node % 5 == 0 else f'cook it for {node} minutes'}" for node in range(40)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,name,how", *rows]) + "\n")
    edges = [f"{node},{(node + 1) % 40}" for node in range(40)]
    (tmp_path / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n")
    (tmp_path / "dataset.yaml").write_text('text: "{name}. {how}"\n')
    assert "8 lack a part of the template, as a cell is empty" in output("info", tmp_path)
