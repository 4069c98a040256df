"""``graph eval``, ``compare``, ``rescore`` and ``show`` from the command line, with the embedded model."""

import json

import pytest

from ssl4rl.runs import Run

EVAL = ("graph", "eval", "--max-new-tokens", "48")


def test_an_evaluation_its_files_and_what_reads_them(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    code, out, err = run(*EVAL, "--benchmark", "link", "--limit", "40", "--again", "10", "--output", first)
    assert code == 0, err
    assert "using the embedded procedural graph and the embedded model tiny" in out and "graph removed" in out
    scores = json.loads((first / "scores.json").read_text())
    assert {"benchmark", "dataset", "model", "n", "accuracy", "low", "high", "parsed", "chance"} <= scores.keys()
    assert scores["n"] == 40 and scores["parsed"] > 0.9 and scores["low"] <= scores["accuracy"] <= scores["high"]
    assert scores["baselines"].keys() == {
        "graph removed", "first option", "majority", "text only", "common neighbours", "adamic-adar", "degree product",
        "gcn", "graphsage", "gat",
    }  # fmt: skip
    assert all({"accuracy", "low", "high", "n"} <= value.keys() for value in scores["baselines"].values())
    assert scores["notes"] == [] and f"balanced accuracy {scores['balanced_accuracy']:.3f}" in out

    code, out, err = run(
        *EVAL, "--benchmark", "link", "--limit", "40", "--level", "no-graph", "--no-baselines", "--ablate", "none",
        "--output", second, "--json",
    )  # fmt: skip
    assert code == 0 and json.loads(out)["benchmark"] == "link@no-graph"
    code, out, _ = run("compare", first, second, "--json")
    assert code == 0 and json.loads(out)["shared"] == 40
    code, out, _ = run("rescore", first, "--extraction", "lenient")
    assert code == 0 and (first / "scores.lenient.json").is_file()

    record = json.loads((first / "predictions.jsonl").read_text().splitlines()[0])
    code, out, _ = run("graph", "show", record["id"], "--run", first)
    assert code == 0 and record["reply"] in out and f"answer: {record['gold']}" in out


def test_ranking_prints_its_metrics_beside_the_baselines(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = ("graph", "eval", "--benchmark", "ranking", "--limit", "8", "--set", "task.num_candidates=4")
    code, out, err = run(*arguments, "--ablate", "none", "--consistent", "--again", "2", "--output", first)
    assert code == 0, err
    words = ("MRR", "Hits@1", "Hits@3", "AUC", "AP", "at random", "common neighbours", "8 queries about 4 edges")
    assert all(word in out for word in (*words, "4 candidates each", "ranks are among 4 candidates", "ends swapped"))
    code, _, err = run(*arguments, "--ablate", "none", "--no-baselines", "--level", "no-graph", "--output", second)
    assert code == 0, err
    code, out, _ = run("compare", first, second, "--json")
    assert code == 0 and json.loads(out)["shared"] == 8
    code, out, _ = run("rescore", first, "--extraction", "lenient")
    scores = [json.loads((first / name).read_text())["ranking"] for name in ("scores.json", "scores.lenient.json")]
    assert code == 0 and scores[0] == scores[1]


def test_show_a_benchmark(run):
    code, out, _ = run("graph", "show", "--benchmark", "node", "-n", "2", "--json")
    examples = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(examples) == 2 and examples[0]["chance"] == 1 / 8
    for example in examples:
        code, out, _ = run("graph", "show", example["id"])
        assert code == 0 and example["prompt"] in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "nodes"], "did you mean node"),
        (["--benchmark", "relation"], "has no relations"),
        (["--benchmark", "node", "--level", "two-hops"], "did you mean two-hop"),
        (["--benchmark", "node", "--dataset", "coraa"], "did you mean cora"),
        (["--benchmark", "node", "--protocol", "planetiod"], "did you mean planetoid"),
        (["--benchmark", "link", "--protocol", "random-0"], "benchmark link does not classify nodes"),
        (["--benchmark", "node", "--limit", "0"], "--limit 0"),
        (["--benchmark", "node", "--scoring", "guess"], "--scoring 'guess'"),
        (["--benchmark", "node", "--shots", "65"], "--shots 65"),
        (["--benchmark", "node", "--set", "task.hops=1"], "num_hops"),
        (["--benchmark", "node", "--engine", "vlm"], "did you mean vllm"),
        (["--benchmark", "node", "--engine", "http://127.0.0.1:9/v1"], "does not answer"),
        (["--benchmark", "node", "--dtype", "float8"], "float"),
        (["--benchmark", "node", "--max-new-tokens", "100000"], "--max-new-tokens"),
        (["--suite", "papers"], "did you mean paper"),
        (["--suite", "paper", "--dataset", "cora"], "leave out"),
        ([], "--benchmark"),
        (["--benchmark", "node", "--seed", "-1"], "--seed -1"),
        (["--benchmark", "node", "--engine", "http://127.0.0.1:9/v1", "--dtype", "float32"], "--dtype"),
        (["--benchmark", "node", "--scoring", "likelihood", "--max-new-tokens", "9"], "--max-new-tokens"),
        (["--benchmark", "ranking", "--scoring", "generate"], "ranks by likelihood; leave out --scoring generate"),
        (["--benchmark", "ranking", "--set", "task.side=tail"], "have no direction"),
        (["--benchmark", "rotation"], "unknown benchmark"),
        (["--resume"], "--output run"),
        (["--resume", "--output", "nowhere"], "nowhere"),
    ],
)
def test_mistakes(refused, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused("graph", "eval", *arguments).lower()


def test_a_run_is_resumed_by_its_own_side_and_verb(refused, tmp_path):
    evaluation, training = (Run.create(tmp_path / name, {}) for name in ("evaluation", "training"))
    evaluation.write_config({"benchmark": "node", "model": "tiny"})
    training.write_config({"tasks": [{"name": "link"}]})
    resume = ("eval", "--resume", "--output")
    assert "node is for ssl4rl graph, not for ssl4rl vision" in refused("vision", *resume, evaluation.path)
    assert f"{training.path} is a training run, not an evaluation" in refused("graph", *resume, training.path)
    resume = ("train", "--resume", "--output")
    assert "is an evaluation; continue it with ssl4rl graph eval" in refused("graph", *resume, evaluation.path)
    assert "link is for ssl4rl graph, not for ssl4rl vision" in refused("vision", *resume, training.path)


def test_an_id_of_a_task_that_shares_name_and_level_with_a_benchmark(run, refused):
    _, out, _ = run("graph", "show", "--task", "link", "--level", "paper", "--split", "val", "--start", "1500")
    identity = out.splitlines()[0]
    code, again, _ = run("graph", "show", identity)
    assert code == 0 and again == out
    assert "has no item 900000" in refused(
        "graph", "show", identity.replace("/1500#", "/900000#").replace("link", "node")
    )
    assert "has 900 items" in refused("graph", "show", "--benchmark", "node", "--start", "1000")


def test_a_graph_of_ones_own_without_labels(refused, folder):
    assert "has no labels" in refused("graph", "eval", "--benchmark", "node", "--dataset", folder)


def test_nothing_is_written_over(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "exists already" in refused("graph", "eval", "--benchmark", "node", "--output", tmp_path)
