import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

WRITER = Path(__file__).parent / "graphs" / "taglas_samples.py"


@pytest.fixture(scope="session")
def writer() -> SimpleNamespace:
    """The script that writes raw files in TAGLAS's layout; it does not know the loader."""
    return SimpleNamespace(**runpy.run_path(str(WRITER)))


@pytest.fixture(scope="session")
def samples(writer: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like the hub repository, with small made-up files."""
    folder = tmp_path_factory.mktemp("hub")
    for name, write in {**writer.FOLDERS, "products": writer.write_products}.items():
        (folder / name).mkdir()
        write(folder / name)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SSL4RL_HOME."""
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
