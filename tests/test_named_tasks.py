"""Pages that name all tasks or all benchmarks by hand name those that are registered, no more and no fewer."""

import re
from pathlib import Path

import pytest

from ssl4rl.cli.options import names_of_side
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.registry import BENCHMARKS, TASKS

ROOT = Path(__file__).parents[1]
SKILL = "ssl4rl/templates/agent/SKILL.md"
QUOTED = r"`([a-z]+)`"
FIRST_CELL = r"^\| ((?:`[a-z]+`(?:, )?)+) \|"
HEADING = r"^## ([a-z]+)$"

LISTS = [
    ("README.md", "Tasks on graphs: ", "On images: ", QUOTED, TASKS, "graph"),
    ("README.md", "On images: ", "([all", QUOTED, TASKS, "vision"),
    (SKILL, "| graph task |", "Images: ", FIRST_CELL, TASKS, "graph"),
    (SKILL, "Images: ", "Levels", QUOTED, TASKS, "vision"),
    (SKILL, "Benchmarks on graphs: ", "; on images: ", QUOTED, BENCHMARKS, "graph"),
    (SKILL, "; on images: ", "`compare`", QUOTED, BENCHMARKS, "vision"),
    ("docs/tasks.md", "# The graph tasks", "## What is hard", HEADING, TASKS, "graph"),
    ("docs/vision.md", "# The vision tasks", "## What edges", HEADING, TASKS, "vision"),
    ("docs/evaluation.md", "## Benchmarks on graphs", "Splits are", FIRST_CELL, BENCHMARKS, "graph"),
    ("docs/evaluation.md", "## Benchmarks on images", "Without `--dataset`", FIRST_CELL, BENCHMARKS, "vision"),
]


@pytest.mark.parametrize(("page", "start", "end", "form", "registry", "side"), LISTS)
def test_a_list_names_what_is_registered(page, start, end, form, registry, side):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert start in text and end in text.partition(start)[2], f"{page} has no such list any more: change LISTS"
    listed = text.partition(start)[2].partition(end)[0]
    found = [name for match in re.findall(form, listed, re.MULTILINE) for name in re.findall(r"[a-z]+", match)]
    assert sorted(found) == sorted(names_of_side(registry, side)), f"{page}: the list after {start!r}"


def test_the_recipe_of_an_evaluation_names_every_benchmark():
    about = EvalRecipe.model_fields["benchmark"].description
    assert sorted(re.findall(r"``([a-z]+)``", about)) == sorted(BENCHMARKS.names())
