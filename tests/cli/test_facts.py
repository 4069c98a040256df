"""Commands that say what is here: --version, tasks, schema, doctor."""

import errno
import json
import shutil

import pytest

from ssl4rl import __version__
from ssl4rl.cli.options import seconds_of
from ssl4rl.errors import UserError
from ssl4rl.models import embedded_path
from ssl4rl.registry import BENCHMARKS, TASKS
from ssl4rl.training.recipe import Recipe


def test_version_and_help(run):
    assert run("--version") == (0, f"ssl4rl {__version__}\n", "")
    for option in ("-h", "--help"):
        code, out, _ = run(option)
        assert code == 0 and all(verb in out for verb in ("doctor", "tasks", "schema", "graph", "--version", "--quiet"))


def test_tasks_lists_all_and_describes_one(run):
    code, out, _ = run("tasks")
    assert code == 0 and all(f"  {name} " in out for name in [*TASKS.names(), *BENCHMARKS.names()])
    found = [json.loads(line) for line in run("tasks", "--json")[1].splitlines()]
    assert [row["name"] for row in found] == [*TASKS.names(), *BENCHMARKS.names()]
    code, out, _ = run("tasks", "rotation")
    assert code == 0 and "level medium: " in out and "task.size=224 (integer, 16 to 2048)" in out
    code, _, err = run("tasks", "rotatoin")
    assert code == 2 and err.startswith("error: unknown task or benchmark 'rotatoin'; did you mean rotation")


def test_the_schema_has_every_key_of_a_recipe(run):
    schema = json.loads(run("schema")[1])
    assert schema["properties"].keys() == Recipe.model_fields.keys() and schema["additionalProperties"] is False
    grpo = schema["properties"]["grpo"]["properties"]
    assert "num_generations" in grpo and "learning_rate" in grpo and "output_dir" not in grpo
    assert "benchmark" in json.loads(run("schema", "eval")[1])["properties"]
    assert run("schema", "x")[0] == 2


def test_doctor_names_what_will_not_work_and_the_fix(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    broken = tmp_path / "model"
    shutil.copytree(embedded_path("tiny"), broken)
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:-100])
    code, out, _ = run("doctor", "--model", broken, "--json")
    found = json.loads(out)
    assert code == 1 and not found["model"]["usable"]
    assert any("model" in each["problem"] and each["fix"] for each in found["problems"])
    assert found["hub"] == {"address": "https://huggingface.co", "reachable": None, "why": "HF_HUB_OFFLINE is set"}
    assert found["packages"]["ssl4rl"] == __version__ and found["cpus"] and len(found["disk"]) == 3
    code, out, _ = run("doctor", "--model", "tiny")
    assert "tiny (" in out and "can be used, reads no images" in out and "replies end with" in out
    found = out.count("problem: ")
    assert out.splitlines()[-1] == (f"{found} problem{'s' if found > 1 else ''}" if found else "no problems found")


@pytest.mark.parametrize("text", ["", "0", "soon", "-5", "1h-3m", "5:00", "1h30", "1m30"])
def test_no_length_of_time(text):
    with pytest.raises(UserError, match="is no length of time; write 45m"):
        seconds_of(text)
    assert seconds_of("1d2h3m4.5s") == 93784.5


def test_quiet_prints_results_only(run, tmp_path):
    arguments = ("graph", "eval", "--benchmark", "link", "--limit", "4", "--no-baselines", "--ablate", "none", "--json")
    code, out, err = run(*arguments, "--quiet", "--output", tmp_path / "run")
    assert (code, err) == (0, "") and json.loads(out)["n"] == 4


def test_a_full_disk_is_one_line(run, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "big.npy")

    monkeypatch.setattr("ssl4rl.data.graphs.store.write_graph", full)
    code, _, err = run("data", "convert", "citations", tmp_path / "out")
    assert (code, err) == (
        2,
        f"error: cannot write {tmp_path / 'out'}: the disk is full; free some of it, or give a folder on another\n",
    )
