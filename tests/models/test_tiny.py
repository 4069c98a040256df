"""The embedded model trains a few steps on every task, on the embedded graph and on real ones (command line)."""

import json
import math
import sys

import pytest

from ssl4rl.cli import main as cli
from ssl4rl.records import read_lines

SMALL = [
    "grpo.max_steps=2",
    "grpo.save_steps=2",
    "grpo.per_device_train_batch_size=16",
    "grpo.num_generations=4",
    "grpo.max_completion_length=48",
    "heldout.examples=8",
    "log_completions_every=1",
]


def command(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, stop.code


@pytest.mark.parametrize("task", ["attribute", "neighbor", "link"])
@pytest.mark.parametrize(
    "dataset", ["citations", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cora", "wn18rr"))]
)
def test_every_task_trains(dataset, task, request, tmp_path, monkeypatch):
    if dataset != "citations":
        real = request.getfixturevalue("real_data")
        command(monkeypatch, "data", "fetch", dataset, "--from", real / "taglas")
    run = tmp_path / "run"
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command(monkeypatch, "graph", "train", "--task", task, "--dataset", dataset, "--output", run, *settings)
    steps = [line for line in read_lines(run / "metrics.jsonl") if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(math.isfinite(line["loss"]) and 0 <= line["reward"] <= 1 for line in steps)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["task"], summary["dataset"]) == (f"{task}@medium", dataset)
    assert (run / "model" / "model.safetensors").is_file()
    replies = list(read_lines(run / "completions.jsonl"))
    assert sum(reply["selected"] for reply in replies) == 2 * 16
    if dataset == "citations":
        assert sum(reply["outcome"] != "unparsed" for reply in replies) >= 0.9 * len(replies)


def test_the_embedded_model_reads_a_real_prompt(request):
    from transformers import AutoTokenizer

    from ssl4rl.data.graphs.taglas_raw import RAW
    from ssl4rl.graph.tasks.link import Link
    from ssl4rl.models import TINY, embedded_path

    graph = RAW["cora"].parse(request.getfixturevalue("real_data") / "taglas" / "Cora")
    tokenizer = AutoTokenizer.from_pretrained(embedded_path(TINY))
    lengths = [
        len(tokenizer.apply_chat_template(Link(graph).example(i).messages(), return_dict=False)) for i in range(50)
    ]
    assert 100 < max(lengths) < 2048


@pytest.mark.parametrize("text", ["naïve café, 数学, 🦉\n\tкод", "<think>a</think><answer>3=B</answer>", "\x00\x7f"])
def test_any_text_survives_the_embedded_tokenizer(text):
    from transformers import AutoTokenizer

    from ssl4rl.models import TINY, embedded_path

    tokenizer = AutoTokenizer.from_pretrained(embedded_path(TINY))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_embedded_weights_are_small():
    from ssl4rl.models import TINY, embedded_path

    assert (embedded_path(TINY) / "model.safetensors").stat().st_size < 10e6
