import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl.data.text import clean, freebase_relations, indexed, readable, sentences


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("8&quot; pool &amp; bath", '8" pool & bath'),
        ("  a\n\tb\u2028c ", "a b c"),
        ("\ud83d half a pair", "? half a pair"),
        ("nul\x00byte", "nul byte"),
        ("", ""),
        ("?a=0&section=2&copy=1&lt=3 of List&lt;String&gt;", "?a=0&section=2&copy=1&lt=3 of List<String>"),
        ("&#8212; &#x41; &hellip; &NotEqualTilde;", "— A … ≂̸"),
        ("&#65 &copyright; &nothing; & ; a &;", "&#65 &copyright; &nothing; & ; a &;"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@given(st.text())
def test_clean_text_is_one_line_of_utf8_with_no_space_around(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert cleaned == " ".join(cleaned.split())


def test_readable_and_sentences() -> None:
    assert readable("_member_of_domain_usage") == "member of domain usage"
    assert sentences("A title", "Its body.") == "A title. Its body."
    assert sentences("A question?", "Its body.") == "A question? Its body."
    assert sentences("", "Only a body") == "Only a body"
    assert sentences("", " ") == ""


def test_relations_are_short_where_they_can_be_and_stay_apart() -> None:
    paths = [
        "/people/person/spouse_s./people/marriage/type_of_union",
        "/soccer/football_team/current_roster./sports/sports_team_roster/position",
        "/soccer/football_team/current_roster./soccer/football_roster_position/position",
        "/american_football/football_team/current_roster./sports/sports_team_roster/position",
        "/film/film/genre",
    ]
    assert freebase_relations(paths) == [
        "person: spouses / type of union",
        "soccer football team: current roster / sports team roster: position",
        "football team: current roster / football roster position: position",
        "american football team: current roster / sports team roster: position",
        "film: genre",
    ]


def test_relations_that_cannot_be_told_apart_keep_their_path() -> None:
    paths = ["/a/b/c_d", "/a/b/c d", "/x/y/z"]
    assert freebase_relations(paths) == ["/a/b/c_d", "/a/b/c d", "y: z"]


def test_indexed_sorts_numbers_by_size() -> None:
    names, index = indexed(["10", "9", "", "10"])
    assert names == ["9", "10"]
    assert index.tolist() == [1, 0, -1, 1]
