"""Tables of multiple-choice questions: what is read, and what is refused with its row and field."""

import base64
import csv
import io
import json
from collections import Counter

import pytest
from PIL import Image

import ssl4rl
from ssl4rl.build import find_kind
from ssl4rl.data.images import QUESTIONS
from ssl4rl.data.images.questions import load_questions
from ssl4rl.errors import UserError
from ssl4rl.prompts import OF_OTHERS


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
        ([{"image": "/9j/4AAQSkZJRgABAQAAAQABAAD*" * 4}], "row 2, field image: this is not base64"),
        ([{"image": ""}], "row 2, field image: the image is missing"),
        ([{}, {"image": "3"}, {"image": "1"}], "row 2: .* holds no image itself"),
        ([{}, {"index": 1}], "row 3, field index: 1 is a duplicate of made_up.tsv, row 2"),
        ([{}, {"index": ""}], "row 3, field index: every row needs"),
        ([{}, {"answer": "C"}], r"row 3, field answer: 'C' is none of the row's options \(A, B\)"),
        ([{}, {"answer": "yes"}], "row 3, field answer: 'yes' is none"),
        ([{}, {"B": " "}], "row 3: a question needs two options or more, and this one has 1"),
        ([{}, {"B": "yes"}], "row 3: a question needs two options or more, and this one has one, 2 times"),
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
    with pytest.raises(UserError, match="no column 'image'; its columns are index, question, A, B"):
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
    with pytest.raises(
        UserError, match=r"holds 2 tables of questions \(made_up\.tsv, second\.tsv\); name the one to read"
    ):
        load_questions(str(tmp_path))
    (tmp_path / "notes.csv").write_text("index,question\n")
    with pytest.raises(UserError, match=r"no column 'A' or 'B'"):
        load_questions(str(tmp_path / "notes.csv"))


def test_rows_with_a_broken_image_are_left_out_and_named(question_table):
    broken = {"image": "bm90IGEgcGlj" * 9}
    questions = load_questions(str(question_table({}, broken, {"image": "2"}, {"image": "1"})))
    assert [question.index for question in questions.questions] == ["1", "4"] and not questions.left_out
    assert ["row 3 is not an image" in questions.skipped[0], "row 4 is not an image" in questions.skipped[1]] == [
        True,
        True,
    ]
    assert len(ssl4rl.benchmark("choice", questions).example(1).images) == 1
    assert QUESTIONS.summarise(questions).facts["skipped"] == {"rows with broken or missing images": 2}
    with pytest.raises(UserError, match=r"none of the 1 rows has an image that can be read, e\.g\. .*row 2 is not"):
        load_questions(str(question_table(broken)))


