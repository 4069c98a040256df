"""The package as others get it: a wheel, in an environment without this repository and what only its tests need."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MOST_BYTES = 25_000_000
PYTHONS = ("3.11.7", "3.12", "3.13")
SYSTEMS = ("linux", "macos", "windows")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made as for an upload: from the sdist, so that what the sdist lacks, the wheel lacks."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def required(wheel):
    """The distributions that the wheel requires, and those require, of those installed here."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    waiting = [(Requirement(line.partition(": ")[2]), "") for line in lines if line.startswith("Requires-Dist: ")]
    found = {}
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        extras = {"", *wanted.extras} - found.get(name, (None, set()))[1]
        if not extras:
            continue
        try:
            here = distribution(wanted.name)
        except PackageNotFoundError:  # of another build of torch
            continue
        found[name] = here, found.get(name, (None, set()))[1] | extras
        waiting += [(Requirement(line), each) for line in here.requires or () for each in extras]
    return [here for here, _ in found.values()]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel and its dependencies, and nothing else that is installed here.

    The dependencies are links to what is installed here, instead of a download of a gigabyte. Anything that the package
    uses and does not require is missing.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for here in required(wheel):
        for name in {Path(file).parts[0] for file in here.files or () if not str(file).startswith("..")}:
            if name != "__pycache__" and not (site / name).exists():
                (site / name).symlink_to(here.locate_file(name))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Runs a command in an empty folder, with nothing of this process's environment but the path to programs."""
    place = tmp_path_factory.mktemp("an empty folder")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}

    def call(*arguments):
        command = [str(installed / "bin" / "python"), *map(str, arguments)]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    return call


def test_what_is_in_it(wheel):
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "ssl4rl/py.typed" in names and any(name.endswith("/licenses/LICENSE") for name in names)
    tracked = subprocess.run(["git", "ls-files", "ssl4rl"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(tracked.stdout.split("\n")) - {""} <= set(names)
    assert all(name.startswith(("ssl4rl/", "ssl4rl-")) for name in names)


def test_it_works_without_the_repository(run, installed, tmp_path):
    place = run("-c", "import ssl4rl, importlib.util as u; print(ssl4rl.__file__, u.find_spec('pytest'))").split()
    assert Path(place[0]).is_relative_to(installed) and place[1] == "None"
    assert "graph" in run("-m", "ssl4rl", "--help")
    assert "answer: " in run("-m", "ssl4rl", "graph", "show", "--task", "link")
    assert run("-m", "ssl4rl", "docs", "--agent").startswith("---")
    steps = ("grpo.max_steps=3", "grpo.save_steps=3", "grpo.per_device_train_batch_size=16", "heldout.examples=8")
    settings = [part for step in steps for part in ("--set", step)]
    for side, task, benchmark in (("graph", "link", "link"), ("vision", "rotation", "choice")):
        trained = run("-m", "ssl4rl", side, "train", "--task", task, *settings, "--output", side, "--json")
        assert json.loads(trained)["steps"] == 3
        asked = ("--limit", "8", "--ablate", "none", "--output", f"{side}-scores", "--json")
        scores = run("-m", "ssl4rl", side, "eval", "--benchmark", benchmark, "--model", side, *asked)
        assert json.loads(scores)["n"] == 8
    assert run("-m", "ssl4rl", "report", "graph", "graph-scores", "vision", "vision-scores").startswith("wrote ")
    audited = run("-m", "ssl4rl", "audit", "--task", "link", "--examples", "200")
    assert "link@medium" in audited


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_it_requires_can_be_had(version, system):
    pytest.importorskip("uv")
    extras = ["graph", "xlsx", "dev", *(["vision", "vllm"] if system == "linux" else [])]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml", "--no-header"]
    command += [part for extra in extras for part in ("--extra", extra)]
    command += ["--python-version", version, "--python-platform", system]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}  # the oldest that torch is built for
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^torch==", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("version", PYTHONS[:1])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_versions_that_are_tested_go_together(version, system):
    """With constraints.txt, where `make quickstart` starts on another machine."""
    pytest.importorskip("uv")
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml", "--extra", "graph"]
    command += ["--constraint", "constraints.txt", "--python-version", version, "--python-platform", system]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
