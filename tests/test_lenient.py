"""The lenient reading: it guesses nothing, and finds all that the strict reading does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl.answers import Outcome, score_any_of
from ssl4rl.lenient import find_choice, lenient_score

CLASSES = {"A": "Neural Networks", "B": "Theory", "C": "Case Based", "D": "Networks"}
EDGE = {"yes": "yes", "no": "no"}
RELATIONS = {"1": "_hypernym", "2": "instance hypernym", "12": "/film/film/genre"}


@pytest.mark.parametrize(
    ("reply", "choices", "label"),
    [
        # The last tag decides, closed or not.
        ("<think>A or C?</think><answer>B</answer>", CLASSES, "B"),
        ("<answer>A</answer> no: <answer>(b)", CLASSES, "B"),
        ("<answer>B: Theory</answer>", CLASSES, "B"),
        ("<answer>theory</answer>", CLASSES, "B"),
        ("<answer>Option B</answer>", CLASSES, "B"),
        ("<answer>Class 12</answer>", RELATIONS, "12"),
        ("<answer>film film genre</answer>", RELATIONS, "12"),
        ("<answer>there is no edge</answer>", EDGE, "no"),
        ("<answer>A, B</answer>", CLASSES, None),
        ("<answer>B: Case Based</answer>", CLASSES, None),
        ("<answer>Biology</answer> The answer is B.", CLASSES, None),
        ("<answer></answer>", CLASSES, None),
        # Phrases; the last one that names an option.
        ("The answer is (B).", CLASSES, "B"),
        ("**Answer:** B", CLASSES, "B"),
        ("Answer:\n\n**B) Theory**", CLASSES, "B"),
        ("The answer is A. No, the answer is B. I hope this answer is helpful.", CLASSES, "B"),
        ("So the final answer should be Case-Based, not (B) here. A: no", CLASSES, "C"),
        ("the answer is not B", CLASSES, None),
        ("It is theory, not case based and not (A)", CLASSES, "B"),
        ("The answer is a matter of taste.", CLASSES, None),
        ("The answer is yes, they share a topic.", EDGE, "yes"),
        ("The answer is 2", RELATIONS, "2"),
        # The whole reply.
        ("b", CLASSES, "B"),
        (" [2] ", RELATIONS, "2"),
        ("Neural networks.", CLASSES, "A"),
        ("B</answer>", CLASSES, "B"),
        # The text: marked labels and whole names, the longest at each place.
        ("I would say (B), since it proves bounds.", CLASSES, "B"),
        ("B. It proves bounds.", CLASSES, "B"),
        ("Yes, both are about orbits.", EDGE, "yes"),
        ("It proves bounds, so it must be learning theory", CLASSES, "B"),
        ("These are neural networks", CLASSES, "A"),
        ("an instance_hypernym of it", RELATIONS, "2"),
        ("A paper on orbits.", CLASSES, None),
        ("A paper on theory.", CLASSES, "B"),
        ("B-trees and bases of theories", CLASSES, None),
        ("There is no doubt that they are linked", EDGE, None),
        ("Node [1] cites node (2) and 12.", RELATIONS, None),
        ("(A) or (B)", CLASSES, None),
        ("Theory or case based", CLASSES, None),
        ("The answer is B.</think> I cannot tell", CLASSES, None),
        ("", CLASSES, None),
        # A name that two options share says neither.
        ("crane", {"A": "Crane", "B": "crane"}, None),
    ],
)
def test_a_choice_is_found_leniently_but_never_guessed(reply, choices, label):
    assert find_choice(reply, choices) == label


@given(st.text(), st.sampled_from([CLASSES, EDGE, RELATIONS]), st.data())
def test_lenient_finds_all_that_strict_does(thought, choices, data):
    label = data.draw(st.sampled_from(sorted(choices)))
    accepted = data.draw(st.lists(st.sampled_from(sorted(choices)), min_size=1))
    written = data.draw(
        st.sampled_from([label, label.upper(), f" ({label})", f"**{label}**.", f"{label})", f"{label}!"])
    )
    reply = f"{thought}</think><answer>{written}</answer>"
    strict, lenient = score_any_of(reply, accepted), lenient_score(reply, accepted, choices)
    assert (lenient.value, lenient.answer) == (strict.value, label)
    # As well of a reply that is nothing but the answer.
    strict, lenient = score_any_of(written, accepted, bare=True), lenient_score(written, accepted, choices)
    assert (lenient.value, lenient.answer) == (strict.value, label)


@given(st.lists(st.sampled_from(["A", "B", "(B)", "Theory", "networks", "answer", "is", ":", "<answer>", "\n", ". "])))
def test_a_lenient_choice_does_not_depend_on_the_order_of_options(words):
    reply = " ".join(words)
    found = find_choice(reply, CLASSES)
    assert found is None or found in CLASSES
    assert find_choice(reply, dict(reversed(CLASSES.items()))) == found


def test_lenient_scores_a_name_and_leaves_the_rest_unparsed():
    assert lenient_score("<answer>Theory</answer>", ["B"], CLASSES).value == 1
    assert lenient_score("<answer>Theory</answer>", ["A"], CLASSES).outcome is Outcome.WRONG
    assert lenient_score("<answer>Biology</answer>", ["A"], CLASSES).outcome is Outcome.UNPARSED
    assert score_any_of("<answer>Biology</answer>", ["A"]).outcome is Outcome.WRONG
