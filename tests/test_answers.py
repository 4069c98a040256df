import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl import answers
from ssl4rl.answers import (
    FUNCTIONS,
    Outcome,
    Scoring,
    extract,
    normalise,
    score,
    score_any_of,
    score_matching,
    score_permutation,
    score_subset,
    score_text,
    split_items,
    token_f1,
)


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


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("yes", "yes"),
        (" B.\n", "B."),
        ("<think>A?</think>\n\nB", "B"),
        ("A</think>B", "B"),
        ("<answer> B </answer>", "B"),
        ("<answer>B", None),
        ("<answer>A</answer><answer>B</answer>", None),
        # A thought that was cut off is no answer.
        ("<think>B", None),
        ("<think>A</think> ", None),
        ("", None),
    ],
)
def test_a_bare_reply_is_the_answer_with_or_without_tags(reply, answer):
    assert extract(reply, bare=True) == answer


@given(st.text())
def test_whatever_is_read_with_tags_is_read_from_a_bare_reply(reply):
    wrapped = f"<answer>{reply}</answer>"
    assert extract(wrapped, bare=True) == extract(wrapped)


@given(st.text(), st.text().filter(lambda text: "<" not in text))
def test_extract_undoes_wrapping(thought, answer):
    thought = thought.replace("<", "")
    assert extract(f"<think>{thought}</think>\n<answer>{answer}</answer>") == answer.strip()


@given(st.text())
def test_no_reply_crashes_a_scorer(reply):
    for wrapped in (reply, f"<answer>{reply}</answer>"):
        for name, arguments, _, _ in OUTCOMES:
            for bare in (False, True):
                verdict = score(wrapped, Scoring(name, {**arguments, "bare": bare}))
                assert 0 <= verdict.value <= 1
                assert (verdict.answer is None) == (verdict.outcome is Outcome.UNPARSED)
                assert verdict.valid or verdict.value == 0


