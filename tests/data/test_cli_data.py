import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ssl4rl.cli.data import app
from ssl4rl.data.graphs.taglas import RAW
from ssl4rl.errors import UserError


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
    found = {entry["name"]: entry for entry in json.loads(output("list", "--json"))}
    assert next(iter(found)) == "citations"
    assert found["citations"] == {"name": "citations", "from": "embedded", "here": True}
    assert found["cora"]["here"] and not found["pubmed"]["here"]
    assert found["cora"]["folder"] == str(home / "graphs" / "cora")


def test_fetch_then_info(samples: Path, home: Path) -> None:
    for name in RAW:
        assert f"{name}: 40 nodes" in output("fetch", name, "--from", samples)
        about = json.loads(output("info", name, "--json"))
        assert about["num_nodes"] == 40
        for kind in ("node", "edge"):
            assert set(about[f"{kind}_splits"]) == {"train", "val", "test"}
        shown = output("info", name)
        assert "(train / val / test, given)" in shown


def test_info_of_a_dataset_that_is_not_here(home: Path) -> None:
    assert "ssl4rl data fetch cora" in error("info", "cora")


def test_a_converted_folder_is_the_same_dataset(tmp_path: Path, home: Path) -> None:
    run("new", tmp_path / "mine")
    assert f"now in {tmp_path / 'fast'}" in output("convert", tmp_path / "mine", tmp_path / "fast")
    assert output("info", tmp_path / "fast", "--json") == output("info", tmp_path / "mine", "--json")


def test_revision_does_not_go_with_from(samples: Path, home: Path) -> None:
    assert "--revision is the hub's" in error("fetch", "cora", "--from", samples, "--revision", "main")


def test_new_validates_at_once_and_never_overwrites(tmp_path: Path) -> None:
    folder = tmp_path / 'my: "graph"'
    output("new", folder)
    about = json.loads(output("validate", folder, "--json"))
    assert about["valid"] and about["problems"] == []
    assert about["summary"]["name"] == 'my: "graph"'
    assert about["summary"]["num_classes"] == 2
    assert "recipe" in output("info", folder)
    (folder / "nodes.csv").write_text("mine")
    assert "exists already" in error("new", folder)
    assert (folder / "nodes.csv").read_text() == "mine"
    assert "is the name of a dataset" in error("new", "cora")


def test_validate_lists_bad_rows_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\na,x\nb,y\n")
    (tmp_path / "edges.csv").write_text("source,target\n" + "a,q\n" * 60)
    result = run("validate", tmp_path)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert len(lines) == 51
    assert lines[0] == f"{tmp_path}/edges.csv, row 2, field target: no node has the id 'q'"
    assert lines[-1] == "… and 10 more (--json prints all)"
    assert f"60 problems in {tmp_path}" in result.stderr
    result = run("validate", tmp_path, "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert (found["valid"], len(found["problems"])) == (False, 60)


def test_validate_sums_up_a_valid_folder(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text,label\na,x,k\nb,,\nc,z,k\n")
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,a\na,a\n")
    shown = output("validate", tmp_path)
    assert "1 self-loops, 1 repeated or reversed edges" in shown
    about = json.loads(output("validate", tmp_path, "--json"))["summary"]
    assert (about["empty_texts"], about["isolated_nodes"], about["unlabelled_nodes"]) == (1, 1, 1)
    assert (about["num_edges"], about["num_pairs"]) == (3, 1)


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
