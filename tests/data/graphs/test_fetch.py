import hashlib
import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssl4rl.data.graphs import GRAPH, store
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.taglas_raw import RAW
from ssl4rl.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_from_a_folder(samples: Path, home: Path) -> None:
    for name in RAW:
        graph = fetch(name, samples)
        assert GRAPH.load(name).fingerprint == graph.fingerprint
    manifest = store.read_manifest("cora")
    assert manifest is not None
    assert manifest["origin"]["folder"] == str(samples)
    expected = hashlib.sha256((samples / "Cora" / "cora.pt").read_bytes()).hexdigest()
    assert manifest["origin"]["sha256"]["cora.pt"] == expected


def test_names(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'coro'; did you mean cora\?"):
        fetch("coro", tmp_path)
    with pytest.raises(UserError, match="citations needs no fetching"):
        fetch("citations")


def test_missing_empty_and_foreign_files(samples: Path, home: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"Cora/cora\.pt is missing; the folder must hold Cora/cora\.pt, Cora/cora_node"
    ):
        fetch("cora", tmp_path)
    with pytest.raises(UserError, match=r"did you mean --from .*\?"):
        fetch("cora", samples / "Cora")
    shutil.copytree(samples / "wikics", tmp_path / "wikics")
    (tmp_path / "wikics" / "metadata.json").write_text("[]")
    with pytest.raises(UserError, match="are not in the format of TAGLAS's wikics"):
        fetch("wikics", tmp_path)
    (tmp_path / "wikics" / "metadata.json").write_text("{")
    with pytest.raises(UserError, match=r"metadata\.json is not valid JSON"):
        fetch("wikics", tmp_path)
    (tmp_path / "wikics" / "metadata.json").write_text("")
    with pytest.raises(UserError, match=r"metadata\.json is empty"):
        fetch("wikics", tmp_path)
    assert store.read_manifest("wikics") is None


class Hub:
    """A stand-in for the hub that serves the sample files and states their checksums."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, Any]] = []
        self.wrong: str | None = None

    def dataset_info(self, repo: str, *, revision: str | None, files_metadata: bool, timeout: float) -> SimpleNamespace:
        self.requests.append((repo, revision))
        siblings = []
        for path in sorted(self.folder.rglob("*.*")):
            name, content = str(path.relative_to(self.folder)), path.read_bytes()
            if name == self.wrong:
                content += b"!"
            sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            lfs = SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()) if path.suffix == ".pt" else None
            siblings.append(SimpleNamespace(rfilename=name, lfs=lfs, blob_id="pointer" if lfs else sha1))
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def download(self, repo: str, name: str, *, repo_type: str, revision: str) -> str:
        self.requests.append((name, revision))
        return str(self.folder / name)


@pytest.fixture
def hub(samples: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(samples)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub.download)
    return hub


def test_a_download_is_pinned_to_one_commit_and_recorded(hub: Hub) -> None:
    graph = fetch("cora")
    repository = "WFRaain/TAG_datasets"
    assert hub.requests == [(repository, None), ("Cora/cora.pt", COMMIT), ("Cora/cora_node.json", COMMIT)]
    manifest = store.read_manifest("cora")
    assert manifest is not None
    assert manifest["origin"]["repository"] == repository
    assert manifest["origin"]["revision"] == COMMIT
    assert sorted(manifest["origin"]["sha256"]) == ["cora.pt", "cora_node.json"]
    assert GRAPH.load("cora").fingerprint == graph.fingerprint


def test_a_revision_can_be_chosen(hub: Hub) -> None:
    fetch("cora", revision="v1")
    assert hub.requests[0] == ("WFRaain/TAG_datasets", "v1")
    assert hub.requests[1] == ("Cora/cora.pt", COMMIT)


@pytest.mark.parametrize("file", ["Cora/cora.pt", "Cora/cora_node.json"])
def test_a_checksum_that_differs_is_an_error(file: str, hub: Hub) -> None:
    hub.wrong = file
    with pytest.raises(UserError, match=r"does not match the hub's checksum; delete it and fetch again"):
        fetch("cora")
    assert store.read_manifest("cora") is None


def test_a_file_that_the_hub_lacks_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hub.folder = tmp_path / "empty"
    with pytest.raises(UserError, match=r"has no file Cora/cora\.pt at revision 0123"):
        fetch("cora")


def test_an_offline_machine_gets_its_error_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of this machine refuses connections at once, as if offline, whether or not there is a network.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(
        UserError, match=r"cannot download .*; if you have its files, give their folder with --from FOLDER"
    ) as raised:
        fetch("cora")
    assert time.monotonic() - start < 20
    assert "\n" not in str(raised.value)


def test_the_hubs_offline_switch_is_one_clear_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="--from FOLDER"):
        fetch("cora")


def test_fetching_again_repairs_a_changed_store(samples: Path, home: Path) -> None:
    fetch("cora", samples)
    path = store.graph_folder("cora") / "graph.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "node_meaning": "a pizza"}))
    with pytest.raises(UserError, match="ssl4rl data fetch cora"):
        GRAPH.load("cora")
    fetch("cora", samples)
    assert GRAPH.load("cora").node_meaning == "a paper"


def test_real_files_go_through_the_store(real_data: Path, home: Path) -> None:
    graph = fetch("cora", real_data / "taglas")
    assert GRAPH.load("cora").fingerprint == graph.fingerprint
