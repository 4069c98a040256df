"""The lenient reading: it guesses nothing, and finds all that the strict reading does."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.read_replies import measure, sets
from ssl4rl.answers import Outcome, score_any_of
from ssl4rl.lenient import find_choice, lenient_score

CLASSES = {"A": "Neural Networks", "B": "Theory", "C": "Case Based", "D": "Networks"}
EDGE = {"yes": "yes", "no": "no"}
PLACES = {"A": "The old mill", "B": "a river bank", "C": "An", "D": "old mill pond"}
RUNS = {"1": "alpha", "2": "beta", "12": "the beta test"}
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
        # A name without a word is found by its label alone.
        ("The answer is A.", {"A": "?!", "B": "Theory"}, "A"),
        # Which words are a mention: whole names, the longest, with or without an article; letters that stand alone.
        ("old mill", PLACES, "A"),
        ("beta test", RUNS, "12"),
        ("a beta test", RUNS, "12"),
        ("It says an", PLACES, "C"),
        ("Down by the river", PLACES, None),
        ("It is an old one, a mill.", {"A": "The mill", "B": "A river"}, "A"),
        ("It is a goldfish.", {"goldfish": "a small fish", "shark": "a big fish"}, "goldfish"),
        ("The answer is b.", {"a": "x1", "b": "y1"}, "b"),
        ("I see a.", {"A": "x1", "I": "y1"}, None),
        ("X fits", {"X": "one", "Y": "two"}, "X"),
        ("vitamin-A", CLASSES, None),
        ("A-levels", CLASSES, None),
        ("(A paper of it", CLASSES, None),
        ("* A D", CLASSES, None),
        ("\U000f0000B", CLASSES, "B"),
        ("B) Theory (B) is wrong.", CLASSES, None),
        ("<answer>of 1</answer>", RUNS, "1"),
        ("<answer>? <answer>a</answer> b", CLASSES, "A"),
        ("I see No", EDGE, None),
        ("Linked? - no", EDGE, "no"),
        ("Linked? (no)", EDGE, "no"),
        ("x no.", EDGE, None),
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


@pytest.mark.parametrize(
    "reply",
    [
        "I cannot determine whether the answer is yes or no.",
        "It is not clear whether the answer is no or yes.",
        "Please answer yes or no.",
        "The answer is yes or no",
        "Answer: Yes/No",
        "Answer: no / yes",
        "The answer is Yes if the papers are related and No if they are not.",
        "The answer is yes, or no otherwise.",
    ],
)
def test_both_answers_are_none(reply):
    assert find_choice(reply, EDGE) is None


def test_names_that_read_alike_are_what_the_strict_reading_takes_them_for():
    choices = {"Crane": "Crane", "crane": "crane", "heron": "heron"}
    assert score_any_of("<answer>crane</answer>", ["Crane"]).value == 1
    assert lenient_score("<answer>crane</answer>", ["Crane"], choices).value == 1
    assert lenient_score("<answer>heron</answer>", ["Crane"], choices).value == 0


def test_lenient_scores_a_name_and_leaves_the_rest_unparsed():
    assert lenient_score("<answer>Theory</answer>", ["B"], CLASSES).value == 1
    assert lenient_score("<answer>Theory</answer>", ["A"], CLASSES).outcome is Outcome.WRONG
    assert lenient_score("<answer>Biology</answer>", ["A"], CLASSES).outcome is Outcome.UNPARSED
    assert score_any_of("<answer>Biology</answer>", ["A"]).outcome is Outcome.WRONG


ANIMALS = {"A": "cat", "B": "dog", "C": "black cat", "D": "horse"}
NUMBERS = {"1": "alpha", "2": "beta", "3": "gamma"}
CHINESE = {"A": "左", "B": "右", "C": "神经网络"}


@pytest.mark.parametrize(
    ("reply", "choices", "label"),
    [
        ("(D)", CLASSES, "D"),
        ("option D", CLASSES, "D"),
        ("D)", CLASSES, "D"),
        ("**D**", CLASSES, "D"),
        ("D.", CLASSES, "D"),
        ("[D]", CLASSES, "D"),
        ("Option D.", CLASSES, "D"),
        ("the correct choice is (D)", CLASSES, "D"),
        ("I looked at it. (C) case based", CLASSES, "C"),
        ("Some words, then (C) Case Based", CLASSES, "C"),
        ("The answer is: (A) Neural Networks (B) Theory (C) Case Based (D) Networks", CLASSES, None),
        ("The answer is:\n(A) Neural Networks\n(B) Theory\n(C) Case Based\n(D) Networks", CLASSES, None),
        ("The answer is one of (A, B, C, or D)", CLASSES, None),
        ("Choose one of A, B, C, D.", CLASSES, None),
        ("The answer is A because B is wrong", CLASSES, "A"),
        ("The answer is A because B is wrong and C is too broad.", CLASSES, "A"),
        ("Not B", CLASSES, None),
        ("Not B.", CLASSES, None),
        ("A or B", CLASSES, None),
        ("Either A or B.", CLASSES, None),
        ("The answer is A or B.", CLASSES, None),
        ("The answer is either A or B", CLASSES, None),
        ("Neither A nor B is right.", CLASSES, None),
        ("Neither", CLASSES, None),
        ("The answer is neither A nor B, it is C.", CLASSES, "C"),
        ("I cannot answer this question.", CLASSES, None),
        ("I'm sorry, I can't tell whether it is A or B.", CLASSES, None),
        ("答案是B", CLASSES, "B"),
        ("选B", CLASSES, "B"),
        ("选择(B)", CLASSES, "B"),
        ("故选：B", CLASSES, "B"),
        ("正确答案为 B", CLASSES, "B"),
        ("答案：Ｂ", CLASSES, "B"),
        ("Ｂ", CLASSES, "B"),
        ("（Ｂ）", CLASSES, "B"),
        ("正确答案是（D）。", CLASSES, "D"),
        ("因此答案选C。", CLASSES, "C"),
        ("应该选D，因为A不对。", CLASSES, "D"),
        ("不是B，而是C", CLASSES, "C"),
        ("我认为正确选项是B。", CLASSES, "B"),
        ("答案不是A，是B", CLASSES, "B"),
        ("答案是左", CHINESE, "A"),
        ("答案是神经网络。", CHINESE, "C"),
        ("A或B", CLASSES, None),
        ("选A还是B？无法确定", CLASSES, None),
        ("B选项正确", CLASSES, "B"),
        ("A不对，B正确", CLASSES, "B"),
        ("【答案】B", CLASSES, "B"),
        ("综上所述，B 是正确的。", CLASSES, "B"),
        ("\\boxed{B}", CLASSES, "B"),
        ("The answer is $\\boxed{\\text{B}}$.", CLASSES, "B"),
        ("So \\boxed{(C)}", CLASSES, "C"),
        ("\\boxed{2}", NUMBERS, "2"),
        ('{"answer": "B"}', CLASSES, "B"),
        ('```json\n{"answer": "B", "reason": "A is wrong"}\n```', CLASSES, "B"),
        ("{'choice': 'C'}", CLASSES, "C"),
        ('{"answer": 2}', NUMBERS, "2"),
        ('{"reasoning": "A is tempting", "answer": "B"}', CLASSES, "B"),
        ("Final answer: B", CLASSES, "B"),
        ("FINAL ANSWER: B", CLASSES, "B"),
        ("Answer - B", CLASSES, "B"),
        ("Answer B", CLASSES, "B"),
        ("### Answer\nB", CLASSES, "B"),
        ("**Answer**: B", CLASSES, "B"),
        ("Final Answer: **B**", CLASSES, "B"),
        ("Answer: (B) Theory", CLASSES, "B"),
        ("At first B seems right, but the answer is C", CLASSES, "C"),
        ("At first I thought B, but it is C.", CLASSES, "C"),
        ("I first considered (B). However, (C) is the best choice.", CLASSES, "C"),
        ("The answer is A. The answer is B.", CLASSES, None),
        ("Final answer: A\nFinal answer: B", CLASSES, None),
        ("A seems plausible. However, B fits better.", CLASSES, "B"),
        ("Answer: A\n\nOn reflection, the answer is C.", CLASSES, "C"),
        ("The answer is (A) Theory.", CLASSES, None),
        ("While A is close, B is the answer.", CLASSES, "B"),
        ("It could be A or B, but I'd say B.", CLASSES, "B"),
        ("Between A and C, I choose C", CLASSES, "C"),
        ("排除A、B，选C", CLASSES, "C"),
        ("The answer is A. No, wait: the answer is B.", CLASSES, "B"),
        ("The answer is A. Actually, B is correct.", CLASSES, "B"),
        ("The answer is black cat", ANIMALS, "C"),
        ("It is a black cat.", ANIMALS, "C"),
        ("cat", ANIMALS, "A"),
        ("a cat, not a dog", ANIMALS, "A"),
        ("The animal is a dog rather than a cat.", ANIMALS, "B"),
        ("yes", EDGE, "yes"),
        ("Yes.", EDGE, "yes"),
        ("The answer is no.", EDGE, "no"),
        ("No, they are not linked.", EDGE, "no"),
        ("I think the answer is yes", EDGE, "yes"),
        ("Final answer: No", EDGE, "no"),
        ("2", NUMBERS, "2"),
        ("The answer is 2.", NUMBERS, "2"),
        ("Option 2", NUMBERS, "2"),
        ("(2)", NUMBERS, "2"),
        ("Answer: [2]", NUMBERS, "2"),
        ("Class 3", NUMBERS, "3"),
        ("There are 2 nodes.", NUMBERS, None),
        ("A is better than B.", CLASSES, "A"),
        ("B is more accurate than A.", CLASSES, "B"),
        ("Compared to A, B is better.", CLASSES, "B"),
        ("Unlike B, option C fits.", CLASSES, "C"),
        ("A is incorrect. B is incorrect. C is correct. D is incorrect.", CLASSES, "C"),
        ("It can't be A. It isn't B or C. So it must be D.", CLASSES, "D"),
        ("We can eliminate A, B and C, leaving D.", CLASSES, "D"),
        ("I rule out (A) and (B). The answer: (C).", CLASSES, "C"),
        ("(B) is correct, since (A) and (C) are not.", CLASSES, "B"),
        ("The correct answer is not (A) but (B).", CLASSES, "B"),
        ("The answer is B, not A.", CLASSES, "B"),
        ("The answer is not B.", CLASSES, None),
        ("B is not the answer.", CLASSES, None),
        ("B is wrong.", CLASSES, None),
        ("I don't think it is B.", CLASSES, None),
        ("I would go with D.", CLASSES, "D"),
        ("My choice: D", CLASSES, "D"),
        ("I'd pick option C here.", CLASSES, "C"),
        ("Let's go with (A).", CLASSES, "A"),
        ("D it is.", CLASSES, "D"),
        ("It's B", CLASSES, "B"),
        ("It must be D.", CLASSES, "D"),
        ("Definitely (B)!", CLASSES, "B"),
        ("Both A and B are correct.", CLASSES, None),
        ("A and B", CLASSES, None),
        ("All of them", CLASSES, None),
        ("None of the above", CLASSES, None),
        ("The answer could be A, B or C.", CLASSES, None),
        ("A paper on B-trees.", CLASSES, None),
        ("I think I need more context.", {"A": "x1", "I": "y1"}, None),
        ("As an AI, I see no vitamin C here", {"A": "x1", "B": "y1"}, None),
        ("<think>A</think>\nThe answer is B", CLASSES, "B"),
        ("The options are A, B, C, D. I choose B.", CLASSES, "B"),
        ("Among A, B, C and D, B is the best answer.", CLASSES, "B"),
        ("The correct option is: **B) Theory**", CLASSES, "B"),
        ("Correct answer: B. Theory", CLASSES, "B"),
        ("Answer: B\n\nExplanation: A is about networks, C is about cases.", CLASSES, "B"),
        ("B\n\nExplanation: option A is too narrow.", CLASSES, "B"),
        ("B: because A is too narrow", CLASSES, "B"),
        ("The answer is probably C, though A is possible.", CLASSES, "C"),
        ("The answer might be A.", CLASSES, "A"),
        ("If A were true, the answer would be B. ", CLASSES, "B"),
        ("(b)", CLASSES, "B"),
        ("answer: b", CLASSES, "B"),
        ("The answer is (b).", CLASSES, "B"),
        ("option b", CLASSES, "B"),
        ("The correct answer is d) networks", CLASSES, "D"),
        ("The right answer is theory, since it is not about neural networks.", CLASSES, "B"),
        ("A. Neural Networks", CLASSES, "A"),
        ("A: Neural Networks\nB: Theory\nC: Case Based\nD: Networks", CLASSES, None),
        ("A: Neural Networks\nB: Theory\nC: Case Based\nD: Networks\nAnswer: C", CLASSES, "C"),
        ("A) Neural Networks is wrong.\nB) Theory is correct.\nC) Case Based is wrong.", CLASSES, "B"),
        # Lists of the options say nothing, but what stands around them and what concludes in them does.
        ("- Neural networks fit\n- Theory fits", CLASSES, None),
        ("(A) Neural Networks\n(B) Theory", CLASSES, None),
        ("alpha: fits.\nbeta: fits.\nthe beta test: fits.", RUNS, None),
        ("A. Neural Networks\nThe answer is:\nB. Theory", CLASSES, "B"),
        ("A. Neural Networks\nIs it that?\nAnswer: \nB. Theory", CLASSES, "B"),
        ("The answer is C.\nA. Neural Networks\nB. Theory", CLASSES, "C"),
        ("A or C.\nTherefore, B.\n(A) it is large\n(B) it is small", CLASSES, "B"),
        ("A or C.\nTherefore, B.", CLASSES, "B"),
        ("(A) It fits. Therefore, C.\n(B) It fits.", CLASSES, "C"),
        # Questions and reasons assert nothing; what comes later only counts if it says so.
        ("Is it A? It is about theory.", CLASSES, "B"),
        ("Well, because it cites A, it is B", CLASSES, "B"),
        ("Since it cites A, B fits, and it is old", CLASSES, "B"),
        ("The answer is A. Therefore, it is B.", CLASSES, "B"),
        ("The answer is A. So it is B or C.", CLASSES, "A"),
        ("The answer is D. No, the answer is A or B.", CLASSES, None),
        ("The answer is D. Actually the answer is A, B or C.", CLASSES, "D"),
        ("A is old, but I choose B", CLASSES, "B"),
        ("B fits. A fits.", CLASSES, "B"),
        ("We look at it. B fits. A fits.", CLASSES, None),
        ("B shows a tree. A fits.", CLASSES, None),
        # No space follows a full stop of full width.
        ("是A吗？是B。", CLASSES, "B"),
        ("A描述树。因此B。", CLASSES, "B"),
        ("A很好；B更好。", CLASSES, "A"),
    ],
)
def test_free_text_is_read_by_what_it_commits_to(reply, choices, label):
    assert find_choice(reply, choices) == label


@pytest.mark.parametrize(
    "unit",
    [
        *("A or ", "answer is ", "answer: A ", " A", "A, ", "(A) ", "not ", "A is not ", "neither A nor ", "because "),
        *("- (A)\n", "choose ", "theory ", "<answer>", "</think>", "选", "\n", " ", "(", "*", "_", "1. ", "B is B is "),
        *("x", "so ", "\\boxed{"),
    ],
)
def test_a_long_reply_takes_no_longer_than_its_length(unit):
    def seconds(characters):
        started = time.process_time()
        find_choice(unit * (characters // len(unit)), CLASSES)
        return time.process_time() - started

    # Quadratic time would take hours for some of them, or minutes at least.
    assert seconds(100_000) < 10


def test_real_replies_are_read(real_data):
    path = real_data / "replies" / "blink.jsonl"
    if not path.is_file():
        pytest.skip("the replies are not here")
    found = sets(path)
    # A quarter of the rows takes a few seconds; experiments/read_replies.py takes all.
    for name, step, right, wrong in (
        ("certain", 4, 0.98, 0.005),
        ("certain, without brackets", 4, 0.95, 0.01),
        ("uncertain, by hand", 1, 0.9, 0.02),
    ):
        row = measure(found[name][::step])
        assert row["right_share"] >= right and row["wrong_share"] <= wrong, (name, row)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes \u2013 both study GNNs.", "yes"),
        ("No \u2014 unrelated", "no"),
        ("**Yes** - they cite each other", "yes"),
        ("Yes (both are about GNNs)", "yes"),
        ("No one knows", None),
        ("Yes-man", None),
        ("<think>No, wait. Option yes seems best so far, but let me check", None),
        ("<think>Hm.</think> Yes.", "yes"),
        ("Yes, there is no reason to doubt it.", "yes"),
        ("The answer is yes, no doubt.", "yes"),
    ],
)
def test_yes_and_no_set_off_from_what_follows(reply, answer):
    assert find_choice(reply, {"yes": "yes", "no": "no"}) == answer
