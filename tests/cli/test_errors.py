"""The mistakes that people make: each gets one clear line and exit code 2, and no traceback."""

import shutil
import sys

import pytest

import ssl4rl
from ssl4rl.cli import main as cli
from ssl4rl.records import Completion, ReplyRecord
from ssl4rl.runs import Run, UsedSource


@pytest.mark.parametrize("verb", ["show", "train"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "lnk"], "did you mean link"),
        (["--task", "link", "--level", "mediun"], "did you mean medium"),
        (["--task", "link", "--dataset", "coraa"], "did you mean cora"),
        (["--task", "link", "--dataset", "./nowhere"], "there is no folder"),
        (["--task", "link", "--dataset", "cora"], "ssl4rl data fetch cora"),
        (["--task", "link", "--set", "task.num_hop=1"], "num_hops"),
        (["--task", "link", "--set", "task.num_hops=9"], "num_hops"),
        (["--task", "link", "--set", "task.num_hops=two"], "num_hops"),
        (["--task", "link", "--set", "task.num_hops"], "=value"),
    ],
)
def test_unknown_names_and_values(refused, verb, arguments, message):
    assert message in refused("graph", verb, *arguments).lower()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("grpo.learning_rat=1", "grpo.learning_rate"),
        ("modle.path=x", "model"),
        ("heldout.example=3", "heldout.examples"),
        ("engine=vlm", "vllm"),
        ("grpo.per_device_train_batch_size=12", "not divisible by groups"),
        ("grpo.num_generations=1", "at least 2"),
        ("grpo.save_steps=0", "save_steps"),
    ],
)
def test_wrong_keys_and_impossible_settings(refused, setting, message):
    assert message in refused("graph", "train", "--task", "link", "--set", setting)


def test_missing_or_bad_recipe(refused, tmp_path):
    assert "does not exist" in refused("graph", "train", "--config", tmp_path / "no.yaml")
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert "empty" in refused("graph", "train", "--config", empty)
    torn = tmp_path / "torn.yaml"
    torn.write_text("tasks: [link\nmodel: {")
    assert "torn.yaml" in refused("graph", "train", "--config", torn)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("nodes.csv", None, "nodes"),
        ("edges.csv", None, "edges"),
        ("nodes.csv", b"", "empty"),
        ("nodes.csv", b"id,text\n0,a\n1,b\n0,c\n", "row 4"),
        ("edges.csv", b"source,target\n0,1\n2,999\n", "999"),
        ("nodes.csv", b"id,text\n0,caf\xe9\n", "UTF-8"),
        ("edges.csv", b"source,target\n", "no edges"),
        ("edges.csv", b"source,target\n3,3\n", "has only self-loops"),
        ("dataset.yaml", b"texts: title\n", "did you mean text"),
    ],
)
def test_bad_folders(refused, folder, file, content, message):
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    assert message in refused("graph", "show", "--task", "link", "--dataset", folder)


def test_a_good_folder_shows(run, folder):
    code, out, _ = run("graph", "show", "--task", "link", "--dataset", folder, "-n", "2")
    assert code == 0 and out.count("answer: ") == 2


def test_show_rebuilds_an_id_and_notices_changed_data(run, refused, folder):
    _, out, _ = run("graph", "show", "--task", "neighbor", "--dataset", folder, "--set", "task.fanout=1")
    identity = out.splitlines()[0]
    code, again, _ = run("graph", "show", identity, "--dataset", folder)
    assert code == 0 and again == out
    assert "add --dataset NAME or PATH" in refused("graph", "show", identity)
    with (folder / "nodes.csv").open("a") as file:
        file.write("40,one more\n")
    assert "the dataset has changed" in refused("graph", "show", identity, "--dataset", folder)
    assert "is not the id of an example" in refused("graph", "show", "nonsense")
    assert "give one of --task" in refused("graph", "show")


