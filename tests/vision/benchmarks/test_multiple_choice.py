"""Multiple choice: which items there are, how they are asked, and what the ablations hide."""

import numpy as np
import pytest

from ssl4rl.benchmarks import accepted_answers
from ssl4rl.data.images import QUESTIONS
from ssl4rl.data.images.questions import load_questions
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.prompts import reply_form
from ssl4rl.vision.benchmarks.multiple_choice import GROUPS, MMBench, MultipleChoice
from ssl4rl.vision.questions import Question


def benchmark_on(path, kind=MultipleChoice, **knobs):
    return kind(load_questions(str(path)), split="test", knobs=knobs)


def test_rotations_move_the_options_on_and_the_answer_with_them():
    question = Question("7", "7", "?", {"A": "ant", "B": "bee", "D": "cow"}, "B", 0, "here")
    rotated = question.rotations()
    assert [row.index for row in rotated] == ["7", "1000007", "2000007"] and {row.base for row in rotated} == {"7"}
    assert [list(row.options.values()) for row in rotated] == [
        ["ant", "bee", "cow"],
        ["bee", "cow", "ant"],
        ["cow", "ant", "bee"],
    ]
    assert [row.answer for row in rotated] == ["B", "A", "D"] and list(rotated[1].options) == ["A", "B", "D"]
    assert all(row.options[row.answer] == "bee" for row in rotated)


def test_rotations_of_rows_with_large_indices_have_names_of_their_own():
    questions = [
        Question(index, index, "?", {"A": "ant", "B": "bee"}, "B", 0, "here") for index in ("1000005", "2000005")
    ]
    names = [row.index for question in questions for row in question.rotations()]
    assert names == ["1000005", "1000005+1", "2000005", "2000005+1"]


def test_the_prompt_word_for_word(question_table):
    path = question_table({"hint": "It is old.", "question": "What is it?", "C": "a cup", "answer": "C"})
    example = benchmark_on(path).example(0)
    words = "Hint: It is old.\nWhat is it?\nA: yes\nB: no\nC: a cup\n"
    assert example.text == words + reply_form("one letter from A to C")
    assert [image.size for image in example.images] == [(40, 30)] and accepted_answers(example) == ["C"]
    direct = benchmark_on(path, reasoning=False).example(0)
    assert direct.text == words + "Answer with one letter from A to C and nothing else."
    assert direct.scoring.arguments == {"accepted": ["C"], "choices": ["A", "B", "C"], "bare": True}
    level = MultipleChoice(load_questions(str(path)), split="test", level="direct").example(0)
    assert (level.text, level.scoring) == (direct.text, direct.scoring)
    assert example.meta["item"] == direct.meta["item"] == "question:1" and example.meta["class"] == "a cup"


def test_what_is_hidden_is_the_image_and_nothing_else(question_table):
    path = question_table({}, {"question": "Another?"})
    shown = benchmark_on(path)
    none, blank = (benchmark_on(path, **shown.ablations[name]) for name in ("no image", "blank image"))
    for index in range(2):
        assert shown.example(index).text == blank.example(index).text == none.example(index).text
        assert none.example(index).images == []
        (grey,) = blank.example(index).images
        assert grey.size == (40, 30) and np.unique(np.asarray(grey)).tolist() == [128]
        assert len({each.example(index).id for each in (shown, blank, none)}) == 3
    assert benchmark_on(path, size=16).example(0).images[0].size == (21, 16)


def test_shuffled_patches_are_the_same_pixels_in_other_places():
    usual, shuffled, other = (
        MultipleChoice(QUESTIONS.load(), split="test", knobs={"image": how}) for how in ("shown", "patches", "other")
    )
    for index in range(4):
        ((before,), (after,), (another,)) = (each.example(index).images for each in (usual, shuffled, other))
        before, after, another = (np.asarray(image) for image in (before, after, another))
        assert sorted(before.reshape(-1, 3).tolist()) == sorted(after.reshape(-1, 3).tolist())
        height, width = before.shape[0] // 4, before.shape[1] // 4
        for row in range(4):
            for column in range(4):
                piece = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
                assert (before[piece] != after[piece]).any()
        assert another.shape != before.shape or (another != before).any()
        assert usual.example(index).text == shuffled.example(index).text == other.example(index).text


def test_another_image_needs_another_one(question_table):
    with pytest.raises(NotApplicable, match="only one image"):
        benchmark_on(question_table({}), image="other")


def test_options_in_another_order_stay_right_and_those_that_speak_of_others_stay(question_table):
    path = question_table(
        {"C": "a cup", "D": "a dog", "answer": "C"},
        {"C": "both A and B"},
        {"C": "none of the above"},
        {"C": "USA and UK"},
    )
    for index in range(4):
        usual, restated = (benchmark_on(path, restated=form).example(index) for form in (None, "options"))
        before, after = usual.meta["choices"], restated.meta["choices"]
        assert before[usual.gold] == after[restated.gold] and usual.meta["item"] == restated.meta["item"]
        is_fixed = before["C"] in ("both A and B", "none of the above")
        assert (before == after) if is_fixed else not any(before[letter] == after[letter] for letter in before)