OUTCOMES = [
    # Of closed answers, one that is none of those to choose from is invalid.
    ("score_any_of", {"accepted": ["yes"], "choices": ["yes", "no"]}, "Yes!", "correct"),
    ("score_any_of", {"accepted": ["yes"], "choices": ["yes", "no"]}, "no", "wrong"),
    ("score_any_of", {"accepted": ["yes"], "choices": ["yes", "no"]}, "D", "invalid"),
    ("score_any_of", {"accepted": ["yes"], "choices": ["yes", "no"]}, "", "invalid"),
    ("score_any_of", {"accepted": ["yes"]}, "D", "wrong"),
    ("score_any_of", {"accepted": ["top left"], "choices": ["top left", "top right"]}, "Top-Left", "correct"),
    ("score_any_of", {"accepted": ["B"], "choices": ["A", "B"]}, "Option B", "invalid"),
    ("score_any_of", {"accepted": ["B"], "choices": ["A", "B"]}, "B: it cites", "invalid"),
    ("score_any_of", {"accepted": ["B"], "choices": ["A", "B"]}, "（Ｂ）。", "correct"),
    ("score_any_of", {"accepted": ["top left"], "choices": ["top left", "top right"]}, "Top–Left", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "90 CCW", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "$90^{\\circ}$", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "\\(90^\\circ\\)", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "90\\degree", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "-90", "invalid"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "Row 3, Col. 1", "correct"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "[3][1]", "correct"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "31", "invalid"),
    ("score_permutation", {"gold": [3, 1, 2]}, "(3)(1)(2)", "correct"),
    ("score_permutation", {"gold": [3, 1, 2]}, "٣، ١، ٢", "correct"),
    ("score_permutation", {"gold": [3, 1, 2]}, "312", "invalid"),
    ("score_subset", {"hidden": ["A", "C"], "candidates": ["A", "B", "C"]}, "A\nC", "correct"),
    ("score_subset", {"hidden": ["A", "C"], "candidates": ["A", "B", "C"]}, "A, B, and C", "partial"),
    ("score_subset", {"hidden": ["A"], "candidates": ["A", "B"]}, "B", "wrong"),
    ("score_subset", {"hidden": ["A"], "candidates": ["A", "B"]}, "1, 1", "invalid"),
    ("score_subset", {"hidden": ["A"], "candidates": ["A", "B"]}, "A, A", "invalid"),
    ("score_subset", {"hidden": ["A"], "candidates": ["A", "B"]}, ",", "invalid"),
    ("score_matching", {"gold": {"1": "B"}, "values": ["A", "B"]}, "[1]＝B.", "correct"),
    ("score_matching", {"gold": {"1": "B", "2": "A"}, "values": ["A", "B", "C"]}, "1: B\n2: C", "partial"),
    ("score_matching", {"gold": {"1": "B"}, "values": ["A", "B"]}, "1=A", "wrong"),
    ("score_matching", {"gold": {"1": "B"}, "values": ["A", "B"]}, "1=C", "invalid"),
    ("score_matching", {"gold": {"1": "B"}, "values": ["A", "B"]}, "7=B", "invalid"),
    ("score_matching", {"gold": {"1": "B"}, "values": ["A", "B"]}, "B", "correct"),
    ("score_matching", {"gold": {"2": "B", "1": "A"}, "values": ["A", "B"]}, "(B), A.", "correct"),
    ("score_matching", {"gold": {"2": "B", "1": "A"}, "values": ["A", "B"]}, "B", "invalid"),
    ("score_matching", {"gold": {"1": "B"}}, "1=Z", "wrong"),
    ("score_angle", {"degrees": 90, "step": 90}, "９０°", "correct"),
    ("score_angle", {"degrees": 90, "step": 90}, "0 degrees", "wrong"),
    ("score_angle", {"degrees": 90, "step": 90}, "45", "invalid"),
    ("score_angle", {"degrees": 0, "step": 90}, "360", "invalid"),
    ("score_angle", {"degrees": 90, "step": 90}, "a quarter", "invalid"),
    ("score_angle", {"degrees": 90}, "45", "wrong"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "３，１", "correct"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "Row 3\nColumn 1.", "correct"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "1, 3", "wrong"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "0, 1", "invalid"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "4, 1", "invalid"),
    ("score_cell", {"cell": [3, 1], "n": 3}, "top left", "invalid"),
    ("score_permutation", {"gold": [3, 1, 2]}, "3\n1\n2", "correct"),
    ("score_permutation", {"gold": [3, 1, 2]}, "3、1、2", "correct"),
    ("score_permutation", {"gold": [3, 1, 2]}, "1 2 3", "wrong"),
    ("score_permutation", {"gold": [3, 1, 2]}, "3, 2, 1", "wrong"),
    ("score_permutation", {"gold": [3, 1, 2]}, "3, 1", "invalid"),
    ("score_permutation", {"gold": [3, 1, 2]}, "0003, 1, 2", "correct"),
    ("score_permutation", {"gold": [3, 1, 2]}, "00003, 1, 2", "invalid"),
    ("score_subset", {"hidden": ["A", "B"], "candidates": ["A", "B"]}, "AB", "correct"),
    ("score_permutation", {"gold": [3, 1, 2], "reward": "partial"}, "3, 2, 1", "partial"),
    ("score_permutation", {"gold": [3, 1, 2], "reward": "partial"}, "3, 3, 3", "invalid"),
    ("score_permutation", {"gold": [3, 1, 2], "reward": "slots"}, "3, 3, 3", "partial"),
    ("score_permutation", {"gold": [3, 1, 2], "reward": "slots"}, "no", "wrong"),
    ("score_text", {"gold": "a text", "baseline": 0.1, "max_words": 10}, "?!", "wrong"),
]