def test_show_finds_the_dataset_and_the_replies_in_a_run(run, refused, folder, tmp_path):
    task = ssl4rl.task("link", str(folder))
    asked, another = task.example(0), task.example(1)
    assert "is not a run" in refused("graph", "show", asked.id, "--run", tmp_path)
    recorded = Run.create(tmp_path / "run", {"seed": 0})
    recorded.write_environment([UsedSource.of(task)], None, {"task link": 1})
    for example, reply in ((asked, "mine"), (another, "not mine")):
        score = task.score(reply, example)
        recorded.append(
            "completions.jsonl", Completion(step=3, reward=0.0, **ReplyRecord.fields_of(example, reply, score))
        )
    _, out, _ = run("graph", "show", asked.id, "--run", recorded.path)
    assert "step 3, score 0.0: mine" in out and "not mine" not in out
    with (folder / "nodes.csv").open("a") as file:
        file.write("40,one more\n")
    assert "changed since" in (line := refused("graph", "show", asked.id, "--run", recorded.path))
    assert "the content of mine" in line


def test_a_prompt_over_the_models_limit_names_the_example_and_the_knob(refused, folder, tmp_path):
    long = "".join(f"{i},{'word ' * 4000}{i}\n" for i in range(40))
    (folder / "nodes.csv").write_text("id,text\n" + long)
    line = refused(
        *("graph", "train", "--task", "link", "--dataset", folder, "--output", tmp_path / "run"),
        *("--set", "task.text_budget=8000"),
    )
    assert "mine/" in line and "text_budget" in line and "4096" in line
    assert not (tmp_path / "run").exists()


def test_a_model_without_a_chat_template_or_that_does_not_exist(refused, tmp_path):
    from ssl4rl.models import TINY, embedded_path

    bare = tmp_path / "bare"
    shutil.copytree(embedded_path(TINY), bare)
    for template in bare.glob("chat_template*"):
        template.unlink()
    assert "chat template" in refused("graph", "train", "--model", bare)
    (bare / "config.json").unlink()
    assert "config.json" in refused("graph", "train", "--model", bare)


def test_no_permission_to_write(refused, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert str(blocked) in refused("graph", "train", "--task", "link", "--output", blocked / "run")


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ssl4rl", "graph", "show", "--task", "lnk", "--debug"])
    with pytest.raises(cli.UserError):
        cli.main()


def test_an_existing_run_is_not_overwritten(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 0\n")
    assert "--resume" in refused("graph", "train", "--task", "link", "--output", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("train", "ssl4rl graph train and ssl4rl vision train"),
        ("show --task link", "ssl4rl graph show and ssl4rl vision show"),
        ("graph validate mine", "ssl4rl data validate"),
        ("data report", "ssl4rl report"),
    ],
)
def test_a_verb_in_the_wrong_place_is_told_its_own(refused, words, place):
    assert refused(*words.split()).endswith(f", but {place}")


@pytest.mark.parametrize(
    "words",
    [
        "graph train --task link --level easy --task neighbor --level hard --dry-run",
        "graph show --task link --task neighbor",
        "graph eval --benchmark node --model a --model b",
        "audit --task link --dataset a --dataset b",
        "export --to trl --to verl --task link --output x",
        "data info citations --kind graph --kind images",
    ],
)
def test_a_second_value_for_an_option_that_takes_one_is_refused(refused, words):
    assert "is given 2 times and takes one value" in refused(*words.split())


def test_what_is_wrong_with_a_recipe_or_an_output_is_said_before_anything_is_loaded(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    assert refused("graph", "train", "--config", tmp_path / "run").endswith(
        f"recipe {tmp_path / 'run'} is a folder; a run's recipe is {tmp_path / 'run' / 'config.yaml'}"
    )
    missing = ("--model", tmp_path / "missing")  # which would be said if it were looked for first
    for words in (("graph", "train"), ("graph", "warmup"), ("graph", "eval", "--benchmark", "node")):
        assert "exists already; add --resume" in refused(*words, *missing, "--output", tmp_path / "run")
        assert "exists already, and is not a run" in refused(*words, *missing, "--output", tmp_path)


def test_a_dry_run_needs_the_engine_that_the_run_does(refused, monkeypatch):
    monkeypatch.setattr("ssl4rl.inference.engines.find_spec", lambda name: None)
    assert "vllm is not installed" in refused("graph", "train", "--set", "engine=vllm", "--dry-run")
