"""``--json``: every verb that prints facts has it, and prints nothing else on standard output."""

import json

import pytest
import typer

from ssl4rl.cli.main import app
from ssl4rl.records import encode_line
from ssl4rl.runs import Run

WITHOUT = {
    "docs": "prints a guide",
    "launch ray": "gives its options to another verb",
    "new task": "writes files",
    "schema": "prints JSON in any case",
}

TINY_STEP = (
    *("--set", "grpo.max_steps=1", "--set", "grpo.per_device_train_batch_size=8", "--set", "grpo.save_steps=1"),
    *("--set", "heldout.examples=4", "--set", "grpo.max_completion_length=16"),
)


def verbs(command, path=()):
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from verbs(below, (*path, name))
        else:
            yield " ".join((*path, name)), below


def test_every_verb_that_prints_facts_has_it():
    lacking = {
        name
        for name, verb in verbs(typer.main.get_command(app))
        if not any("--json" in option.opts for option in verb.params)
    }
    assert lacking == WITHOUT.keys()


@pytest.fixture
def facts(run, tmp_path, monkeypatch):
    """Runs a verb with --json in an empty folder, and returns the lines of standard output, read."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code, out, err = run(*arguments, "--json")
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    return call


def test_datasets_and_exports(facts, folder, tmp_path):
    [new] = facts("data", "new", "mine too")
    assert new["files"] == ["dataset.yaml", "edges.csv", "nodes.csv"]
    [converted] = facts("data", "convert", folder, "converted")
    assert converted["nodes"] == 40 and converted["folder"] == "converted" and converted["fingerprint"]
    [info] = facts("data", "info", "converted")
    assert info["kind"] == "graph" and facts("data", "validate", "converted")[0]["valid"]
    assert facts("data", "list")[0]
    [exported] = facts("export", "--to", "jsonl", "--task", "link", "-n", "3", "--output", "rows")
    assert exported["rows"] == 3 and exported["manifest"]["files"][0]["rows"] == 3
    [verified] = facts("export", "--verify", "rows")
    assert verified["rows"] == 3 and verified["mismatches"] == []
    [pushed] = facts("push", "rows", "me/rows", "--dry-run")
    assert pushed["kind"] == "dataset" and "manifest.json" in pushed["files"] and pushed["address"] is None


def test_rungs_and_reports(facts, tmp_path):
    run = Run.create(tmp_path / "curriculum", {"tasks": []})
    lines = [{"step": step, "share/easy": 1 / step, "pass_rate/easy": 0.5} for step in (1, 2)]
    (run.path / "metrics.jsonl").write_bytes(b"".join(map(encode_line, lines)))
    [rung] = facts("log", run.path, "--rungs")
    assert rung == {"rung": "easy", "steps": [1, 2], "shares": [1.0, 0.5], "pass_rates": [0.5, 0.5]}
    assert facts("report", run.path) == facts("log", run.path, "--html") == [{"report": str(run.path / "report.html")}]


def test_training(facts, run):
    [plan] = facts("graph", "train", "--task", "link", "--dry-run", *TINY_STEP)
    assert plan["max_steps"] == 1 and plan["model"] == "tiny" and plan["probe"]["replies"] == 8
    [trained] = facts("graph", "train", "--task", "link", "--output", "run", *TINY_STEP)
    assert trained["run"] == "run" and trained["steps"] == 1 and trained["heldout"]["after"]["n"] == 4
    # What is said meanwhile goes to standard error.
    code, out, err = run("graph", "train", "--task", "link", "--output", "again", "--json", *TINY_STEP)
    assert code == 0 and json.loads(out)["run"] == "again"
    said = [
        "using the embedded",
        "link@medium on citations, model tiny",
        "writing to again",
        "estimated time: ",
        "step 1/1",
    ]
    assert all(line in err for line in said), err
    assert [err.index(line) for line in said] == sorted(err.index(line) for line in said)
