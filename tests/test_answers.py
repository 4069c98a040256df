import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl.answers import (
    extract,
    find_choice,
    lenient_score,
    score_any_of,
    score_matching,
    score_subset,
    score_text,
    split_items,
    token_f1,
)
from ssl4rl.example import Outcome


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<answer>yes</answer>", "yes"),
        ("<think>so <answer>no</answer></think><answer> yes\n</answer>", "yes"),
        ("<think>a</think> b </think><ANSWER>C</Answer> done", "C"),
        ("< answer >x< / answer >", "x"),
        ("<answer></answer>", ""),
        ("yes", None),
        ("<answer>yes", None),
        ("yes</answer>", None),
        ("<answer>yes</answer><answer>yes</answer>", None),
        ("<answer><answer>yes</answer></answer>", None),
        ("</answer>yes<answer>", None),
        ("<answer>yes</answer></think>", None),
        ("", None),
    ],
)
def test_extract_reads_one_closed_answer_after_the_thought(reply, answer):
    assert extract(reply) == answer


@given(st.text(), st.text().filter(lambda text: "<" not in text))
def test_extract_undoes_wrapping(thought, answer):
    thought = thought.replace("<", "")
    assert extract(f"<think>{thought}</think>\n<answer>{answer}</answer>") == answer.strip()


@given(st.text())
def test_no_reply_crashes_a_scorer(reply):
    for wrapped in (reply, f"<answer>{reply}</answer>"):
        for score in (
            score_any_of(wrapped, ["yes"]),
            score_subset(wrapped, ["A"], ["A", "B"]),
            score_matching(wrapped, {"1": "A"}),
            score_text(wrapped, "a text", 0.1, 10),
        ):
            assert 0 <= score.value <= 1
            assert (score.answer is None) == (score.outcome is Outcome.UNPARSED)


@pytest.mark.parametrize(
    ("answer", "value"),
    [("yes", 1), (" Yes. ", 1), ("(YES)", 1), ('"yes"', 1), ("no", 0), ("yes, no", 0), ("yes it is", 0), ("", 0)],
)
def test_any_of_compares_the_whole_answer(answer, value):
    assert score_any_of(f"<answer>{answer}</answer>", ["yes"]).value == value


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("A, C", 1),
        ("c; a", 1),
        ("[A] and (C)", 1),
        ("A", 1 / 2),
        ("A, B", 1 / 3),
        ("B", 0),
        ("A, A", 0),
        ("A, C, Z", 0),
        ("A, B, C, D", 2 / 4),
        ("", 0),
    ],
)
def test_subset_is_jaccard(answer, value):
    assert score_subset(f"<answer>{answer}</answer>", ["A", "C"], "ABCD").value == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("3=B, 5=A", 1),
        ("5: a; [3] -> b", 1),
        ("3=B", 1 / 2),
        ("3=B, 5=B", 0),
        ("3=C, 5=C", 0),
        ("3=B, 3=A", 0),
        ("3=B, 9=A", 0),
        ("3=B, 5", 0),
        ("B, A", 0),
    ],
)
def test_matching_pays_distinct_right_pairs(answer, value):
    assert score_matching(f"<answer>{answer}</answer>", {"3": "B", "5": "A"}).value == value


def test_text_score_is_f1_above_the_best_constant():
    assert token_f1("a red ball", "the red ball", 10) == pytest.approx(2 / 3)
    assert score_text("<answer>red ball</answer>", "red ball", 0.2, 10).value == 1
    assert score_text("<answer>ball</answer>", "red ball", 2 / 3, 10).value == 0
    # Words past the cap count for nobody: repeating the dictionary buys nothing.
    assert token_f1("x y red ball", "red ball", 2) == 0


def test_items_are_split_on_commas_semicolons_and_and():
    assert split_items("[3], 5 and 8; Sand") == ["3", "5", "8", "sand"]


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
    written = data.draw(st.sampled_from([label, label.upper(), f" ({label})", f"**{label}**."]))
    reply = f"{thought}</think><answer>{written}</answer>"
    strict, lenient = score_any_of(reply, accepted), lenient_score(reply, accepted, choices)
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


def test_parser_and_scorers_import_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import ssl4rl.answers; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'ssl4rl'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
