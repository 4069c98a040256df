"""Labels and options: a reply that names an option can never be taken for the label of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl.answers import normalise
from ssl4rl.prompts import label_noun, labels_for, option_labels, read_alike, reply_form, same_names, write_options

NAMES = st.lists(
    st.sampled_from([*"ABCZabz", "(b)", "1", "2", "3.", "AA", "ab", "AAA", "a cat"]) | st.text(), min_size=1
)


@given(NAMES)
def test_no_option_reads_like_a_label(texts):
    labels = labels_for(texts)
    assert len(set(map(normalise, labels))) == len(labels) == len(texts)
    assert {normalise(text) for text in texts}.isdisjoint(map(normalise, labels))
    assert write_options(texts, labels).startswith(f"{labels[0]}: {texts[0]}")


@given(st.lists(st.from_regex(r"[a-z]{3,8} [a-z]{3,8}", fullmatch=True), min_size=1, max_size=40))
def test_ordinary_options_have_letters_as_far_as_they_go(texts):
    assert labels_for(texts) == option_labels(len(texts))
    assert label_noun(labels_for(texts)).startswith("one letter" if len(texts) <= 26 else "one number")


@pytest.mark.parametrize(
    ("texts", "alike"),
    [
        (["a red ball", "a red balloon", "red"], False),
        (["a red ball", "A red  ball."], True),
        (["a red ball", "a red ball and a blue one"], True),
        # One that was cut may go on as the other does.
        (["a red …", "blue", "a red ball"], True),
        (["blue", "?!"], True),
        (["top-left", "top left"], True),
        (["1.5", "15"], False),
        (["one"], False),
    ],
)
def test_options_that_cannot_be_told_apart(texts, alike):
    assert read_alike(texts) is alike and read_alike(texts[::-1]) is alike


@given(st.lists(st.text(alphabet="ab .", max_size=6), min_size=2, max_size=6))
def test_alike_means_that_one_begins_with_the_other(texts):
    split = [normalise(text).split() for text in texts]
    pairs = [(a, b) for i, a in enumerate(split) for j, b in enumerate(split) if i != j]
    assert read_alike(texts) == any(b[: len(a)] == a for a, b in pairs)


def test_names_of_a_closed_set():
    assert same_names(["Theory", "Theory of games"]) is None
    assert same_names(["Case-Based", "case based"]) == "'Case-Based' and 'case based' read the same"
    assert same_names(["a", "***"]) == "'***' has no letter or digit"


def test_without_reasoning_nothing_but_the_answer_is_asked_for():
    assert reply_form("one letter", reasoning=False) == "Answer with one letter and nothing else."
    assert "<answer>" in reply_form("one letter")
