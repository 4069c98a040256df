"""The pages must not fall behind the code."""

from pathlib import Path

import pytest

from ssl4rl.registry import BENCHMARKS, TASKS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "name"),
    [("tasks", name) for name in ("attribute", "neighbor", "link")]
    + [("vision", name) for name in ("rotation", "jigsaw", "contrastive", "position")],
)
def test_every_level_and_knob_is_on_the_page_of_tasks(page, name):
    page = (ROOT / "docs" / f"{page}.md").read_text()
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    kind = TASKS.get(name)
    for level in kind.levels:
        assert f"`{level}`" in section
    shared = page.split("\n## ")[0]
    for knob, field in kind.knobs_type.model_fields.items():
        assert f"| `{knob}` |" in section + shared
        assert field.description


def test_every_benchmark_and_level_is_on_the_page_of_evaluation():
    page = (ROOT / "docs" / "evaluation.md").read_text()
    for name in ("node", "link", "relation", "choice", "mmbench", "seedbench", "imagenet"):
        assert f"| `{name}` |" in page
        kind = BENCHMARKS.get(name)
        for level in kind.levels:
            assert f"`{level}`" in page
        for knob in kind.knobs_type.model_fields if kind.side == "vision" else ():
            assert f"| `{knob}` |" in page


def test_links_in_the_readme_lead_somewhere():
    import re

    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
