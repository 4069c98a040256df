"""The documentation builds without a warning, with every generated page, and needs nothing from elsewhere."""

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_generated_pages_are_there(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    assert "make quickstart" in start and 'href="training/' in start
    graph, vision = (
        (site / "gallery" / name / "index.html").read_text(encoding="utf-8") for name in ("graph", "vision")
    )
    assert all(f'id="{name}' in graph for name in ("link", "neighbor", "attribute", "cloze"))
    assert "does not carry" in graph and "contrastive-medium.png" in vision
    assert (site / "gallery" / "contrastive-medium.png").stat().st_size > 1000
    api = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert "ssl4rl.tasks.Task.example" in api and ":func:" not in api and "&gt;&gt;&gt; " in re.sub("<[^>]+>", "", api)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="?(https?:[^" >]+)')
    found = {url for page in site.rglob("*.html") for url in loaded.findall(page.read_text(encoding="utf-8"))}
    assert not found
