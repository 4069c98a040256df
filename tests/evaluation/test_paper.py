"""The paper's tables: what recomputing them finds, and that a corrected cell is found no more."""

import copy

import pytest
from rich.console import Console

from ssl4rl.evaluation.paper.checks import Finding, findings
from ssl4rl.evaluation.paper.claims import Claim
from ssl4rl.evaluation.paper.tables import fits, graph_columns, load_tables, smallest_size, vision_columns
from ssl4rl.evaluation.paper.views import views
from ssl4rl.report.paper import print_suite
from ssl4rl.vision.benchmarks import multiple_choice


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings()


def cells(found, kind):
    return {(f.table, f.row, f.column): (f.printed, f.recomputed) for f in found if f.kind == kind}


def test_relation_lost_a_leaf_and_the_other_groups_did_not(found) -> None:
    groups = cells(found, "group")
    table = "table1_mmbench_3b"
    assert {row: values for (name, row, _), values in groups.items() if name == table} == {
        "base": (41.54, 50.16),
        "rotation": (80.54, 74.55),
        "jigsaw": (74.51, 68.6),
        "contrastive": (73.42, 58.57),
        "position": (77.19, 71.42),
        # The paper's headline.
        "gain": (39.0, 24.39),
    }
    assert {column for _, _, column in groups} == {"Relation"} and len(groups) == 11
    of_rows = [finding for finding in found if finding.kind == "group" and finding.row != "gain"]
    assert all("but of SoR, SoR, PR" in finding.message for finding in of_rows)


def test_averages_gains_duplicates_and_labels(found) -> None:
    averages = cells(found, "average")
    weighted = next(f for f in found if f.kind == "average" and f.table == "table6_mmbench_leaf_3b")
    assert (weighted.printed, weighted.recomputed) == (72.99, 69.64) and "4329 questions" in weighted.message
    assert averages["table7_mmbench_leaf_7b", "combination", "Average"] == (85.78, 87.62)
    assert averages["table11_mmbench_leaf_difficulty_7b", "jigsaw-3x3", "Average"] == (86.17, 87.8)
    # One definition for the base row, another for the six trained ones.
    assert sum(table == "table13_seedbench_difficulty_7b" for table, _, _ in averages) == 7
    assert cells(found, "gain") == {
        ("table1_mmbench_3b", "gain", "Attribute"): (6.77, 7.27),
        ("table3_mmbench_7b", "gain", "Single-Inst."): (0.98, 1.78),
        ("table5_graph_3b", "gain", "Products"): (4.42, 4.72),
        ("table5_graph_7b", "gain", "Cora"): (1.9, 2.9),
    }
    assert cells(found, "duplicate") == {("table7_mmbench_leaf_7b", "position", ""): ("position", "contrastive")}
    labels = cells(found, "label")
    assert labels["table12_imagenet_difficulty_3b", "", "Choice-20"] == ("Choice10", "Choice-20")
    assert labels["table6_mmbench_leaf_3b", "", "SR"] == ("SR", "SpR, SoR")
    assert {column: true for (table, _, column), (_, true) in labels.items() if table.startswith("table13")} == {
        "TU": "IC",
        "IC": "TU",
        "VR": "IA",
        "IA": "VR",
    }
    assert not cells(found, "copy")


def test_sizes_of_test_sets(found) -> None:
    sizes = {f.column: f.recomputed for f in found if f.kind == "size"}
    assert sizes == {"Cora": 1000, "PubMed": 999, "WikiCS": 59, "Products": 996, "fb15k237": 1000, "wn18rr": 1000}
    # 30 of 59 is 50.847 %, printed truncated; 2 of 3 rounds up.
    assert fits(50.84, 59, truncated=True) and not fits(50.84, 59)
    assert fits(66.67, 3) and not fits(66.67, 3, truncated=True) and not fits(66.68, 3)
    assert smallest_size([33.33, 50.0]) == 6 and smallest_size([0.01]) <= 10_000


def test_corrected_cells_are_found_no_more(found) -> None:
    tables = copy.deepcopy(load_tables())
    for finding in found:
        rows = tables[finding.table]["rows"] if finding.table in tables else {}
        if finding.row == "gain":
            rows = {"gain": tables[finding.table]["gain"]}
        if finding.kind == "group" or (finding.kind == "average" and finding.row != "base"):
            rows[finding.row][finding.column] = finding.recomputed
        if finding.kind == "gain":
            tables[finding.table]["gain"][finding.column] = finding.recomputed
    # One question right less here and one more there, so that the average stays.
    tables["table7_mmbench_leaf_7b"]["rows"]["position"] |= {"IR": 97.73, "PPR": 63.47}
    for name in ("table6_mmbench_leaf_3b", "table12_imagenet_difficulty_3b"):
        del tables[name]["header"]
    left = findings(tables)
    assert not cells(left, "gain") and not cells(left, "duplicate")
    assert {row for _, row, _ in cells(left, "average")} == {"base"}
    assert {table for table, _, _ in cells(left, "label")} == {
        "table7_mmbench_leaf_7b",
        "table9_mmbench_leaf_difficulty_3b",
        "table13_seedbench_difficulty_7b",
    }
    # Now that Table 7's row is its own, Table 3's can be checked against it: only that row is off.
    assert {row for _, row, _ in cells(left, "group")} == {"position"}


