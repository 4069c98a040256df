"""Other trainers, as they are published, load exports and score replies as ssl4rl does.

They are installed into folders of their own, which only subprocesses have on their path. verl's trainer itself cannot
run without a GPU: what runs is its configuration, its dataset, its reward managers, and its reward workers on Ray.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet
import pytest

import ssl4rl
from ssl4rl.export.entries import compute_score
from ssl4rl.export.run import export
from ssl4rl.inference.model import resolve
from ssl4rl.models import TINY, TINY_VISION
from tests.training.qwen_vl import tokenizer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "peers"
SETS = {
    "trainers": [
        *("--no-deps", "verl==0.9.1", "tensordict==0.10.0", "omegaconf==2.4.0", "antlr4-python3-runtime==4.9.3"),
        *("hydra-core==1.3.8", "ray==2.60.0", "codetiming==1.4.0", "msgpack==1.2.4", "jsonschema==4.26.0"),
        *("referencing==0.37.0", "rpds-py==2026.9.1", "jsonschema-specifications==2025.9.1", "protobuf==7.36.2"),
        *("orjson==3.13.0", "pyvers==0.2.3", "openrlhf==0.11.2", "pylatexenc==2.11"),
    ],
    "verifiers": ["verifiers==0.4.0"],
}
"""What pip is asked for; the first set uses the packages that ssl4rl is tested with."""


@pytest.fixture(scope="session")
def peers():
    """The folder of a set, made if it is not there."""

    def call(name: str) -> Path:
        wanted = SETS[name]
        folder = ROOT / ".peers" / f"{name}-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:8]}"
        if not folder.is_dir():
            temporary = folder.with_suffix(".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(temporary), *wanted]
            subprocess.run(command, check=True)
            temporary.rename(folder)
        return folder

    return call


@pytest.fixture
def ray_folder():
    """Where Ray keeps its sockets, apart from any other cluster of this machine; their paths have to be short."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        yield folder


@pytest.fixture
def python(tmp_path, ray_folder):
    """Runs Python with folders in front of its path; returns the last line that it printed, as JSON."""

    def call(*arguments: object, path: tuple[Path, ...], given: object = None) -> dict:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT])),
            "HOME": str(tmp_path),  # Ray, datasets and others write there
            "RAY_TMPDIR": ray_folder,
            "RAY_AUTH_MODE": "disabled",
        }
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return call


@pytest.fixture
def bytes_tokenizer(tmp_path) -> Path:
    """A tokenizer that gives back every text as it was."""
    tokenizer("<|image_pad|>").save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def arguments_of(script: Path, *given: str, **environment: str) -> list[str]:
    """What a script would hand to the program that it starts, after the name of the module."""
    program = {"PYTHON": f"{sys.executable} {HERE / 'capture.py'}"}
    command = [str(script), *given]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **program, **environment}
    )
    found: list[str] = json.loads(done.stdout)
    return found[2:]


@pytest.mark.parametrize("online", [False, True], ids=["files", "online"])
def test_verl(peers, python, everything, case_file, bytes_tokenizer, tmp_path, online):
    export(everything, "verl", 120, tmp_path / "train", online=online)
    export(everything.on_split("val"), "verl", 20, tmp_path / "val", online=online)
    settings = arguments_of(
        tmp_path / "train" / "verl.sh", "MODEL", "trainer.total_epochs=2", VAL=str(tmp_path / "val")
    )
    assert any(str(tmp_path / "val") in setting for setting in settings) and "trainer.total_epochs=2" in settings
    found = python(
        *(HERE / "verl_rewards.py", case_file(everything, 120, 10), bytes_tokenizer, resolve(TINY_VISION)),
        *(() if online else ("--ray",)),
        path=(peers("trainers"),),
        given=settings,
    )
    assert found["dataset"] == ("OnlineDataset" if online else "RLHFDataset") and found["rows"] == 120
    assert found["images"] == sum(len(everything.example(index).images) for index in range(120))
    assert found["batch"] == [512, 128, 5] and found["kl"] == [True, 0.01]
    assert found["manager"] == [1200, 0] and found["loop"] == [1200, 0]
    assert online or found["ray"] == [48, 0]


