"""``ssl4rl export`` as it is typed."""

import json

import pytest

from ssl4rl.export.manifest import MANIFEST


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say for what: --to"),
        (["--to", "verl", "--task", "link", "-n", "5"], "say where to: --output"),
        (["--to", "verl", "--output", "x"], "say what to export"),
        (["--to", "verll", "--task", "link", "-n", "5", "--output", "x"], "did you mean verl"),
        (["--to", "verl", "--task", "lnk", "-n", "5", "--output", "x"], "did you mean link"),
        (["--to", "verl", "--task", "link", "--output", "x"], "say how many examples"),
        (["--to", "verl", "--task", "link", "-n", "5", "--split", "test", "--output", "x"], "train, val"),
        (["--to", "verl", "--task", "link", "-n", "5", "--set", "task.num_hop=1", "--output", "x"], "num_hops"),
        (["--to", "verl", "--task", "link", "-n", "5", "--dataset", "coraa", "--output", "x"], "did you mean cora"),
        (
            ["--to", "verl", "--task", "link", "-n", "5", "--set", "difficulty=adaptive", "--output", "x"],
            "fixed examples",
        ),
        (["--to", "verl", "--task", "link", "-n", "5", "--set", "reward.kind=random", "--output", "x"], "own score"),
        (["--to", "verl", "--task", "link", "-n", "5", "--set", "corrupt=text", "--output", "x"], "corrupt=null"),
        (["--to", "verl", "--task", "link", "-n", "5", "--set", "reward.margin=1", "--output", "x"], "reward.margin=0"),
        (
            ["--to", "verl", "--task", "rotation", "-n", "5", "--set", "model.max_pixels=5000", "--output", "x"],
            "model.max_pixels=null",
        ),
        (
            ["--to", "easyr1", "--task", "link", "--task", "rotation", "-n", "5", "--output", "x"],
            "in all prompts or in",
        ),
        (["RUN", "--to", "verl", "--output", "x"], "takes --task and no RUN"),
        (["--to", "vlmevalkit", "--output", "x.tsv"], "--to vlmevalkit RUN"),
        (["RUN", "--to", "vlmevalkit", "--output", "x.tsv"], "RUN"),
        (["RUN", "--to", "vlmevalkit", "-n", "5", "--output", "x.tsv"], "leave out what says which"),
        (["RUN", "--to", "vlmevalkit", "--level", "easy", "--output", "x.tsv"], "leave out what says which"),
        (["--verify", "x"], "it is not an export"),
        (["--verify", "x", "--level", "easy"], "takes nothing else"),
        (["--verify", "x", "-n", "5"], "takes nothing else"),
        (["--verify", "x", "--task", "link"], "takes nothing else"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("export", *arguments)
    lines = err.strip().splitlines()
    assert code == 2 and len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], err
    assert not list(tmp_path.iterdir())


def test_an_export_is_written_checked_and_found_changed(run, tmp_path):
    folder = tmp_path / "x"
    arguments = ["--task", "link", "--task", "neighbor", "--set", "task.num_hops=2", "-n", "30"]
    code, out, err = run("export", "--to", "verl", *arguments, "--level", "easy", "--split", "val", "--output", folder)
    assert code == 0 and "30 rows for verl" in out and "30 of 30 rows" in err
    recipe = json.loads((folder / MANIFEST).read_text())["recipe"]
    assert [(task["name"], task["level"]) for task in recipe["tasks"]] == [("link", "easy"), ("neighbor", "easy")]
    assert recipe["tasks"][0]["knobs"] == {"num_hops": 2} and recipe["split"] == "val"
    assert not (folder / "verl.sh").exists()  # held-out rows are not trained on
    code, out, _ = run("export", "--verify", folder)
    assert code == 0 and out.strip().endswith("all match")
    (folder / "ssl4rl_scorer.py").write_text("")
    code, out, _ = run("export", "--verify", folder)
    assert code == 1 and "is not the file of its manifest" in out


def test_a_recipe_brings_its_weights(run, tmp_path):
    recipe = tmp_path / "mix.yaml"
    recipe.write_text("seed: 3\ntasks:\n- {name: link, weight: 3}\n- {name: rotation}\n")
    code, _, _ = run("export", "--to", "jsonl", "--config", recipe, "-n", "40", "--output", tmp_path / "x")
    lines = (tmp_path / "x" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    abilities = [json.loads(line)["ability"] for line in lines]
    assert code == 0 and abilities.count("link") > 20 and abilities.count("rotation") > 3
    assert all("/3/" in json.loads(line)["id"] for line in lines)
