"""The scorer that goes with an export."""

import ast
import json
import shutil
import subprocess
import sys

import pytest

from ssl4rl.export import entries
from ssl4rl.export.rows import ground_truth
from ssl4rl.export.scorer import SCORER, scorer_source

SCORE_ALL = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("scorer", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps([module.compute_score("", reply, truth) for reply, truth in json.load(sys.stdin)]))
"""


@pytest.fixture
def scorer(tmp_path):
    path = tmp_path / SCORER
    path.write_text(scorer_source(), encoding="utf-8")
    return path


def pythons() -> list[str]:
    """This Python, and the others from 3.10 on that are here."""
    found = [sys.executable]
    for minor in range(10, 14):
        path = shutil.which(f"python3.{minor}")
        if (
            path
            and minor != sys.version_info.minor
            and not subprocess.run([path, "-c", ""], capture_output=True).returncode
        ):
            found.append(path)
    return found


def test_it_scores_a_thousand_replies_as_the_tasks_do_in_every_python(scorer, everything, cases):
    asked = cases(everything, 100, 10)
    truths = [ground_truth(everything.example(index)) for index in range(100)]
    replies = json.dumps([[case["reply"], truths[case["index"]]] for case in asked])
    own = [case["score"] for case in asked]
    assert 0.15 < sum(own) / len(own) < 0.5 and {0.0, 1.0} < set(own)
    for python in pythons():
        command = [python, "-I", "-W", "error", "-c", SCORE_ALL, scorer]
        done = subprocess.run(command, input=replies, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == own, python


def test_it_is_short_and_plain_python_3_10():
    text = scorer_source()
    assert len(text.splitlines()) < 300 and max(map(len, text.splitlines())) <= 120
    tree = ast.parse(text, feature_version=(3, 10))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in imports if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"__future__"}


def test_trl_hands_over_texts_or_conversations(everything):
    examples = [everything.example(index) for index in range(6)]
    truths = list(map(ground_truth, examples))
    right = [example.gold_reply for example in examples]
    turns = [[{"role": "assistant", "content": reply}] for reply in right]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": reply}]}] for reply in right]
    for completions in (right, turns, parts):
        assert entries.trl_reward(completions=completions, ground_truth=truths, id=["…"] * 6, prompts=[]) == [1.0] * 6
    assert entries.trl_reward([[{"role": "assistant", "content": None}]], truths[:1]) == [0.0]
    with pytest.raises(ValueError, match="shorter"):
        entries.trl_reward(right, truths[:1])


def test_easyr1_hands_over_one_reply_or_a_batch(everything):
    example = everything.example(0)
    right = {"response": example.gold_reply, "response_length": 9, "ground_truth": ground_truth(example)}
    broken = {**right, "response": "<answer>"}
    assert entries.easyr1_reward(right) == {"overall": 1.0, "accuracy": 1.0, "format": 1.0}
    assert [found["overall"] for found in entries.easyr1_reward([right, broken])] == [1.0, 0.0]
    assert entries.easyr1_reward(broken)["format"] == 0.0


@pytest.mark.parametrize(
    "end",
    [
        "",
        "<|im_end|>",
        "<|im_end|>\n<|endoftext|><|endoftext|>",
        "</s>",
        " <end_of_turn>\n",
        "<｜end▁of▁sentence｜>",
        "<end_of_utterance>",
        "<turn|>",
    ],
)
def test_the_reply_in_a_query_of_openrlhf_is_what_the_model_wrote(end):
    prompt = "<|im_start|>user\nWhich? Reply B.<|im_end|>\n<|im_start|>assistant\n"
    assert entries.reply_in(f"{prompt}B{end}", prompt) == "B"
    # The one placeholder of an image became many tokens.
    image = "<|vision_start|><|image_pad|><|vision_end|>" + prompt
    expanded = image.replace("<|image_pad|>", "<|image_pad|>" * 64)
    assert entries.reply_in(f"{expanded}B{end}", image) == "B"
    truth = json.dumps(["score_any_of", {"accepted": ["b"], "bare": True}])
    assert entries.reward_func([f"{expanded}B{end}"], [image], [truth])["rewards"] == 1.0
    assert entries.reward_func([f"{prompt}B{end}", f"{prompt}A"], [prompt] * 2, [truth] * 2)["rewards"] == [1.0, 0.0]


def test_a_reply_that_cannot_be_told_from_its_prompt_is_an_error_and_no_reward():
    with pytest.raises(ValueError, match="does not hold its prompt"):
        entries.reply_in("something else", "the prompt" * 50)


def test_a_reply_that_repeats_its_prompt_is_read_whole():
    prompt = "user: Which?\nassistant:"
    assert entries.reply_in(f"{prompt} A {prompt} B", prompt) == f" A {prompt} B"