@pytest.mark.parametrize(("name", "arguments", "answer", "outcome"), OUTCOMES)
def test_outcomes(name, arguments, answer, outcome):
    verdict = score(f"<think>?</think><answer>{answer}</answer>", Scoring(name, arguments))
    assert (verdict.outcome, verdict.answer) == (outcome, answer)
    assert (verdict.parsed, verdict.valid) == (True, outcome != "invalid")
    assert (verdict.value == 1) == (outcome == "correct") and (verdict.value == 0) == (outcome in ("wrong", "invalid"))
    # The same answer alone is read where it alone was asked for, and only there.
    bare = score(answer, Scoring(name, {**arguments, "bare": True}))
    assert (bare.value, bare.outcome) == ((verdict.value, outcome) if answer else (0, "unparsed"))
    plain = score(answer, Scoring(name, arguments))
    assert (plain.outcome, plain.parsed, plain.valid) == ("unparsed", False, False)


DECORATIONS = [
    "{}",
    " {}\n",
    "({})",
    "[{}]",
    "**{}**",
    "{}.",
    '"{}"',
    "{}!",
    "`{}`",
    "（{}）",
    "“{}”。",
    "{})",
    "{}:",
    "__{}__",
    "_{}_",
    "{}…",
    ":{}",
    "- {}",
    "„{}“",
    "‹{}›",
    "『{}』",
    "《{}》",
    "\u200f{}",
    "{}\u200e",
    "{}،",
    "{}؟",
    "${}$",
    "\\boxed{{{}}}",
    "$\\boxed{{\\text{{{}}}}}$",
    "\\( {} \\)",
    "\\[{}\\]",
    "\\(\\boxed{{{}}}\\)",
    "\\textit{{{}}}",
    "\\fbox{{{}}}",
    "~~{}~~",
]


def wide(text):
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


@given(
    st.sampled_from(["yes", "B", "12", "top left", "C++", "1.5", "-2", "neural networks"]),
    st.sampled_from(DECORATIONS),
    st.sampled_from([str, str.upper, str.title, wide]),
)
def test_case_spaces_brackets_and_punctuation_decide_nothing(label, decoration, change):
    written = decoration.format(change(label))
    assert normalise(written) == normalise(label)
    choices = ["yes", "B", "12", "top left", "C++", "1.5", "-2", "neural networks", "15", "2", "C"]
    assert score_any_of(f"<answer>{written}</answer>", [label], choices).outcome == "correct"
    others = [choice for choice in choices if choice != label]
    assert score_any_of(f"<answer>{written}</answer>", others, choices).outcome == "wrong"


@given(st.text())
def test_normalising_twice_changes_nothing_that_a_word_says(text):
    once = normalise(text)
    assert once == " ".join(once.split()) and not set("()[]{}\"'`*") & set(once)


@given(
    st.lists(st.sampled_from("ABCDE"), min_size=1, unique=True),
    st.sampled_from([", ", ",", "; ", "\n", ",\n", " and ", ", and ", "，", "、", " ,\n "]),
)
def test_lists_may_be_separated_in_many_ways(letters, separator):
    assert split_items(separator.join(letters)) == [letter.lower() for letter in letters]
    assert score_subset(f"<answer>{separator.join(letters)}</answer>", letters, "ABCDE").outcome == "correct"


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
        ("B, A", 1),
        ("B\nC", 1 / 2),
        ("B, B", 0),
        ("B, A, C", 0),
        ("A", 0),
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


def test_two_texts_without_a_word_share_none_and_longer_answers_are_cut():
    assert token_f1("?", "!", 5) == 0
    assert score_text("<answer>red ball a a a a a a</answer>", "red ball", 0.2, 2).value == 1


def test_an_angle_or_a_cell_is_short():
    at_most, longer = "90." + "0" * 97, "90." + "0" * 98
    assert score(f"<answer>{at_most}</answer>", Scoring("score_angle", {"degrees": 90, "step": 90})).value == 1
    assert score(f"<answer>{longer}</answer>", Scoring("score_angle", {"degrees": 90, "step": 90})).outcome == "invalid"


def test_items_are_split_on_commas_semicolons_and_and():
    assert split_items("[3], 5 and 8; Sand") == ["3", "5", "8", "sand"]