def png(shade: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("written", ["a", "(A)", "A.", "A)", " a "])
def test_letters_of_answers_in_other_forms(question_table, written):
    assert load_questions(str(question_table({"answer": written}))).questions[0].answer == "A"


@pytest.mark.parametrize("written", ["yes", "0", "AB", "Z"])
def test_an_answer_that_is_no_letter_is_refused(question_table, written):
    with pytest.raises(UserError, match=r"field answer: .* is none of the row's options"):
        load_questions(str(question_table({"answer": written})))


def test_of_options_with_the_same_text_all_are_right_or_none(question_table):
    rows = [{"C": "yes", "answer": "C"}, {"C": "no", "D": "", "answer": "A"}]
    questions = load_questions(str(question_table(*rows)))
    assert [question.accepted for question in questions.questions] == [["A", "C"], ["A"]]
    benchmark = ssl4rl.benchmark("choice", questions, rotate=True)
    for index in range(benchmark.size):
        example = benchmark.example(index)
        right = [letter for letter, text in benchmark.choices(example).items() if text == "yes"]
        assert [benchmark.score(f"<answer>{letter}</answer>", example).value for letter in right] == [1.0] * len(right)
        assert example.chance == len(right) / 3 and example.meta["class"] == "yes"


def test_rows_whose_image_is_in_no_row_are_left_out_and_named(question_table, tmp_path):
    path = question_table({"image": "99"}, {}, {"image": "2"}, {"index": 1_000_001, "image": "1"}, {"image": "1"})
    for _ in range(2):  # read, and remembered
        questions = load_questions(str(path))
        assert [question.index for question in questions.questions] == ["2", "3"]
        assert all(questions.open(question).size == (40, 30) for question in questions.questions)
        first, second, third = questions.left_out
        assert first.endswith("row 2: it refers to the image of index 99, but no row has that index")
        assert "row 5" in second and "row 6" in third
    report = QUESTIONS.validate(str(path))
    assert report.problems == [] and list(report.skipped.values()) == [3] and report.summary.facts["num_rows"] == 2
    (note,) = ssl4rl.benchmark("choice", questions).notes
    assert note.startswith("3 of 5 rows are left out, as their images are not in the table (made_up.tsv, row 2: ")
    with pytest.raises(UserError, match=r"row 2: it refers to the image of index 99, .* \(so it is for all 2 rows\)"):
        load_questions(str(question_table({"image": "99"}, {"image": "98"})))


def test_a_question_with_one_of_several_images_missing_is_left_out(question_table):
    several = json.dumps([base64.b64encode(png(3)).decode(), "99"])
    questions = load_questions(str(question_table({}, {"image": several}, {"image": json.dumps(["1", "1"])})))
    assert [question.index for question in questions.questions] == ["1", "3"] and len(questions.left_out) == 1
    assert [len(question.images) for question in questions.questions] == [1, 2]
    assert {questions.hashes[image] for image in questions.questions[1].images} == {questions.hashes[0]}


def test_a_part_of_a_published_table_is_read_without_the_rows_whose_images_are_elsewhere(real_data):
    questions = load_questions(str(real_data / "visonlyqa.tsv"))
    assert (len(questions.questions), len(questions.left_out)) == (58, 62)
    assert all("no row has that index" in line for line in questions.left_out)
    benchmark = ssl4rl.benchmark("choice", questions)
    assert all(benchmark.example(index).images for index in range(0, 58, 7))


def test_questions_without_answers(question_table):
    columns = ["index", "question", "image", "A", "B"]
    path = question_table({}, columns=columns)
    assert find_kind(str(path)).name == "questions"
    report = QUESTIONS.validate(str(path))
    assert report.problems == [] and report.summary.facts["unanswered"] == 1


def test_paths_and_data_uris(question_table, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes(png(ord(name[0])))
    uri = f"data:image/png;base64,{base64.b64encode(png(7)).decode()}"
    path = question_table({"image": "images/a.png"}, {"image": "images\\b.png"}, {"image": uri})
    questions = load_questions(str(path))
    assert [questions.open(each).getpixel((0, 0))[0] for each in questions.questions] == [97, 98, 7]
    path = question_table({"image": "images/none.png"})
    with pytest.raises(UserError, match=r"row 2, field image: cannot read .*none\.png \(there is no such file\)"):
        load_questions(str(path))
    (tmp_path / "images" / "none.png").write_bytes(png(9))
    assert load_questions(str(path)).open(load_questions(str(path)).questions[0]).getpixel((0, 0))[0] == 9
    with pytest.raises(UserError, match="'data:text/plain' is not a data URI of an image"):
        load_questions(str(question_table({"image": "data:text/plain,x"})))


def test_several_images_a_question(question_table):
    def many(*shades):
        return json.dumps([base64.b64encode(png(shade)).decode() for shade in shades])

    questions = load_questions(str(question_table({"image": many(1, 2, 3)}, {}, {"image": many(4, 5)})))
    shown = [[questions.open(q, n).getpixel((0, 0))[0] for n in range(len(q.images))] for q in questions.questions]
    assert (shown[0], len(shown[1]), shown[2]) == ([1, 2, 3], 1, [4, 5])
    benchmark = ssl4rl.benchmark("choice", questions)
    examples = [benchmark.example(index) for index in range(benchmark.size)]
    assert sorted(len(example.images) for example in examples) == [1, 2, 3]
    again = load_questions(str(question_table({"image": many(1, 2, 3)}, {}, {"image": many(4, 5)})))
    assert again.fingerprint == questions.fingerprint
    assert load_questions(str(question_table({"image": many(1, 2, 9)}, {}))).fingerprint != questions.fingerprint


@pytest.mark.parametrize("form", ["csv", "bytes", "struct", "list"])
def test_csv_and_parquet_read_as_the_tsv_is(question_table, tmp_path, form):
    path = question_table({}, {"C": "maybe", "answer": ""})
    expected = load_questions(str(path)).fingerprint
    rows = list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"))
    path.unlink()
    if form == "csv":
        with (tmp_path / "q.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        for row in rows:
            content = base64.b64decode(row["image"])
            struct = {"bytes": content, "path": None}
            row |= {"index": int(row["index"]), "image": {"bytes": content, "struct": struct, "list": [struct]}[form]}
            row |= {"C": row["C"] or None}
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), tmp_path / "q-00000.parquet")
    assert find_kind(str(tmp_path)).name == "questions"
    assert load_questions(str(tmp_path)).fingerprint == expected
    assert QUESTIONS.validate(str(tmp_path)).problems == []


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


def test_a_large_index_of_another_question_is_no_rotated_copy(question_table):
    path = question_table({"index": 123}, {"index": 1000123, "question": "Is the sky blue?"})
    with pytest.raises(UserError, match="but their questions or images differ; give your own questions indices below"):
        load_questions(str(path))
    path = question_table(
        {"index": 123, "question": "Which?"}, {"index": 1000123, "image": "photo"}, {"index": "photo"}
    )
    with pytest.raises(UserError, match="but their questions or images differ"):
        load_questions(str(path))


def test_a_path_that_is_not_read_is_a_broken_image(question_table):
    images = ["photo.avif", "img/dog", "http://x.org/y"]
    path = question_table({}, {}, *({"image": image} for image in images))
    questions = load_questions(str(path))
    assert len(questions.questions) == 2 and len(questions.skipped) == 3 and not questions.left_out
    assert "it is no file of an image that is read" in questions.skipped[0]


def test_options_that_speak_of_others_in_small_letters_keep_their_place():
    fixed = ["both a and b", "Both (a) and (b)", "neither a nor b", "(a) or (b)", "either a or c", "A/B"]
    assert all(OF_OTHERS.search(text) for text in fixed)
    for text in ("a dog and a cat", "both a dog and a cat", "black & white", "vitamin a", "a or an article"):
        assert not OF_OTHERS.search(text), text
