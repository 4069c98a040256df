"""Reasoning that names another answer than the reply gives, found by rule."""

import pytest

from ssl4rl.answers import Outcome, Scoring
from ssl4rl.records import ReplyRecord
from ssl4rl.training.reasoning import contradicts

YES_NO, LETTERS, CORNERS = ["yes", "no"], list("ABCD"), ["top-left", "top-right", "left"]


def record(reply: str, choices: list[str], answer: str | None, outcome: str = "wrong") -> ReplyRecord:
    return ReplyRecord(
        id="s/train/t@easy/0/0#01234567",
        prompt="?",
        reply=reply,
        answer=answer,
        score=0.0,
        outcome=Outcome(outcome),
        gold="yes",
        chance=0.5,
        scoring=Scoring("score_any_of", {"accepted": ["yes"], "choices": choices}),
    )


@pytest.mark.parametrize(
    ("reasoning", "choices", "answer", "found"),
    [
        ("Both are about boats, so yes.", YES_NO, "yes", False),
        ("Both are about boats, so yes.", YES_NO, "No", True),
        ("Yes? There is no boat in it.", YES_NO, "yes", True),
        ("Nothing is known, nobody knows.", YES_NO, "yes", None),
        ("A text is about boats. The answer is (B).", LETTERS, "B", False),
        ("Option A is near, but the answer must be C", LETTERS, "A", True),
        ("It is not option B. Option C is correct.", LETTERS, "C", False),
        ("Between option A and option B the texts differ, Answer: C", LETTERS, "C", False),
        ("The Answer is C.", LETTERS, "B", True),
        ("A is like it. B is a boat.", LETTERS, "B", None),
        ("the answer is a boat", LETTERS, "B", None),
        ("It is in the Top Left corner", CORNERS, "top-left", False),
        ("It is in the top right corner", CORNERS, "left", True),
    ],
)
def test_the_last_answer_that_is_named_counts(reasoning, choices, answer, found):
    reply = f"<think>{reasoning}</think><answer>{answer}</answer>"
    assert contradicts(record(reply, choices, answer)) is found


def test_replies_without_reasoning_or_a_valid_answer_say_nothing():
    assert contradicts(record("yes", YES_NO, "yes")) is None
    assert contradicts(record("<think>no</think>", YES_NO, None, "unparsed")) is None
    assert contradicts(record("<think>no</think><answer>perhaps</answer>", YES_NO, "perhaps", "invalid")) is None
