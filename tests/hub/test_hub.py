"""``ssl4rl push`` and ``ssl4rl pull`` against a stand-in of the hub that speaks its HTTP interface."""

import json
from dataclasses import replace

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from ssl4rl.errors import UserError
from ssl4rl.hub.pull import pull
from ssl4rl.hub.push import prepare, push
from ssl4rl.inference.model import ModelFiles
from tests.hub.stand_in import TOKEN, Repository


@pytest.fixture
def exported(tmp_path):
    from ssl4rl.build import task
    from ssl4rl.export.run import export

    export(task("link"), "trl", 20, tmp_path / "rows")
    return tmp_path / "rows"


def test_a_model_goes_there_and_comes_back(hub, on_hub, trained, tmp_path):
    sent = on_hub("push", trained, "me/first", "--data-license", "CC BY 4.0")
    assert sent.returncode == 0, sent.stderr
    assert f"to {hub.address}/me/first\nget it with: ssl4rl pull me/first\n" in sent.stdout
    repository = hub.repositories["models/me/first"]
    # One commit, or readers could see half of it; weights as large files, by their hash.
    assert repository.private and len(repository.commits) == 1 and ".secret" not in repository.files
    assert repository.files["model.safetensors"] == (trained / "model" / "model.safetensors").read_bytes()
    assert any(request.startswith("PUT /lfs/") for request in hub.requests)

    repository.files["evil.py"] = repository.files["evil.bin"] = b"import os"
    came = on_hub("pull", "me/first", "--json")
    assert came.returncode == 0, came.stderr
    found = json.loads(came.stdout)
    assert found["kind"] == "model" and found["left_out"] == ["evil.py", "evil.bin"] and found["folder"] == "first"
    assert "# first" in (tmp_path / "first" / "README.md").read_text()  # the card, in place of an older one
    for file in (trained / "model").glob("[!.R]*"):
        assert (tmp_path / "first" / file.name).read_bytes() == file.read_bytes()
    assert not list((tmp_path / "first").glob("evil*")) and not (tmp_path / "first" / ".cache").exists()
    again = on_hub("pull", "me/first")
    assert again.returncode == 2 and "first exists already; choose another --output" in again.stderr


def test_a_cache_of_the_hub_in_the_folder_is_left_alone(hub, on_hub, trained, tmp_path):
    assert on_hub("push", trained, "me/first", "--data-license", "CC BY 4.0").returncode == 0
    cache = tmp_path / "home" / ".cache" / "huggingface"
    (cache / "hub").mkdir(parents=True)
    (cache / "token").write_text("mine")
    came = on_hub("pull", "me/first", "--output", "home")
    assert came.returncode == 2 and "home exists already" in came.stderr
    assert (cache / "token").read_text() == "mine" and (cache / "hub").is_dir()


def test_exported_examples_go_there_and_come_back(hub, on_hub, exported, tmp_path):
    sent = on_hub("push", exported, "me/rows", "--public", "--json")
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["kind"] == "dataset" and not hub.repositories["datasets/me/rows"].private
    came = on_hub("pull", "me/rows", "--output", "back", token=None)
    assert came.returncode == 0 and "check it with: ssl4rl export --verify back" in came.stdout, came.stderr
    checked = on_hub("export", "--verify", "back")
    assert checked.returncode == 0, checked.stdout
    card = DatasetCard((tmp_path / "back" / "README.md").read_text())
    [files] = card.data.to_dict()["configs"][0]["data_files"]
    assert files["split"] == "train" and all((tmp_path / "back" / path).is_file() for path in files["path"])


def test_what_the_card_of_a_model_says(trained):
    upload = prepare(trained, "me/first", data_licence="CC BY 4.0")
    card = ModelCard(upload.card)
    assert card.data.license == "apache-2.0" and card.data.library_name == "transformers" and "grpo" in card.data.tags
    for said in (
        "link@medium",
        "CC BY 4.0",
        "0.600 \\[0.550, 0.650\\]",
        "+10.0 points \\[+5.0, +15.0\\], paired p \\< 0.001",
        "| random | ",
        "chosen by this very score",
        "name: link",
        "dataset: photos",
    ):
        assert said in card.text, said
    # No place on this machine, and nothing that data could have written as HTML.
    assert "secret place" not in upload.card and "<script>" not in upload.card
    assert not upload.remarks and "not stated" in prepare(trained, "me/first").remarks[0]


