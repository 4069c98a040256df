"""Commands and Python on the pages are right: options and names exist, and what needs no other data or model runs."""

import re
import shlex
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import ssl4rl
from ssl4rl.cli.main import ANYWHERE, app
from ssl4rl.registry import BENCHMARKS, ENGINES, GRAPHS, TASKS
from ssl4rl.training.recipe_file import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md", "examples/plugin/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WALKS = [ROOT / "docs" / f"{name}.md" for name in ("my-graph", "my-photos", "add-a-benchmark")]
"""Pages whose blocks run one after another, in an empty folder; the one on adding a task has a test of its own."""
PLUGIN = {"common", "mirror", "same-class", "shared-topic", "which-way"}
"""Names that the example plug-in adds, and the page on adding a task, which has a test of its own."""


OURS = ("ssl4rl", "benchmarks", "experiments", "tools")
"""Where the modules are that the pages start."""


def lines(page):
    """The lines of the blocks of a page that are no Python, without comments, and the code within its sentences."""
    text = page.read_text(encoding="utf-8")
    for kind, block in BLOCK.findall(text):
        if kind in ("", "sh", "bash"):
            yield from (line.partition(" #")[0].strip() for line in block.splitlines())
    yield from (found.replace("\n", " ") for found in re.findall(r"`((?:ssl4rl|python -m|make) [^`]*)`", text))


def commands(program):
    found = {line for page in PAGES for line in lines(page) if line.startswith(f"{program} ")}
    # A line in a sentence may leave out what it is not about, and say so.
    whole = (line for line in found if "…" not in line and "..." not in line)
    return sorted({line.replace("\\", "").replace("graph|vision", "graph").partition(" > ")[0] for line in whole})


SSL4RL = [line for line in commands("ssl4rl") if "|" not in line.partition(" --")[2] and "[" not in line]


def parsed(arguments):
    """Parses a command line as the program would, down to the last verb, and runs nothing."""
    command, context = typer.main.get_command(app), None
    arguments = [each for each in arguments if each not in ANYWHERE]
    while hasattr(command, "commands"):
        context = command.make_context("ssl4rl", arguments[:0], parent=context, resilient_parsing=True)
        assert arguments and arguments[0] in command.commands, f"there is no verb {arguments[:1]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command.make_context(command.name, list(arguments), parent=context).params


@pytest.mark.parametrize("line", SSL4RL)
def test_a_command_of_a_page_has_verbs_options_and_names_that_exist(line):
    words = shlex.split(line)[1:]
    if not words[-1].startswith("-") and len(words) < 3 and all(re.fullmatch(r"[a-z]+", word) for word in words):
        return_of = [*words, "--help"]  # a verb in a sentence, without what it is given
        assert CliRunner().invoke(app, return_of).exit_code == 0
        return
    if "--help" in words or "-h" in words or "--version" in words:
        assert CliRunner().invoke(app, words).exit_code == 0
        return
    try:
        parsed(words)
    except Exception as error:
        if "requires an argument" not in str(error):
            raise
        parsed([*words, "1"])  # the last option in a sentence, without its value
    for option, registry in (("--task", TASKS), ("--benchmark", BENCHMARKS)):
        names = [after for word, after in pairwise(words) if word == option and after.islower()]
        assert set(names) <= {*registry.names(), *PLUGIN}, line
    for place in [word for word in words if word.startswith("configs/")]:
        assert load_recipe(ROOT / place)


@pytest.mark.parametrize("line", [line for line in commands("python -m") if line.split()[2].startswith(OURS)])
def test_a_module_of_a_page_is_there(line):
    module, *options = shlex.split(line)[2:]
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, line
    source = Path(spec.origin).read_text(encoding="utf-8")
    for option in options:
        assert not option.startswith("--") or f'"{option}"' in source or module == "ssl4rl", line


def test_targets_of_make_are_there():
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in commands("make"):
        assert set(line.split()[1:]) <= rules, line


CHEAP = re.compile(
    r"ssl4rl ((graph|vision) show --\w|data (list|new|validate|info|convert) (\./)?my-graph|tasks\b|schema\b)"
)
NEEDS_MORE = re.compile(
    r"shared-topic|which-way|modules|photos|cora|PHOTOS|ID|RUN|PATH|NAME|FOLDER|dishes|flags|imagenet|\.tsv|--png$"
)
SHOWN = [line for line in SSL4RL if CHEAP.match(line) and not NEEDS_MORE.search(line)]


def test_commands_that_need_no_other_data_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    order = sorted(SHOWN, key=lambda line: "data new" not in line)
    assert len(order) >= 5
    for line in order:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)


PYTHON = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    if page not in WALKS
    for number, (kind, block) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
    if kind == "python"
]
ELSEWHERE = ("Qwen/", "cora")
"""Names of models and data that have to be downloaded."""


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for registry in (BENCHMARKS, ENGINES):
        for name in ("_locations", "_plugins"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    blocks = [(kind, block) for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")) if kind]
    assert {kind for kind, _ in blocks} == {"python", "sh"}
    names = {}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, str(page), "exec"), names)
            continue
        for line in block.splitlines():
            result = CliRunner().invoke(app, shlex.split(line)[1:])
            assert result.exit_code == 0, (line, result.output, result.exception)
            assert not line.startswith("ssl4rl data validate") or " is valid" in result.output


@pytest.mark.parametrize("block", PYTHON)
def test_python_of_a_page_runs(block, tmp_path, monkeypatch):
    code = compile(block, "page", "exec")
    if any(name in block for name in ELSEWHERE):
        return
    monkeypatch.chdir(tmp_path)
    np.save("edges.npy", np.array([[0, 1, 2], [1, 2, 0]]))
    Path("texts.txt").write_text("one\ntwo\nthree\n")
    for name in ("_locations", "_plugins"):
        monkeypatch.setattr(TASKS, name, dict(getattr(TASKS, name)))
    # It trains, but for two steps only.
    train, names = ssl4rl.train, set(GRAPHS.names())
    short = {"max_steps": 2, "save_steps": 2}
    monkeypatch.setattr(
        ssl4rl, "train", lambda *args, **kw: train(*args, **{**kw, "grpo": short, "heldout_examples": 8}), raising=False
    )
    exec(code, {})
    for name in set(GRAPHS.names()) - names:
        assert ssl4rl.load(name).num_nodes
