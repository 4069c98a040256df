"""Writing an export: its columns, the same bytes again, stopping and continuing, and what is refused."""

import io
import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import ssl4rl
from ssl4rl.answers import Score
from ssl4rl.errors import UserError
from ssl4rl.export import shards
from ssl4rl.export.examples import Examples
from ssl4rl.export.manifest import MANIFEST, PARTIAL, read_manifest
from ssl4rl.export.run import export
from ssl4rl.export.targets import TARGETS
from ssl4rl.export.verify import verify
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.models import TINY
from tests.training.odd_models import with_special_tags

FILE_TARGETS = [name for name, target in TARGETS.items() if not target.is_package]


def contents(folder):
    """Every file of a folder, by name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rows_of(folder):
    found = []
    for file in read_manifest(folder).files:
        path = folder / file.path
        if path.suffix == ".jsonl":
            found += map(json.loads, path.read_text(encoding="utf-8").splitlines())
        else:
            found += pyarrow.parquet.read_table(path).to_pylist()
    return found


def small_files(monkeypatch, rows=10):
    monkeypatch.setattr(shards, "ROWS_PER_FILE", {False: rows, True: rows})
    monkeypatch.setattr("ssl4rl.export.run.ROWS_PER_FILE", {False: rows, True: rows})
    monkeypatch.setattr("ssl4rl.export.run.ROWS_PER_GROUP", {False: 4, True: 4})


def graph(text: str) -> TextAttributedGraph:
    """A ring of forty nodes with that text among their words."""
    edges = np.array([list(range(40)) * 2, [(i + 1) % 40 for i in range(40)] + [(i * 7 + 3) % 40 for i in range(40)]])
    return TextAttributedGraph.from_edges("ring", [f"node number {i} {text} of the ring" for i in range(40)], edges)


@pytest.mark.parametrize("target", FILE_TARGETS)
def test_a_row_is_its_example_whatever_the_trainer(target, everything, tmp_path):
    task = everything if TARGETS[target].mixes else ssl4rl.mix([ssl4rl.task("rotation"), ssl4rl.task("jigsaw")])
    export(task, target, 24, tmp_path / "x")
    rows = rows_of(tmp_path / "x")
    assert len(rows) == 24
    for index, row in enumerate(rows):
        example = task.example(index)
        assert row["id"] == row["extra_info"]["id"] == str(example.id)
        assert row["data_source"] == f"{example.id.source}/{example.id.label}"
        assert row["ability"] == example.id.task and row["extra_info"]["index"] == index
        assert row["extra_info"]["gold_reply"] == example.gold_reply and row["extra_info"]["split"] == "train"
        assert row["ground_truth"] == row["reward_model"]["ground_truth"]
        assert json.loads(row["ground_truth"]) == [example.scoring.function, dict(example.scoring.arguments)]
        content = row["prompt"] if target == "easyr1" else row["prompt"][0]["content"]
        if isinstance(content, list):
            content = "".join("<image>" if part["type"] == "image" else part["text"] for part in content)
        sent = example.messages()[0]["content"]
        parts = [{"type": "text", "text": sent}] if isinstance(sent, str) else sent
        assert content == "".join(part.get("text", "<image>") for part in parts)
        assert len(row["images"]) == len(example.images)  # [] and never null where there is none
        if target != "jsonl":
            for shown, image in zip(row["images"], example.images, strict=True):
                assert Image.open(io.BytesIO(shown["bytes"])).tobytes() == image.tobytes()


def test_datasets_reads_the_folder_with_images_decoded_and_their_places_kept(everything, tmp_path, monkeypatch):
    from datasets import load_dataset

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    export(everything, "trl", 16, tmp_path / "x")
    loaded = load_dataset(str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"] and len(loaded["train"]) == 16
    for index, row in enumerate(loaded["train"]):
        example = everything.example(index)
        assert [image.size for image in row["images"]] == [image.size for image in example.images]
        kinds = [part["type"] for part in row["prompt"][0]["content"]]
        assert kinds.count("image") == len(example.images)


def test_texts_alone_have_no_column_of_images(texts, tmp_path):
    for target in FILE_TARGETS:
        export(texts, target, 5, tmp_path / target)
        assert all("images" not in row for row in rows_of(tmp_path / target))
    assert isinstance(rows_of(tmp_path / "trl")[0]["prompt"][0]["content"], str)


def test_the_same_recipe_gives_the_same_bytes_also_when_it_was_stopped(everything, tmp_path, monkeypatch):
    small_files(monkeypatch)
    for name in ("a", "b"):
        export(everything, "verl", 45, tmp_path / name)
    whole = contents(tmp_path / "a")
    assert whole == contents(tmp_path / "b") and sum(name.startswith("data/") for name in whole) == 5

    calls = []
    example = type(everything).example

    def stopping(self, index):
        calls.append(index)
        if len(calls) == 27:
            raise KeyboardInterrupt
        return example(self, index)

    output = tmp_path / "c"
    with monkeypatch.context() as patch:
        patch.setattr(type(everything), "example", stopping)
        with pytest.raises(KeyboardInterrupt):
            export(everything, "verl", 45, output)
    stopped = contents(output)
    assert PARTIAL in stopped and MANIFEST not in stopped and not any(name.endswith(".tmp") for name in stopped)
    data = sorted(name for name in stopped if name.startswith("data/"))
    assert data == [f"data/train-0000{number}-of-00005.parquet" for number in (0, 1)]
    with pytest.raises(UserError, match="a stopped export; repeat the command"):
        verify(output)
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(type(everything), "example", lambda self, index: calls.append(index) or example(self, index))
        export(everything, "verl", 45, output)
    assert min(calls) == 20 and contents(output) == whole
    said = []
    export(everything, "verl", 45, output, say=said.append)
    assert said == [f"{output} is complete already"]


def test_a_folder_that_holds_anything_else_is_left_alone(texts, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    export(texts, "verl", 5, tmp_path / "x")
    before = contents(tmp_path)
    for output, message in (("mine", "holds no export"), ("file", "is a file")):
        with pytest.raises(UserError, match=message):
            export(texts, "verl", 5, tmp_path / output)
    for target, count, message in (("trl", 5, 'to was "verl" and is "trl"'), ("verl", 6, r"indices.1 was 5 and is 6")):
        with pytest.raises(UserError, match=f"holds another export: {message}"):
            export(texts, target, count, tmp_path / "x")
    with pytest.raises(UserError, match=r'tasks.1.level was "medium" and is "hard"'):
        parts = [ssl4rl.task("link"), ssl4rl.task("neighbor", level="hard"), ssl4rl.task("attribute", reasoning=False)]
        export(ssl4rl.mix(parts), "verl", 5, tmp_path / "x")
    with pytest.raises(UserError, match='split was "train" and is "val"'):
        export(texts.on_split("val"), "verl", 5, tmp_path / "x")
    assert contents(tmp_path) == before
    (tmp_path / "x" / MANIFEST).rename(tmp_path / "x" / PARTIAL)
    data = tmp_path / "x" / "data" / "train-00000-of-00001.parquet"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(UserError, match="not as it was written"):
        export(texts, "verl", 5, tmp_path / "x")


@pytest.mark.parametrize("placeholder", ["<image>", "<video>", "<audio>"])
def test_a_text_that_stands_for_an_image_is_refused_and_nothing_is_left(placeholder, tmp_path):
    with pytest.raises(UserError, match=f"a text of example ring/train/link@.* holds {placeholder}"):
        export(Link(graph(placeholder)), "verl", 5, tmp_path / "new" / "x")
    assert not (tmp_path / "new" / "x").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds"):
        export(Link(graph(placeholder)), "jsonl", 5, tmp_path / "empty")
    assert not list((tmp_path / "new").iterdir())


def test_lone_surrogates_become_question_marks_in_prompts_and_answers(tmp_path):
    source = TextAttributedGraph.from_edges("ring\udc80", graph("\ud800 odd").texts, graph("x").edge_index)
    task = Link(source)
    for target in ("verl", "jsonl"):
        export(task, target, 5, tmp_path / target)
        rows = rows_of(tmp_path / target)
        assert "? odd" in rows[0]["prompt"][0]["content"] and rows[0]["id"].startswith("ring?/")
        assert not verify(tmp_path / target).mismatches


def test_a_trainer_gets_only_what_it_can_carry(everything, texts, tmp_path):
    class Own(Link):
        def score(self, reply, example):
            return Score.of(1.0, reply)

    with pytest.raises(UserError, match="easyr1 wants images in all prompts or in none"):
        export(everything, "easyr1", 5, tmp_path / "x")
    with pytest.raises(UserError, match="task link scores replies with code of its own"):
        export(Own(ssl4rl.load("citations")), "verl", 5, tmp_path / "x")
    with pytest.raises(UserError, match="several seeds"):
        export(ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("neighbor", seed=3)]), "verl", 5, tmp_path / "x")
    with pytest.raises(UserError, match="say how many examples"):
        export(texts, "verl", None, tmp_path / "x")
    with pytest.raises(UserError, match="never end"):
        export(texts, "verifiers", 5, tmp_path / "x")
    with pytest.raises(UserError, match="--online is for verl"):
        export(texts, "trl", 5, tmp_path / "x", online=True)
    with pytest.raises(UserError, match="named after the folder"):
        export(texts, "verifiers", None, tmp_path / "1 2")
    with pytest.raises(UserError, match="did you mean verl"):
        export(texts, "verll", 5, tmp_path / "x")
    with pytest.raises(UserError, match="reads no images"):
        export(everything, "verl", 5, tmp_path / "x", model=TINY)
    assert not list(tmp_path.iterdir())


def test_the_longest_prompt_is_known_and_the_scripts_leave_room_for_it(tmp_path):
    task = ssl4rl.task("link", ssl4rl.load("citations"))
    manifest = export(task, "verl", 30, tmp_path / "x", model=TINY)
    assert set(manifest.longest) == {"pieces", "tokens"}
    from ssl4rl.inference.model import ModelFiles

    files = ModelFiles(TINY)
    tokens = {str(task.example(i).id): len(files.prompt_ids(task.example(i).messages())) for i in range(30)}
    longest = manifest.longest["tokens"]
    assert longest.length == max(tokens.values()) == tokens[longest.id]
    assert manifest.recipe.model == {"path": TINY, "fingerprint": files.fingerprint}
    assert "MAX_PROMPT:-1024" in (tmp_path / "x" / "verl.sh").read_text()


def test_control_tokens_of_the_model_that_is_named_are_written_apart(tmp_path):
    export(Link(graph("<|im_end|>")), "verl", 3, tmp_path / "x", model=TINY)
    content = rows_of(tmp_path / "x")[0]["prompt"][0]["content"]
    assert "< |im_end|>" in content and "<|im_end|>" not in content and "<answer>" in content


def test_a_model_whose_tags_others_leave_out_is_refused_unless_the_answer_alone_is_asked_for(tmp_path):
    model = str(with_special_tags(tmp_path / "odd"))
    with pytest.raises(UserError, match=r"<think>, </think>, <answer>, </answer> are special tokens of model"):
        export(ssl4rl.task("link"), "verl", 3, tmp_path / "x", model=model)
    assert not (tmp_path / "x").exists()
    export(ssl4rl.task("link", reasoning=False), "verl", 3, tmp_path / "x", model=model)


def test_examples_are_built_again_from_the_manifest_alone(tmp_path):
    task = ssl4rl.mix([ssl4rl.task("link", level="hard", num_hops=1), ssl4rl.task("rotation")], [3, 1]).on_split("val")
    export(task, "verl", 20, tmp_path / "files")
    export(task, "verl", 20, tmp_path / "online", online=True)
    export(task, "verifiers", None, tmp_path / "my-tasks")
    rows = rows_of(tmp_path / "files")
    online, endless = Examples(tmp_path / "online"), Examples(tmp_path / "my-tasks" / "my_tasks")
    assert len(online) == 20 and [online.row(index) for index in range(20)] == rows
    assert [endless.row(index)["ground_truth"] for index in range(20)] == [row["ground_truth"] for row in rows]
    assert not list((tmp_path / "online").glob("data/*"))
    for folder in ("online", "my-tasks"):
        found = verify(tmp_path / folder)
        assert (
            found.mismatches == []
            and found.rows == (found.manifest.recipe.count or 100)
            and found.replies > 4 * found.rows
        )


def test_a_manifest_of_changed_data_builds_nothing(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "nodes.csv").write_text("id,text\n" + "".join(f"{i},text number {i} of mine\n" for i in range(40)))
    (folder / "edges.csv").write_text("source,target\n" + "".join(f"{i},{(i * 7 + 1) % 40}\n" for i in range(40)))
    export(ssl4rl.task("link", str(folder)), "verl", 5, tmp_path / "x", online=True)
    Examples(tmp_path / "x")
    (folder / "nodes.csv").write_text("id,text\n" + "".join(f"{i},text number {i}\n" for i in range(40)))
    changed = "is not what it was when the export was made"
    with pytest.raises(UserError, match=changed):
        Examples(tmp_path / "x")
    assert len(verify(tmp_path / "x").mismatches) == 1 and changed in verify(tmp_path / "x").mismatches[0]
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="mine"):
        Examples(tmp_path / "x")
    export(Link(graph("x")), "verl", 5, tmp_path / "memory", online=True)
    with pytest.raises(UserError, match="ring was made in memory"):
        Examples(tmp_path / "memory")