def test_a_planted_error_is_found_in_its_cell() -> None:
    tables = copy.deepcopy(load_tables())
    tables["table5_graph_3b"]["rows"]["link"]["Average"] += 1
    tables["table10_seedbench_difficulty_3b"]["rows"]["base"]["SU"] += 10
    new = {(f.kind, f.table, f.row, f.column) for f in findings(tables)}
    assert ("average", "table5_graph_3b", "link", "Average") in new
    assert ("copy", "table10_seedbench_difficulty_3b", "base", "SU") in new


def test_graph_columns_to_compare_runs_with() -> None:
    columns = {(column.dataset, column.benchmark): column for column in graph_columns()}
    assert set(columns) == {
        ("cora", "node"),
        ("pubmed", "node"),
        ("wikics", "node"),
        ("products", "node"),
        ("products", "link"),
        ("fb15k237", "relation"),
        ("wn18rr", "relation"),
    }
    cora = columns["cora", "node"]
    assert cora.cells["3b base"] == 0.218 and cora.cells["7b link"] == 0.677 and len(cora.cells) == 8
    assert columns["wikics", "node"].n_inferred == 59


def test_numbers_of_the_text_that_are_not_those_of_its_tables(found) -> None:
    assert cells(found, "claim") == {
        ("table1_mmbench_3b", "gain", "Average"): (9.0, 7.39),
        ("table2_seedbench_3b", "gain", "Average"): (8.0, 8.94),
        ("table4_imagenet_3b", "base", "Choice-200"): (57.2, 57.1),
    }
    tables = copy.deepcopy(load_tables())
    tables["table4_imagenet_3b"]["rows"]["base"]["Choice-200"] = 57.2
    assert not [f for f in findings(tables) if f.kind == "claim" and f.table == "table4_imagenet_3b"]


def test_a_number_of_the_text_may_be_rounded_as_it_is_written() -> None:
    assert Claim("1", "9", "t", "r", "c").margin == pytest.approx(0.5)
    assert Claim("1", "57.20", "t", "r", "c").margin == pytest.approx(0.005)


def test_every_column_of_every_table_is_something_here(found) -> None:
    shown = views()
    assert [view.number for view in shown] == list(range(1, 14))
    assert sum(len(view.errors) for view in shown) == len(found) - 5  # six sizes are one sentence
    planned = {column.name for column in [*graph_columns(), *vision_columns()]}
    for view in shown:
        for column in view.columns:
            assert set(column.runs) <= planned and (column.runs or view.number == 5)
            assert list(column.cells) == view.row_names and len(column.cells) >= 5
    abilities = {ability for abilities in multiple_choice.GROUPS.values() for ability in abilities}
    mmbench = [{column.part for column in view.columns} - {""} for view in shown if view.benchmark == "mmbench"]
    assert mmbench == [set(multiple_choice.GROUPS), set(multiple_choice.GROUPS), *[abilities] * 4]


def test_the_suite_is_printed_table_by_table_with_what_is_wrong_and_missing(capsys) -> None:
    whole = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 4329, "parts": {"relation_reasoning": {"accuracy": 0.25}}}
    left_out = {"left_out": "FOLDER has no folder imagenet"}
    names = [column.name for column in vision_columns()]
    rows = [{"name": name, **(whole if name == "mmbench" else left_out)} for name in names]
    print_suite(rows, "vision", Console(width=60, highlight=False, markup=False))
    printed = capsys.readouterr().out
    assert printed.count("\nTable ") == 11 and "Table 5" not in printed and "…" not in printed
    first = printed.split("Table 2.")[0]
    average = next(line for line in first.splitlines() if line.strip().startswith("Average"))
    assert average.split()[1:6] == ["50.0", "[40.0,", "60.0]", "4329", "72.99"]
    assert next(line for line in first.splitlines() if "Relation " in line).split()[:3] == ["Relation", "25.0", "41.54"]
    assert "39.00 is the largest gain of cells that are wrong; recomputed 24.39" in first
    assert "missing: imagenet-completion, imagenet-choice-20, imagenet-choice-200: FOLDER has no folder" in printed
    print_suite([], "graph", Console(width=200))
    printed = capsys.readouterr().out
    assert "Table 5." in printed and "WikiCS 59" in printed and "3b, largest gain, column Products" in printed
