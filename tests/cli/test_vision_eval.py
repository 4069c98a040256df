"""``ssl4rl vision eval`` and what follows it, with a scripted model and with the embedded one."""

import json

import pytest

from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.model import Model
from ssl4rl.inference.engines import Reply


class AlwaysB:
    """Says B."""

    files = None
    identity = {"engine": "script", "model": "B"}  # noqa: RUF012

    def stream(self, conversations, sampling):
        for index in range(len(conversations)):
            yield index, Reply("<answer>B</answer>", 3, False)


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(Model, "open", lambda recipe: Model(AlwaysB(), ReplyCache(None)))


def test_from_eval_to_page_and_table(run, scripted, question_table, tmp_path):
    path = question_table({"answer": "B"}, {"C": "maybe", "category": "mine"}, {"l2-category": "wide"})
    first, second = tmp_path / "first", tmp_path / "second"
    code, out, _ = run("vision", "eval", "--benchmark", "choice", "--dataset", path, "--output", first)
    assert code == 0 and "no image" in out and "blank image" in out and "by category" in out and "wide" in out
    assert "right by option: A 0 of 2 (picked 0), B 1 of 1 (picked 3); spread of recall 0.500" in out
    code, out, _ = run(
        "vision", "eval", "--benchmark", "choice", "--dataset", path, "--rotate", "--level", "direct",
        "--ablate", "none", "--output", second,
    )  # fmt: skip
    assert code == 0 and "the model, circular" in out and "vanilla" in out and "row mean" in out
    code, out, _ = run("compare", first, second)
    assert code == 0 and "3 shared" in out.replace("\n", " ")
    code, out, _ = run("report", first, second, "--output", tmp_path / "page.html")
    assert code == 0 and "page.html" in out and "by category" in (tmp_path / "page.html").read_text()
    code, out, _ = run("export", "--to", "vlmevalkit", second, "--output", tmp_path / "table.tsv")
    assert code == 0 and "7 predictions written" in out
    code, out, _ = run("rescore", second)
    assert code == 0 and "circular" in out and "0 of 7 replies changed" in out
    record = json.loads((second / "predictions.jsonl").read_text().splitlines()[-1])
    code, out, _ = run("vision", "show", record["id"], "--run", second)
    assert code == 0 and "<answer>B</answer>" in out and "image of 40×30 pixels" in out


def test_without_data_and_without_a_model(run, scripted, tmp_path):
    code, out, _ = run("vision", "eval", "--benchmark", "imagenet", "--limit", "8", "--output", tmp_path / "run")
    assert code == 0 and "using the embedded drawn scenes and the embedded model tiny-vision" in out
    assert "imagenet@choice-20 on scenes" in out and "majority" in out


def test_the_suite_on_the_command_line(run, refused, scripted, real_data, tmp_path):
    code, out, err = run(
        "vision", "eval", "--suite", "paper", "--dataset", real_data, "--limit", "3", "--ablate", "none",
        "--output", tmp_path / "suite",
    )  # fmt: skip
    assert code == 0 and "seedbench is left out" in err and "Table 6. MMBench by ability" in out
    assert "missing: seedbench: " in out and "recomputed 24.39" in out
    assert "needs --dataset FOLDER" in refused("vision", "eval", "--suite", "paper")
    suite = ("vision", "eval", "--suite", "paper", "--dataset", real_data)
    assert "imagenet-choice-200, are of one value each" in refused(*suite, "--set", "task.options=50")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which --benchmark (choice, mmbench, seedbench, imagenet)"),
        (["--benchmark", "mmbnch"], "did you mean mmbench"),
        (["--benchmark", "node"], "node is for ssl4rl graph"),
        (["--benchmark", "mmbench", "--dataset", "nowhere.tsv"], "there is no file nowhere.tsv"),
        (["--benchmark", "mmbench", "--level", "reason"], "did you mean reasoning"),
        (["--benchmark", "mmbench", "--set", "task.part=dev"], "unknown part of scenes 'dev'; there are: test"),
        (["--benchmark", "mmbench", "--set", "task.image=grey"], "'shown', 'blank', 'none', 'patches' or 'other'"),
        (["--benchmark", "mmbench", "--shots", "64", "--set", "task.part=train"], "unknown part"),
        (["--benchmark", "imagenet", "--rotate"], "unknown knob of benchmark imagenet 'rotate'"),
        (["--benchmark", "imagenet", "--set", "task.options=1"], "task.options=1"),
        (["--benchmark", "imagenet", "--dataset", "nowhere"], "unknown set of classified images 'nowhere'"),
    ],
)
def test_mistakes(refused, scripted, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused("vision", "eval", *arguments)


def test_bad_tables_are_refused_before_anything_is_written(refused, scripted, question_table, tmp_path):
    for rows, message in (
        ([{"image": "7"}], "made_up.tsv, row 2: it refers to the image of index 7, but no row has that index"),
        ([{"answer": "D"}], "made_up.tsv, row 2, field answer: 'D' is none of the row's options (A, B)"),
        ([{}, {"index": 1}], "made_up.tsv, row 3, field index: 1 is a duplicate of made_up.tsv, row 2"),
        ([{"image": "*" * 80}], "made_up.tsv, row 2, field image: this is not base64"),
    ):
        path = question_table(*rows)
        line = refused("vision", "eval", "--benchmark", "mmbench", "--dataset", path, "--output", tmp_path / "run")
        assert message in line and not (tmp_path / "run").exists()


def test_the_embedded_model_and_one_that_reads_no_images(run, refused, tmp_path):
    ask = ("vision", "eval", "--benchmark", "choice", "--limit", "1", "--again", "1", "--max-new-tokens", "12")
    code, _, err = run(*ask, "--rotate", "--shots", "1", "--output", tmp_path / "run")
    assert code == 0, err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["n"] == 1 and scores["rows"] in (2, 4) and scores["model"] == "tiny-vision"
    assert scores["baselines"]["no image"]["n"] == scores["baselines"]["blank image"]["n"] == 1
    line = refused(*ask, "--model", "tiny", "--output", tmp_path / "text")
    assert "reads no images" in line and not (tmp_path / "text").exists()
