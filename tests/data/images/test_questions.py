"""Tables of multiple-choice questions: what is read, and what is refused with its row and field."""

from collections import Counter

import pytest

from ssl4rl.data.images import QUESTIONS
from ssl4rl.data.images.questions import load_questions
from ssl4rl.errors import UserError


def test_a_table_of_ones_own(question_table):
    path = question_table(
        {"question": " How many? ", "C": "three", "answer": "C", "hint": "count"},
        {"index": "7.0", "image": "1", "split": "", "l2-category": "mine", "B": " none "},
    )
    one, two = load_questions(str(path)).questions
    assert (one.index, one.text, one.hint, one.answer) == ("1", "How many?", "count", "C")
    assert one.options == {"A": "yes", "B": "no", "C": "three"}
    assert (two.index, two.part, two.group, two.options) == ("7", "", "mine", {"A": "yes", "B": "none"})
    questions = load_questions(str(path))
    assert questions.hashes[0] == questions.hashes[1] and questions.open(two).size == (40, 30)
    assert questions.fingerprint == load_questions(str(path.parent)).fingerprint


def test_more_letters_than_four_and_a_gap(question_table):
    path = question_table({"C": "", "D": "four", "E": "five", "answer": "E"})
    assert load_questions(str(path)).questions[0].options == {"A": "yes", "B": "no", "D": "four", "E": "five"}


def test_rotated_copies_are_known_by_their_index(question_table):
    rows = [{"index": 5, "C": "maybe"}, {"index": 1_000_005, "A": "no", "B": "maybe", "C": "yes", "answer": "C"}]
    base, copy = load_questions(str(question_table(*rows))).questions
    assert (base.rotated, copy.rotated, copy.base) == (False, True, "5")
    # An index of a million or more is no copy where no row is there that it could be a copy of.
    (lonely,) = load_questions(str(question_table({"index": 391_895_000_004}, name="own.tsv"))).questions
    assert (lonely.rotated, lonely.base) == (False, "391895000004")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{}, {"image": "/9j/4AAQSkZJRgABAQAAAQABAAD*" * 4}], "row 3, field image: this is not base64"),
        ([{}, {"image": ""}], "row 3, field image: the image is missing"),
        ([{}, {"image": "99"}], "row 3: it refers to the image of index 99, but no row has that index"),
        ([{}, {"image": "3"}, {"image": "1"}], "row 2: .* holds no image itself"),
        ([{}, {"index": 1}], "row 3, field index: 1 is a duplicate of made_up.tsv, row 2"),
        ([{}, {"index": ""}], "row 3, field index: every row needs"),
        ([{}, {"answer": "C"}], r"row 3, field answer: 'C' is none of the row's options \(A, B\)"),
        ([{}, {"answer": "yes"}], "row 3, field answer: 'yes' is none"),
        ([{}, {"B": " "}], "row 3: a question needs two options or more, and this one has 1"),
        ([{}, {"question": ""}], "row 3, field question: the question is missing"),
        ([{}, {"index": 1_000_001, "A": "perhaps"}], "row 3: index 1000001 makes it a rotated copy of .* row 2, but"),
    ],
)
def test_bad_rows_are_named(question_table, rows, message):
    if "holds no image" in message:
        rows[0]["image"] = "2"
        rows[1]["image"] = "3"
    with pytest.raises(UserError, match=message):
        load_questions(str(question_table(*rows)))


def test_bad_files(question_table, tmp_path):
    with pytest.raises(UserError, match="no column 'image' or 'answer'; its columns are index, question, A, B"):
        load_questions(str(question_table({}, columns=["index", "question", "A", "B"])))
    path = question_table({})
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="has no rows"):
        load_questions(str(path))
    path.write_text(path.read_text() + "1\tonly two cells\n")
    with pytest.raises(UserError, match="row 2: the header has 12 cells, this row 2"):
        load_questions(str(path))
    with pytest.raises(UserError, match="there is no file"):
        load_questions(str(tmp_path / "nowhere.tsv"))
    question_table({}, name="second.tsv")
    with pytest.raises(UserError, match=r"holds 2 \.tsv files; name the one to read"):
        load_questions(str(tmp_path))
    (tmp_path / "notes.csv").write_text("index,question\n")
    with pytest.raises(UserError, match=r"is not a \.tsv"):
        load_questions(str(tmp_path / "notes.csv"))


def test_a_cell_that_is_base64_but_no_image_is_named_when_it_is_opened(question_table):
    questions = load_questions(str(question_table({"image": "bm90IGEgcGlj" * 9})))
    with pytest.raises(UserError, match=r"made_up\.tsv, row 2 is not an image that can be read"):
        questions.open(questions.questions[0])


def test_a_changed_table_is_read_again(question_table):
    first = load_questions(str(question_table({}))).fingerprint
    assert load_questions(str(question_table({"B": "not at all"}))).fingerprint != first


def test_mmbench_as_it_is_published(real_data):
    questions = load_questions(str(real_data / "mmbench"))
    assert len(questions.questions) == len({question.category for question in questions.questions}) == 20
    assert Counter(len(question.options) for question in questions.questions) == {4: 18, 3: 2}
    assert all(questions.open(question).mode == "RGB" for question in questions.questions)


def test_questions_about_the_drawn_scenes():
    questions = QUESTIONS.load()
    assert repr(questions) == "QuestionSet('scenes', 588 questions, 588 images)"
    assert questions.fingerprint.startswith("39f303f6c9a2")
    asked = {part: [q for q in questions.questions if q.part == part] for part in ("train", "test")}
    assert len(asked["train"]) == 200 and len(asked["test"]) > 300
    assert not {q.image for q in asked["train"]} & {q.image for q in asked["test"]}
    right = Counter((q.category, q.answer) for q in asked["test"])
    assert all(0.35 < right["checking", letter] / (len(asked["test"]) / 2) < 0.65 for letter in "AB")
    assert all(0.15 < right["naming", letter] / (len(asked["test"]) / 2) < 0.35 for letter in "ABCD")
    assert all(len(set(q.options.values())) == len(q.options) for q in questions.questions)
