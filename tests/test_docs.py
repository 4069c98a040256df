"""The pages must not fall behind the code."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from ssl4rl.build import rebuild
from ssl4rl.errors import UserError
from ssl4rl.example import ExampleId
from ssl4rl.report.paper import paper_pages
from ssl4rl.report.reference import entries, write_page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENTRIES = [pytest.param(entry, id=f"{entry.noun}-{entry.name}") for entry in entries()]


def ids_in(text):
    """Everything in a text that is the id of an example."""
    for candidate in re.findall(r"[^\s`(|]+#[0-9a-f]{8}\b", text):
        try:
            ExampleId.parse(candidate)
        except UserError:
            continue
        yield candidate


def test_the_reference_is_what_the_registries_give():
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == write_page(), "docs/reference.md is out of date: run `python -m tools.write_reference`"


def test_the_pages_about_the_paper_are_what_its_tables_give():
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "paper").iterdir()}
    assert written == paper_pages(), "docs/paper is out of date: run `python -m tools.write_paper`"


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_task_and_knob_is_described_and_every_level_is_usable(entry):
    assert entry.summary
    assert entry.kind.default_level in entry.kind.levels
    for knob in entry.knobs:
        assert knob.description, f"the knob {knob.name} of {entry.name} has no docstring"
    for level, overrides in entry.kind.levels.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", level)
        assert overrides.keys() <= {knob.name for knob in entry.knobs}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_shows_an_example_of_its_default_level_or_says_that_it_cannot(entry):
    example = entry.example(entry.kind.default_level)
    assert example is None or (example.text and example.gold and 0 <= example.chance < 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_id_on_a_page_is_rebuilt(page):
    for example_id in ids_in(page.read_text(encoding="utf-8")):
        _, example = rebuild(example_id)
        assert str(example.id) == example_id


def test_the_readme_shows_an_example():
    assert list(ids_in((ROOT / "README.md").read_text(encoding="utf-8")))


def test_files_for_the_repository_s_host_are_whole_and_name_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(form.read_text(encoding="utf-8")), form.name