def test_what_the_hub_refuses_is_one_line(asked, trained, tmp_path):
    upload = prepare(trained, "me/first")
    for token, sent, words in (
        (None, upload, "takes nothing without a token: run `hf auth login`"),
        ("hf_wrong", upload, "does not know the token; run `hf auth login`"),
        (TOKEN, replace(upload, repo="others/first"), "give a repository of your own"),
        (TOKEN, prepare(trained, "me/first", licence="none"), "me/first: Invalid metadata in README.md. - license"),
    ):
        asked(token)
        with pytest.raises(UserError, match=words):
            push(sent)
    with pytest.raises(UserError, match="me/nothing is not on http://127"):
        pull("me/nothing")
    asked(TOKEN).repositories["models/me/empty"] = Repository(private=False)
    with pytest.raises(UserError, match="has no such revision; leave --revision out"):
        pull("me/empty", revision="other")
    asked(TOKEN).repositories["models/me/evil"] = Repository(private=False, commits=[{"../config.json": b"{}"}])
    with pytest.raises(UserError, match="me/evil: "):
        pull("me/evil", tmp_path / "evil")
    assert not list(tmp_path.glob("config.json"))


def test_a_wrong_name_of_a_model_is_one_line_without_trying_again(asked):
    hub = asked(TOKEN)
    with pytest.raises(
        UserError, match="there is no folder me/nothing, and no model of that name on the Hugging Face hub"
    ):
        ModelFiles("me/nothing")
    tried = [request for request in hub.requests if "me/nothing" in request]
    assert 0 < len(tried) == len(set(tried))


def test_what_cannot_be_pushed(trained, tmp_path):
    evaluation = trained.parent / "evaluation"
    evaluation.mkdir()
    (evaluation / "config.yaml").write_text("benchmark: node\nmodel: elsewhere\n")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_text("tasks: []\n")
    for folder, words in (
        (evaluation, "is an evaluation and has no model"),
        (unfinished, "has no trained model yet; finish it with --resume"),
        (tmp_path / "nothing", "does not exist"),
        (trained / "model", "is neither a run"),
    ):
        with pytest.raises(UserError, match=words):
            prepare(folder, "me/first")
    with pytest.raises(UserError, match="it is no finished evaluation"):
        prepare(trained, "me/first", evaluations=[evaluation])
    (evaluation / "config.yaml").write_text(f"benchmark: node\nmodel: {trained}\n")
    (evaluation / "scores.json").write_text("{}")
    with pytest.raises(UserError, match="is another one since; evaluate it again"):
        prepare(trained, "me/first", evaluations=[evaluation])
    for name in ("first", "me/first/second", "me/fir st", "../x"):
        with pytest.raises(UserError, match="REPO is written OWNER/NAME"):
            prepare(trained, name)


def test_the_card_says_what_kind_of_run_it_is(trained):
    def card(**changes):
        config = yaml.safe_load((trained / "config.yaml").read_text())
        (trained / "config.yaml").write_text(yaml.safe_dump({**config, **changes}, sort_keys=False))
        return prepare(trained, "me/first").card

    tasks = [{"name": "link", "dataset": None}, {"name": "attribute", "dataset": None}]
    # The controls beside it are those of another recipe then.
    mixed = card(tasks=tasks)
    assert "trained for 2 tasks" in mixed and "No controls were trained beside it" in mixed
    assert "It is a control" not in mixed and "`ssl4rl graph train --config FILE` repeats it" in mixed
    assert "It is a control (reward.kind: random)" in plain(card(reward={"kind": "random"}))
    assert "It is a control (corrupt: edges)" in plain(card(corrupt="edges"))
    warm = card(warmup={"steps": 5, "batch_size": 4, "learning_rate": 0.001})
    assert "`ssl4rl graph warmup --config FILE --steps 5 --batch-size 4 --learning-rate 0.001` repeats it" in warm
    assert "warmup:" not in warm


def plain(text):
    return text.replace("\\", "")


def test_a_damaged_export_is_not_pushed(exported):
    [shard, *_] = exported.rglob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"is not the file of manifest\.json .*; export again"):
        prepare(exported, "me/examples")