def test_verl_on_two_nodes_starts_when_both_are_there_and_ends_both(peers, everything, tmp_path, ray_folder):
    export(everything, "verl", 5, tmp_path / "train")
    programs = tmp_path / "bin"
    programs.mkdir()
    # `python -m verl…` shows its arguments; the other calls are Python's own.
    for name, line in (
        ("ray", f'exec {sys.executable} -m ray.scripts.scripts "$@"'),
        ("python3", f'[ "$1" = -m ] && exec {sys.executable} {HERE / "capture.py"} "$@"; exec {sys.executable} "$@"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(peers("trainers")),
        "HOME": str(tmp_path),
        "RAY_TMPDIR": ray_folder,
        "RAY_AUTH_MODE": "disabled",
        "RAY_PORT": str(free_port()),
    }
    script = str(tmp_path / "train" / "verl_nodes.sh")
    nodes = [
        subprocess.Popen(
            [script, str(rank), "2", "127.0.0.1", "MODEL"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for rank in (1, 0)
    ]
    try:
        told = [node.communicate(timeout=240)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], told
    line = next(line for line in told[1].splitlines() if line.startswith('["'))
    assert "trainer.nnodes=2" in json.loads(line) and "actor_rollout_ref.model.path=MODEL" in json.loads(line)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_openrlhf(peers, python, everything, case_file, bytes_tokenizer, tmp_path):
    export(everything, "openrlhf", 60, tmp_path / "x")
    found = python(
        *(HERE / "openrlhf_rewards.py", case_file(everything, 60, 6), bytes_tokenizer, resolve(TINY_VISION)),
        path=(peers("trainers"),),
        given=arguments_of(tmp_path / "x" / "openrlhf.sh", "MODEL", "OUTPUT"),
    )
    assert found["rows"] == 60 and found["rewards"] == [360, 0] and found["images"] > 100
    assert found["batch"] == [512, 640, 5] and found["kl"] == [True, 0.01, "k3"] and found["most_images"] == 4


def test_verifiers(peers, python, everything, case_file, tmp_path):
    export(everything, "verifiers", None, tmp_path / "ssl4rl-everything")
    found = python(
        *(HERE / "verifiers_rewards.py", "ssl4rl-everything", case_file(everything, 50, 8)),
        path=(peers("verifiers"), tmp_path / "ssl4rl-everything"),
    )
    assert found["bounded"] is False and found["rewards"] == [400, 0] and found["images"] > 50


def test_ray_train_runs_our_own_trainer_on_two_workers(peers, tmp_path, ray_folder):
    """It is stopped by the time limit, resumed, and refused once it is finished."""
    steps = "max_steps=2 save_steps=1 per_device_train_batch_size=8 gradient_accumulation_steps=1 num_generations=4"
    settings = [f"grpo.{step}" for step in steps.split()] + ["heldout.examples=6", "engine=transformers"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(peers("trainers")), str(ROOT)]),
        "HOME": str(tmp_path),
        "RAY_TMPDIR": ray_folder,
        "RAY_AUTH_MODE": "disabled",
        # Workers are as important as what starts them, and may be slow to start beside other tests.
        "RAY_worker_niceness": "0",
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    }

    def launch(*options: str) -> subprocess.CompletedProcess:
        launcher = [sys.executable, "-m", "ssl4rl", "launch", "ray", "--workers", "2"]
        line = [*launcher, "graph", "train", *options, "--output", "run"]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)

    stopped = launch("--task", "link", "--max-time", "0.001s", *(each for one in settings for each in ("--set", one)))
    assert stopped.returncode == 75, stopped.stderr[-4000:]
    assert (tmp_path / "run" / "checkpoint-1").is_dir() and not (tmp_path / "run" / "model").exists()
    resumed = launch("--resume")
    assert resumed.returncode == 0, resumed.stderr[-4000:]
    run = ssl4rl.open_run(tmp_path / "run")
    assert run.finished and json.loads((run.path / "environment.json").read_text())["processes"] == 2
    assert sum(each.selected for each in run.completions()) == 32 and len(run.heldout()) == 12
    assert (run.path / "model" / "model.safetensors").is_file()
    again = launch("--resume")
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1] == "error: worker 0: run is finished; nothing is left to resume"


@pytest.mark.parametrize(("model", "tasks"), [(TINY, ["link"]), (TINY_VISION, ["rotation", "jigsaw"])])
def test_trl_trains_three_steps(model, tasks, tmp_path, monkeypatch):
    task = ssl4rl.mix([ssl4rl.task(name) for name in tasks]) if len(tasks) > 1 else ssl4rl.task(tasks[0])
    export(task, "trl", 32, tmp_path / "x")
    steps = (
        "--max_steps 3 --use_cpu true --bf16 false --use_vllm false --gradient_checkpointing false --save_strategy no"
    )
    sizes = (
        "--per_device_train_batch_size 8 --gradient_accumulation_steps 1 --generation_batch_size 8 --num_generations 4"
    )
    short = "--max_completion_length 48 --log_completions true"
    command = [str(tmp_path / "x" / "trl.sh"), resolve(model), str(tmp_path / "run")]
    environment = {**os.environ, "ACCELERATE": sys.executable, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command += f"{steps} {sizes} {short}".split()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    truths = {}
    for row in pyarrow.parquet.read_table(tmp_path / "x" / "data" / "train-00000-of-00001.parquet").to_pylist():
        content = row["prompt"][0]["content"]
        text = content if isinstance(content, str) else "".join(part["text"] or "" for part in content)
        truths.setdefault(" ".join(text.split()), []).append(row["ground_truth"])
    completions = [
        row
        for path in sorted((tmp_path / "run" / "completions").glob("*.parquet"))
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]
    assert len(completions) == 24
    for row in completions:
        asked = truths[" ".join(text_of(row["prompt"]).split())]
        assert row["trl_reward"] in [compute_score("", text_of(row["completion"]), truth) for truth in asked]


def text_of(shown: list) -> str:
    """The text of a prompt or completion as TRL records it: a conversation."""
    content = shown[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)
