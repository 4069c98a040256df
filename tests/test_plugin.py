"""examples/plugin, installed from its own wheel: its names work wherever ssl4rl takes one."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples" / "plugin"
PACKAGE = "ssl4rl_example"

SMALL = {
    "grpo.max_steps": 2,
    "grpo.per_device_train_batch_size": 8,
    "grpo.num_generations": 4,
    "grpo.max_completion_length": 16,
    "heldout.examples": 4,
    "engine": "transformers",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # Built from a copy: setuptools writes into the folder that it builds.
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    wheels = tmp_path_factory.mktemp("wheels")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source)
    [path] = wheels.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--target", folder, wheel)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Runs Python with the plug-in installed, in an empty folder, and returns its output."""

    def call(*arguments: object, folder: Path = installed, code: int = 0) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT))),
            "SSL4RL_HOME": str(tmp_path / "home"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return call


@pytest.fixture
def ssl4rl(run):
    return lambda *arguments, **how: run("-m", "ssl4rl.cli.main", *arguments, **how)


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--no-input", *map(str, arguments)], check=True)


def test_the_wheel_holds_its_own_package_and_ssl4rl_knows_nothing_of_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {PACKAGE}
    for path in (ROOT / "ssl4rl").rglob("*.py"):
        assert PACKAGE not in path.read_text(encoding="utf-8")


def test_show(ssl4rl):
    shown = ssl4rl("graph", "show", "--task", "common", "--dataset", "dishes", "--level", "easy")
    assert "Which of these is linked with both" in shown and "dishes/train/common@easy/0/0#" in shown
    shown = ssl4rl("vision", "show", "--task", "mirror", "--dataset", "flags", "--level", "easy")
    assert "flags/train/mirror@easy/0/0#" in shown


def test_data_list_and_info(ssl4rl):
    listed = ssl4rl("data", "list")
    assert "dishes" in listed and "flags" in listed
    assert "400" in ssl4rl("data", "info", "dishes")
    assert "flags" in ssl4rl("data", "info", "flags")


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_train_on_its_graph_task_with_its_reward(ssl4rl, tmp_path):
    output = tmp_path / "run"
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    arguments = ("graph", "train", "--task", "common", "--dataset", "dishes", "--set", "reward.kind=brief")
    ssl4rl(*arguments, "--output", output, *sets)
    assert [line["step"] for line in read_lines(output / "metrics.jsonl") if "reward" in line] == [1, 2]
    completions = read_lines(output / "completions.jsonl")
    assert completions and all(line["reward"] in (line["score"], line["score"] / 2) for line in completions)


@pytest.mark.parametrize(("task", "dataset"), [("common", "dishes"), ("mirror", "flags")])
def test_its_tasks_are_exported(ssl4rl, tmp_path, task, dataset):
    output = tmp_path / "rows"
    ssl4rl("export", "--to", "verl", "--task", task, "--dataset", dataset, "-n", 8, "--output", output)
    assert "8 rows" in ssl4rl("export", "--verify", output) and (output / "verl.sh").exists()


def test_train_on_its_vision_task(ssl4rl, tmp_path):
    output = tmp_path / "run"
    sets = [word for key, value in {**SMALL, "grpo.max_steps": 1}.items() for word in ("--set", f"{key}={value}")]
    ssl4rl("vision", "train", "--task", "mirror", "--dataset", "flags", "--output", output, *sets)
    assert all(line["id"].startswith("flags/train/mirror@medium") for line in read_lines(output / "completions.jsonl"))


def test_evaluate_its_benchmark_with_its_engine(ssl4rl, tmp_path):
    arguments = ("graph", "eval", "--benchmark", "same-class", "--dataset", "dishes", "--engine", "overlap")
    ssl4rl(*arguments, "--limit", 40, "--output", tmp_path / "run")
    predictions = read_lines(tmp_path / "run" / "predictions.jsonl")
    assert [line["answer"] for line in predictions[:40]] == ["yes"] * 40


CONTRACT = """
import ssl4rl
from ssl4rl.audit.contract import check_contract
from ssl4rl.registry import BENCHMARKS, TASKS

for registry, name, source, count in (
    (TASKS, "common", "dishes", 1000), (TASKS, "mirror", "flags", 500), (BENCHMARKS, "same-class", "dishes", 1000)
):
    build = ssl4rl.task if registry is TASKS else ssl4rl.benchmark
    for level in registry.get(name).levels:
        findings = check_contract(build(name, source, level=level), count)
        print(findings)
        assert findings.passed, findings
"""


def test_its_tasks_and_benchmark_keep_the_contract(run):
    run("-c", CONTRACT)


def test_audit_and_reference_meet_its_tasks_and_benchmark(run):
    audit = (
        "from ssl4rl.audit.registered import kinds_on; "
        "print(*(kind.name for source in ('graph', 'images') for split in ('train', 'test')"
        " for kind in kinds_on(source, split)))"
    )
    assert {"common", "mirror", "same-class"} <= set(run("-c", audit).split())
    page = run("-c", f"from ssl4rl.report.reference import write_page; print(write_page({PACKAGE!r}))")
    for heading in ("### Task `common`", "### Task `mirror`", "### Benchmark `same-class`"):
        assert heading in page
    assert "How many changes there are to choose from." in page and "citations/train/common@medium/0/0#" in page


def test_a_plugin_that_cannot_be_imported_is_named(ssl4rl, installed, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    (broken / PACKAGE / "common.py").write_text("import a_module_that_is_missing\n")
    error = ssl4rl("graph", "show", "--task", "common", folder=broken, code=2)
    reason = (
        "task 'common' of plug-in ssl4rl-example cannot be loaded: ModuleNotFoundError: No module named "
        f"'a_module_that_is_missing' ({broken / PACKAGE / 'common.py'}:1); fix, update or uninstall it"
    )
    assert error == f"error: {reason}\n"
    # What does not need it goes on.
    assert "Is there an edge" in ssl4rl("graph", "show", "--task", "link", folder=broken)
    assert "mirror" in ssl4rl("tasks", folder=broken)
    assert "task link" in ssl4rl("data", "validate", "dishes", folder=broken)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("written.number[node] for", "written.nmber[node] for", r"AttributeError: .*'nmber'.*, in a plug-in \(.*"),
        (
            "def draft(",
            "def drft(",
            r"NotImplementedError: task common defines .*, with a plug-in in use \(ssl4rl-example\)",
        ),
    ],
)
def test_a_bug_in_a_plugin_is_one_line_that_names_it(ssl4rl, installed, tmp_path, right, wrong, said):
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    path = broken / PACKAGE / "common.py"
    source = path.read_text(encoding="utf-8")
    assert right in source
    path.write_text(source.replace(right, wrong), encoding="utf-8")
    error = ssl4rl("graph", "show", "--task", "common", folder=broken, code=2)
    assert re.fullmatch(rf"error: {said}; --debug shows all of it\n", error)
    place = error.partition(", at ")[2].partition(";")[0]
    if place:
        number = next(n for n, line in enumerate(source.splitlines(), start=1) if right in line)
        assert place == f"{path}:{number}"
    assert "Traceback" in ssl4rl("--debug", "graph", "show", "--task", "common", folder=broken, code=1)