def test_an_image_that_is_encoded_again_looks_the_same():
    usual, again = (
        MultipleChoice(QUESTIONS.load(), split="test", knobs={"restated": how}) for how in (None, "encoding")
    )
    before, after = (np.asarray(each.example(0).images[0], dtype=float) for each in (usual, again))
    assert 0 < np.abs(before - after).mean() < 4 and usual.example(0).id.hash != again.example(0).id.hash


def test_items_stand_question_by_question_and_limits_count_questions(question_table):
    copies = [{"index": i * 1_000_000 + 3, "A": "no", "B": "yes", "answer": "B"} for i in (1,)]
    path = question_table({"index": 1}, {"index": 2, "C": "maybe"}, {"index": 3}, *copies)
    plain, turned = benchmark_on(path), benchmark_on(path, rotate=True)
    assert (plain.size, plain.num_questions, turned.size, turned.num_questions) == (4, 3, 7, 3)
    for benchmark in (plain, turned):
        rows = [benchmark.example(index).meta["question"] for index in range(benchmark.size)]
        starts = [index for index, row in enumerate(rows) if rows.index(row) == index]
        assert rows == sorted(rows, key=rows.index)
        assert [benchmark.items_of(count) for count in range(4)] == [*starts, benchmark.size]
    # Copies that the table brings are kept as they are.
    assert sum(row.base == "3" for row in turned.rows) == 2
    # Which order the questions have does not depend on how they are shown.
    assert list(dict.fromkeys(row.base for row in plain.rows)) == list(dict.fromkeys(row.base for row in turned.rows))


def test_parts_of_a_table(question_table):
    path = question_table(
        {"index": 1},
        {"index": 2, "split": ""},
        {"index": 3, "split": "test", "answer": ""},
        {"index": 4, "split": "train"},
    )
    dev = benchmark_on(path, part="dev")
    assert {row.index for row in dev.rows} == {"1", "2"}
    train = MultipleChoice(load_questions(str(path)), split="train")
    assert [row.index for row in train.rows] == ["4"]
    with pytest.raises(UserError, match=r"row 4, field answer: it is empty, .* --set task\.part=NAME"):
        benchmark_on(path)
    with pytest.raises(UserError, match="did you mean dev"):
        benchmark_on(path, part="devv")
    with pytest.raises(NotApplicable, match="no validation split"):
        MultipleChoice(load_questions(str(path)), split="val")
    with pytest.raises(NotApplicable, match="has no train questions"):
        MultipleChoice(load_questions(str(question_table({}, name="other.tsv"))), split="train")


def test_groups_of_abilities(question_table, real_data):
    assert len(GROUPS) == 6 and sum(map(len, GROUPS.values())) == 20
    source = load_questions(str(real_data / "mmbench"))
    for example in map(MMBench(source, split="test").example, range(20)):
        assert example.meta["category"] in GROUPS[example.meta["group"]]
    for question in source.questions:
        assert question.category in GROUPS[question.group]
    path = question_table({"category": "my_own", "l2-category": "mine"}, {"category": "ocr", "l2-category": "mine"})
    groups = {row.meta["category"]: row.meta["group"] for row in map(benchmark_on(path, MMBench).example, range(2))}
    assert groups == {"my_own": "mine", "ocr": "finegrained_perception (instance-level)"}


def test_the_contract(question_table):
    benchmark = MultipleChoice(QUESTIONS.load(), split="test", knobs={"rotate": True, "image": "none"})
    chance, constant = [], {letter: [] for letter in "ABCD"}
    for index in range(200):
        example = benchmark.example(index)
        assert benchmark.score(f"<answer>{example.gold}</answer>", example).value == 1
        assert benchmark.score("", example).value == 0
        chance.append(example.chance)
        for letter, values in constant.items():
            values.append(benchmark.score(f"<answer>{letter}</answer>", example).value)
    # Every letter is right as often as the others over the rotations of a question.
    assert max(map(np.mean, constant.values())) <= np.mean(chance) + 3 * np.sqrt(0.25 / 200)


@pytest.mark.parametrize(
    "option",
    [
        "Both A and B",
        "Neither A nor B",
        "Both (A) and (B)",
        "A/B",
        "A & B",
        "A, B",
        "All of the above",
        "none of the Above",
    ],
)
def test_options_that_speak_of_others_are_not_rotated(question_table, option):
    assert Question("7", "7", "?", {"A": "ant", "B": "bee", "C": option}, "C", 0, "here").has_fixed_order
    path = question_table({"index": 1, "C": option, "answer": "C"}, {"index": 2, "C": "a cup", "answer": "C"})
    assert benchmark_on(path, rotate=True).size == 1 + 3


@pytest.mark.parametrize("option", ["vitamin A", "An apple and a pear", "Hepatitis B or worse", "the A-team"])
def test_other_options_are(option):
    assert not Question("7", "7", "?", {"A": "ant", "B": option}, "A", 0, "here").has_fixed_order
