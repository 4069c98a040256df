"""scores.json from hand-written predictions."""

import pytest

from ssl4rl.answers import Scoring, score
from ssl4rl.evaluation.rescore import rescore
from ssl4rl.evaluation.scores import MAX_CONFUSION, per_question, scores
from ssl4rl.intervals import wilson


def test_scores_of_a_hand_counted_run(prediction) -> None:
    names = {"A": "cat", "B": "dog", "C": "cow"}
    found = scores(
        [
            prediction("1", ["A"], "<answer>A</answer>", names),
            prediction("2", ["A"], "<answer>a</answer>", names),
            prediction("3", ["A"], "<answer>B</answer>", names),
            prediction("4", ["B"], "<answer>(B)</answer>", names),
            # A name is no label: wrong strictly, right leniently.
            prediction("5", ["B"], "<answer>dog</answer>", names),
            # Two labels are right; the one that is not the item's own class counts for it all the same.
            prediction("6", ["A", "C"], "<answer>C</answer>", names),
            prediction("7", ["B"], "I think (B), but", names, truncated=True),
            prediction("8", ["B"], "no idea", names),
        ]
    )
    assert (found["n"], found["accuracy"], found["parsed"], found["truncated"]) == (8, 4 / 8, 6 / 8, 1 / 8)
    # Scored before a scoring said what may be answered: whatever was read is valid.
    assert found["valid"] == 6 / 8
    assert (found["low"], found["high"]) == wilson(4, 8)
    assert found["accuracy_parsed"] == 4 / 6 and (found["low_parsed"], found["high_parsed"]) == wilson(4, 6)
    low, high = wilson(6, 8)
    assert found["lenient"] == {"accuracy": 6 / 8, "low": low, "high": high, "parsed": 7 / 8}
    assert found["chance"] == pytest.approx((7 / 3 + 2 / 3) / 8)
    # cat: 3 of 4 found, nothing else called cat; dog: 1 of 4 found, picked twice.
    assert found["per_class"] == [
        {"name": "cat", "n": 4, "precision": 1.0, "recall": 3 / 4, "f1": 6 / 7},
        {"name": "dog", "n": 4, "precision": 1 / 2, "recall": 1 / 4, "f1": 2 / 6},
    ]
    assert found["macro_f1"] == pytest.approx((6 / 7 + 2 / 6) / 2)
    assert found["confusion"] == {
        "labels": ["cat", "dog"],
        "columns": ["cat", "dog", "(no option)", "(unparsed)"],
        "rows": [[3, 1, 0, 0], [0, 1, 1, 2]],
    }
    assert found["positions"] == [
        {"label": "A", "gold": 4, "picked": 2, "right": 2},
        {"label": "B", "gold": 4, "picked": 2, "right": 1},
        {"label": "C", "gold": 1, "picked": 1, "right": 1},
    ]


def test_an_answer_that_is_no_option_is_read_but_not_valid(prediction) -> None:
    names = {"A": "cat", "B": "dog"}
    scoring = Scoring("score_any_of", {"accepted": ["A"], "choices": ["A", "B"], "bare": True})
    replies = ["A", "b.", "cat", "7", "", "<think>A"]
    rows = []
    for number, reply in enumerate(replies):
        verdict = score(reply, scoring)
        recorded = {"answer": verdict.answer, "score": verdict.value, "outcome": verdict.outcome}
        rows.append(prediction(str(number), ["A"], reply, names, scoring=scoring, **recorded))
    assert [row.outcome for row in rows] == ["correct", "wrong", "invalid", "invalid", "unparsed", "unparsed"]
    found = scores(rows)
    assert (found["accuracy"], found["parsed"], found["valid"]) == (1 / 6, 4 / 6, 2 / 6)
    # A name is read leniently, a thought that was cut off is not; in the table of classes neither is an option.
    assert found["lenient"]["accuracy"] == 2 / 6 and found["confusion"]["rows"][0] == [1, 1, 2, 2]
    strict = rescore(rows, "strict")
    assert strict.changed == 0 and strict.scores == strict.recorded == found
    assert rescore(rows, "lenient").scores["valid"] == 3 / 6
    # Of a question asked several times, a reply that was not valid decides over one that was wrong.
    twice = [row.model_copy(update={"question": "q"}) for row in rows]
    assert per_question(twice[:2])["q"].outcome == "wrong"
    assert per_question(twice[:4])["q"].outcome == "invalid"
    assert per_question(twice)["q"].outcome == "unparsed"


def test_many_classes_have_no_confusion_and_a_class_never_picked_no_precision(prediction) -> None:
    names = {str(i + 1): f"relation {i}" for i in range(MAX_CONFUSION + 1)}
    found = scores([prediction(label, [label], "<answer>1</answer>", names) for label in names])
    assert found["confusion"] is None and len(found["per_class"]) == MAX_CONFUSION + 1
    assert [row["precision"] for row in found["per_class"]].count(None) == MAX_CONFUSION
    few = [prediction("a", ["1"], "<answer>1</answer>", names)]
    assert scores(few)["confusion"]["rows"] == [[1, 0, 0]]


def test_another_name_of_a_class_is_that_class(prediction) -> None:
    names = {name: name for name in ("tench", "Tinca tinca", "goldfish")}

    def found(wrong: str) -> dict:
        golds = [["tench", "Tinca tinca"], ["tench", "Tinca tinca"], ["goldfish"], ["goldfish"]]
        replies = ["tench", "Tinca tinca", "goldfish", wrong]
        rows = zip(golds, replies, strict=True)
        return scores(
            [prediction(str(n), gold, f"<answer>{reply}</answer>", names) for n, (gold, reply) in enumerate(rows)]
        )

    assert found("Tinca tinca")["per_class"] == found("tench")["per_class"]
    assert found("Tinca tinca")["confusion"]["columns"][:2] == ["goldfish", "tench"]
