"""Checking an export."""

import pyarrow
import pyarrow.parquet
import pytest

from ssl4rl.build import task
from ssl4rl.errors import UserError
from ssl4rl.export.manifest import MANIFEST, file_sha256, read_manifest
from ssl4rl.export.run import export
from ssl4rl.export.verify import verify


@pytest.fixture(params=["verl", "jsonl"])
def exported(request, everything, tmp_path):
    export(everything, request.param, 30, tmp_path / "x")
    return tmp_path / "x"


def data_of(folder):
    return folder / read_manifest(folder).files[0].path


def replace_in_manifest(folder, old, new):
    path = folder / MANIFEST
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_good_export_matches(exported):
    found = verify(exported)
    assert found.mismatches == [] and found.rows == 30 and found.replies >= 5 * 30 - 10
    assert found.lines() == [f"2 file(s), 30 rows, {found.replies} replies: all match"]


def test_a_changed_a_torn_and_a_missing_file_are_named(exported):
    data, scorer = data_of(exported), exported / "ssl4rl_scorer.py"
    whole = data.read_bytes()
    for content in (whole[:-1], whole + b"\n"):
        data.write_bytes(content)
        assert verify(exported).mismatches == [f"{data} is not the file of its manifest"]
    data.unlink()
    assert verify(exported).mismatches == [f"{data} is missing"]
    scorer.write_text(scorer.read_text() + "raise SystemExit('never run')\n")
    assert verify(exported).mismatches == [f"{scorer} is not the file of its manifest"]


def test_a_scorer_that_gives_something_else_is_found_though_its_hash_is_right(exported):
    scorer = exported / "ssl4rl_scorer.py"
    old = file_sha256(scorer)
    scorer.write_text(scorer.read_text().replace("Score.of(1.0, answer)", "Score.of(0.5, answer)"))
    replace_in_manifest(exported, old, file_sha256(scorer))
    found = verify(exported)
    assert found.mismatches and all("scores 0.5" in line for line in found.mismatches)
    assert found.lines()[-1].endswith(f": mismatches: {len(found.mismatches)}")


def test_a_right_reply_that_is_wrong_is_found(everything, tmp_path):
    export(everything, "verl", 30, tmp_path / "x")
    data = data_of(tmp_path / "x")
    table = pyarrow.parquet.read_table(data)
    rows = table.to_pylist()
    rows[3]["extra_info"]["gold_reply"] = "<answer>none of these</answer>"
    old = file_sha256(data)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:-1], table.schema), data)
    replace_in_manifest(tmp_path / "x", old, file_sha256(data))
    lines = verify(tmp_path / "x").mismatches
    assert rows[3]["id"] in lines[0] and "scores 0.0" in lines[0]
    assert lines[-1] == f"{data} has 29 rows, and its manifest says 30"
    replace_in_manifest(tmp_path / "x", "      30\n", "      40\n")
    assert verify(tmp_path / "x").mismatches[-1] == f"{tmp_path / 'x' / MANIFEST} names 30 rows of 40"


def test_what_is_no_export_is_one_line(exported, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"has no manifest.json: it is not an export"):
            verify(folder)
    replace_in_manifest(exported, '"seed": 0', '"seed": "none"')
    with pytest.raises(UserError, match=r"manifest.json: recipe.seed: .*; was it written by another version"):
        verify(exported)
    (exported / MANIFEST).write_text('{"recipe"')
    with pytest.raises(UserError, match="was it written by another version"):
        verify(exported)
    (exported / MANIFEST).write_text("[1, 2]")
    with pytest.raises(UserError, match="was it written by another version"):
        verify(exported)


def test_a_manifest_cannot_send_the_check_to_another_folder(exported, tmp_path):
    replace_in_manifest(exported, '"path": "ssl4rl_scorer.py"', f'"path": "{tmp_path}/elsewhere.py"')
    (tmp_path / "elsewhere.py").write_text("raise SystemExit('never run')\n")
    with pytest.raises(UserError, match="outside"):
        verify(exported)


def test_an_export_whose_scorer_was_changed_is_not_said_to_be_complete(tmp_path):
    export(task("link"), "jsonl", 5, tmp_path / "rows")
    scorer = tmp_path / "rows" / "ssl4rl_scorer.py"
    assert not list((tmp_path / "rows").rglob("__pycache__"))
    verify(tmp_path / "rows")
    assert not list((tmp_path / "rows").rglob("*.pyc"))
    scorer.write_text(scorer.read_text() + "# mine\n")
    with pytest.raises(UserError, match=r"ssl4rl_scorer\.py is not as it was written"):
        export(task("link"), "jsonl", 5, tmp_path / "rows")