def test_the_file_loads_alone(tmp_path):
    """As other trainers load it: executed from a path, not registered as a module, without site packages."""
    code = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location("scorer", {answers.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
call = module.Scoring(*json.loads('["score_any_of", {{"accepted": ["yes"]}}]'))
print(module.score("<answer>Yes</answer>", call).value, json.dumps(module.score("", call).outcome))
namespace = {{"__name__": "nowhere"}}
exec(open({answers.__file__!r}).read(), namespace)
print(namespace["score"]("<answer>no</answer>", namespace["Scoring"]("score_any_of", {{"accepted": ["yes"]}})).value)
"""
    command = [sys.executable, "-S", "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["1.0", '"unparsed"', "0.0"], done.stderr


def test_the_file_is_python_310_and_imports_the_standard_library_only():
    tree = ast.parse(Path(answers.__file__).read_text(encoding="utf-8"), feature_version=(3, 10))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
            assert not {alias.name for alias in node.names} & {"StrEnum", "dataclass"}
    assert imported <= sys.stdlib_module_names | {"collections.abc"}


def test_a_scoring_is_a_function_of_the_file_and_json():
    scoring = Scoring("score_subset", {"hidden": ["A"], "candidates": ["A", "B"]})
    assert score("<answer>a</answer>", Scoring(*json.loads(json.dumps(scoring)))).value == 1
    with pytest.raises(ValueError, match="unknown scoring function 'score_all'"):
        score("<answer>a</answer>", Scoring("score_all", {}))


@pytest.mark.parametrize(
    "filler",
    [
        "<",
        "< ",
        " ",
        "row ",
        "1 ",
        "A,",
        "1=A,",
        "1",
        ".",
        "a-",
        "\n",
        "\n<",
        "<think",
        "</think>",
        "<answer>",
        "(",
        "and ",
    ],
)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_long_replies_take_time_in_proportion(name, filler):
    arguments = {
        "score_any_of": {"accepted": ["yes"], "choices": ["yes", "no"]},
        "score_subset": {"hidden": ["A"], "candidates": ["A", "B"]},
        "score_matching": {"gold": {"1": "A"}, "values": ["A", "B"]},
        "score_text": {"gold": "a text", "baseline": 0.1, "max_words": 10},
        "score_angle": {"degrees": 90, "step": 90},
        "score_cell": {"cell": [1, 2], "n": 3},
        "score_permutation": {"gold": [1, 2, 3]},
    }[name]
    for reply in ("<" + filler * 20_000, f"<answer>{filler * 20_000}</answer>"):
        start = time.process_time()
        for bare in (False, True):
            score(reply, Scoring(name, {**arguments, "bare": bare}))
        # Quadratic patterns take many seconds on these; the bound is far above what a linear one needs.
        assert time.process_time() - start < 2


@pytest.mark.parametrize("written", ["A, C", "A C", "AC", "A & C", "A/C", "(A) (C)", "C and A", "A\nC"])
def test_letters_are_a_set_however_they_are_separated(written):
    assert score_subset(f"<answer>{written}</answer>", ["A", "C"], list("ABCDEFGH")).value == 1
    for other in ("AA", "A Z", "BIG", "A C C", ""):
        assert score_subset(f"<answer>{other}</answer>", ["A", "C"], list("ABCDEFGH")).value == 0


@pytest.mark.parametrize("written", ["B, A", "B A", "BA", "(B) (A)", "3=B, 5=A"])
def test_letters_are_matched_however_they_are_separated(written):
    assert score_matching(f"<answer>{written}</answer>", {"3": "B", "5": "A"}, list("ABCD")).value == 1


def test_rows_of_numbers_are_read_as_one_list():
    assert score_permutation("<answer>3 1\n2 4</answer>", [3, 1, 2, 4]).value == 1


def test_composed_and_decomposed_letters_are_the_same():
    assert score_any_of("<answer>Poincar\u00e9</answer>", ["Poincare\u0301"], ["Poincare\u0301", "Hilbert"]).value == 1
    assert token_f1("caf\u00e9 noir", "cafe\u0301 noir", 8) == 1
