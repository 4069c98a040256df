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
    score,
    score_any_of,
    score_matching,
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


@given(st.text(), st.text().filter(lambda text: "<" not in text))
def test_extract_undoes_wrapping(thought, answer):
    thought = thought.replace("<", "")
    assert extract(f"<think>{thought}</think>\n<answer>{answer}</answer>") == answer.strip()


@given(st.text())
def test_no_reply_crashes_a_scorer(reply):
    for wrapped in (reply, f"<answer>{reply}</answer>"):
        for verdict in (
            score_any_of(wrapped, ["yes"]),
            score_subset(wrapped, ["A"], ["A", "B"]),
            score_matching(wrapped, {"1": "A"}),
            score_text(wrapped, "a text", 0.1, 10),
        ):
            assert 0 <= verdict.value <= 1
            assert (verdict.answer is None) == (verdict.outcome is Outcome.UNPARSED)


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


@pytest.mark.parametrize("filler", ["<", "< ", " ", "row ", "1 ", "A,", "1=A,", "</think>", "<answer>", "(", "and "])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_long_replies_take_time_in_proportion(name, filler):
    arguments = {
        "score_any_of": {"accepted": ["yes"]},
        "score_subset": {"hidden": ["A"], "candidates": ["A", "B"]},
        "score_matching": {"gold": {"1": "A"}},
        "score_text": {"gold": "a text", "baseline": 0.1, "max_words": 10},
        "score_angle": {"degrees": 90},
        "score_cell": {"cell": [1, 2]},
        "score_permutation": {"gold": [1, 2, 3]},
    }[name]
    for reply in ("<" + filler * 20_000, f"<answer>{filler * 20_000}</answer>"):
        start = time.process_time()
        score(reply, Scoring(name, arguments))
        # Quadratic patterns take many seconds on these; the bound is far above what a linear one needs.
        assert time.process_time() - start < 2
