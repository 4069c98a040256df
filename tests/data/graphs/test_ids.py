"""Nodes are found by their ids in every spelling, and hints name the id that was meant."""

import pytest

from ssl4rl.data.graphs.ids import Ids


def ids(*nodes: str) -> Ids:
    made = Ids()
    assert [made.add(node) for node in nodes] == [None] * len(nodes)
    return made


def test_nodes_called_by_their_numbers_are_found_by_them() -> None:
    counted = ids(*map(str, range(10)))
    assert [counted.find(node) for node in ("7", "7.0", "10", "-1", "x", "", "1" * 5000)] == [7, 7] + [None] * 5
    assert counted.respelled == 1
    # 007 is another node, which a spreadsheet may have made 7.
    assert counted.find("007") is None and counted.with_zeros("7") == ""
    assert counted.add("3") == 3


def test_the_first_ids_are_kept_when_another_is_no_number() -> None:
    mixed = ids("0", "1", "x")
    assert [mixed.find(node) for node in ("0", "1", "x", "2")] == [0, 1, 2, None]
    assert (mixed.add("1"), mixed.add("x"), mixed.add("2")) == (1, 2, None)
    assert mixed.find("2") == 3


@pytest.mark.parametrize(
    ("node", "hint"),
    [("7", "07"), ("07", "007"), ("10", "010"), ("1", "0001"), ("8", ""), ("x", ""), ("", ""), ("5", "0" * 63 + "5")],
)
def test_zeros_that_a_spreadsheet_dropped_are_found(node: str, hint: str) -> None:
    # The last one is longer than any that is tried.
    made = ids("07", "007", "010", "0001", "0" * 63 + "5", "0" * 64 + "8", "0x")
    assert made.with_zeros(node) == hint


def test_case_alone_is_a_hint_where_it_is_one_node() -> None:
    made = ids("Alpha", "Bb", "bB", "")
    assert [made.find(node) for node in ("alpha", "bb", "BB")] == [None] * 3
    assert [made.in_other_case(node) for node in ("alpha", "bb", "gamma", "")] == ["Alpha", "", "", ""]
