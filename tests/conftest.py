"""Fixtures that many tests share."""

import base64
import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from ssl4rl import registry
from ssl4rl.graph.graph import TextAttributedGraph

# How long an example takes says more about what else runs on the machine than about the code.
settings.register_profile("ssl4rl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ssl4rl")

# Two processes share the tests: each with a thread of its own, which torch reads when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REGISTRIES = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]

REAL_DATA = Path(os.environ.get("SSL4RL_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("real data is not here (SSL4RL_TEST_DATA)")
    return REAL_DATA


@pytest.fixture(autouse=True)
def no_preload(monkeypatch):
    """vLLM sets it for its own processes, and other tests' would print a complaint where the path has a space."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)


@pytest.fixture(autouse=True)
def short_check(request, monkeypatch):
    """What training looks at before its first step takes seconds; the tests of the audit alone take all of it."""
    from ssl4rl.audit import quick

    if "audit" not in request.path.parts:
        monkeypatch.setattr(quick, "MOST", quick.FEWEST)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's datasets."""
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """What a test registers is gone after it."""
    for each in REGISTRIES:
        monkeypatch.setattr(each, "_loaded", dict(each._loaded))


@pytest.fixture
def no_room():
    """A context in which no file can grow beyond 10,000 bytes: as on a full disk, the system refuses the rest."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def house() -> TextAttributedGraph:
    """A square 0-1-2-3 with a roof 4 on 0 and 1.

          4
         / \\
        0 - 1
        |   |
        3 - 2
    """
    edges = np.array([[0, 1, 2, 3, 4, 4], [1, 2, 3, 0, 0, 1]])
    texts = ["ground left", "ground right", "cellar right", "cellar left", "roof"]
    return TextAttributedGraph.from_edges("house", texts, edges)


@pytest.fixture
def kinship() -> TextAttributedGraph:
    """Five people; 0 is parent of 1 and 2, 1 of 3, 2 of 4; 0 also teaches 1, and 1 and 2 are siblings."""
    triples = np.array([[0, 1, 0], [0, 2, 0], [0, 1, 1], [1, 3, 0], [2, 4, 0], [1, 2, 2]])
    return TextAttributedGraph.from_edges(
        "kinship",
        ["Ada", "Bea", "Carl", "Dora", "Emil"],
        triples[:, :2].T,
        directed=True,
        relations=triples[:, 2],
        relation_names=["parent of", "teacher of", "sibling of"],
        edge_splits={"train": np.arange(6), "val": np.array([], dtype=int), "test": np.array([], dtype=int)},
    )


@pytest.fixture
def question_table(tmp_path):
    """Writes a benchmark's TSV from rows that name what they differ in; pictures are squares of one colour."""

    def write(*rows, name="made_up.tsv", columns=None):
        png = io.BytesIO()
        table = []
        for place, row in enumerate(rows):
            png.seek(0)
            Image.new("RGB", (40, 30), (place * 20 % 256, 90, 160)).save(png, "PNG")
            usual = {"index": place + 1, "question": f"question {place + 1}?", "hint": "", "A": "yes", "B": "no"}
            usual |= {"C": "", "D": "", "answer": "A", "category": "ocr", "l2-category": "", "split": "dev"}
            usual["image"] = base64.b64encode(png.getvalue()).decode()
            # A rotated copy asks the same about the same image.
            index = str(row.get("index", ""))
            copied = str(int(index) % 1_000_000) if index.isdecimal() and 7 <= len(index) <= 18 else None
            for other in table:
                if str(other["index"]) == copied:
                    usual |= {name: other[name] for name in ("question", "hint", "image")}
            table.append(usual | row)
        header = columns or list(table[0])
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header, delimiter="\t", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(table)
        return path

    return write
