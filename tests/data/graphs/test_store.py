import dataclasses
import json
import mmap
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from ssl4rl.data.graphs import GRAPH, opened, store
from ssl4rl.data.graphs.citations import citation_graph
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import edge_split
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.graph.view import edge_view


def small(name: str = "small") -> TextAttributedGraph:
    return TextAttributedGraph.from_edges(
        name,
        ["one", "zwei äöü 🚀", "line\u2028separator", ""],
        np.array([[0, 1, 2, 3, 3], [1, 2, 0, 0, 3]]),
        directed=True,
        relations=np.array([0, 1, 0, 1, 1]),
        relation_names=["likes", "knows"],
        edge_texts=["a", "b", "c", "d", "e"],
        edge_splits={"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3, 4])},
        node_ids=["a", "b", "c", "d"],
        labels=np.array([0, 1, -1, 0]),
        label_names=["x", "y"],
        label_descriptions=["an x", "a y"],
        node_splits={"train": np.array([0]), "val": np.array([1]), "test": np.array([], dtype=np.int64)},
        node_meaning="a person",
        edge_meaning="they met",
    )


def file_of(folder: Path, name: str, version: int = 1) -> Path:
    return folder / name if name == "graph.json" else folder / str(version) / name


def test_a_graph_comes_back_as_it_was(home: Path) -> None:
    graph = small()
    store.write_graph(graph, {"folder": "somewhere"})
    back = store.read_graph("small")
    assert back.fingerprint == graph.fingerprint
    assert list(back.texts) == graph.texts and back.texts[-3] == graph.texts[1] and back.texts[1:3] == graph.texts[1:3]
    assert list(back.node_ids or ()) == graph.node_ids and list(back.edge_texts or ()) == graph.edge_texts
    assert back.has_text.tolist() == graph.has_text.tolist() == [True, True, True, False]
    assert back.counts == graph.counts
    assert {split: part.tolist() for split, part in back.edge_splits.items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }
    manifest = store.read_manifest("small")
    assert manifest is not None and manifest["origin"] == {"folder": "somewhere"}
    assert sorted(path.name for path in (home / "graphs").iterdir()) == ["small"]  # no temporary folder stays


def test_a_graph_without_ids_labels_and_relations_comes_back(home: Path) -> None:
    graph = TextAttributedGraph.from_edges("plain", ["a", "b"], np.array([[0], [1]]))
    store.write_graph(graph, {})
    back = store.read_graph("plain")
    assert back.fingerprint == graph.fingerprint
    assert back.node_ids is None and back.labels is None and back.relations is None and back.edge_texts is None


def test_writing_again_replaces(home: Path) -> None:
    store.write_graph(small(), {})
    store.write_graph(TextAttributedGraph.from_edges("small", ["a", "b"], np.array([[0], [1]])), {})
    assert store.read_graph("small").num_nodes == 2


def test_a_graph_that_was_not_fetched_says_how(home: Path) -> None:
    with pytest.raises(UserError, match=r"cora is not here yet: run `ssl4rl data fetch cora` .*--from FOLDER"):
        store.read_graph("cora")


@pytest.mark.parametrize("file", ["texts.bin", "edge_texts.bin", "graph.json"])
def test_changed_content_is_noticed(file: str, home: Path) -> None:
    path = file_of(store.write_graph(small(), {}), file)
    path.write_text(path.read_text().replace("one", "two").replace("abc", "abz").replace("knows", "hates"))
    with pytest.raises(UserError, match=r"small has changed since it was written.*ssl4rl data fetch small"):
        store.read_graph("small")


@pytest.mark.parametrize("file", ["texts.bin", "texts.npy", "visible_edges.npy", "graph.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff"])
def test_broken_files_are_one_clear_error(file: str, content: bytes, home: Path) -> None:
    file_of(store.write_graph(small(), {}), file).write_bytes(content)
    with pytest.raises(UserError, match=r"(damaged|has changed).*ssl4rl data fetch small"):
        store.read_graph("small")


def test_a_missing_file_is_one_clear_error(home: Path) -> None:
    file_of(store.write_graph(small(), {}), "edge_index.npy").unlink()
    with pytest.raises(UserError, match="damaged"):
        store.read_graph("small")


def test_another_format_is_named(home: Path) -> None:
    path = store.write_graph(small(), {}) / "graph.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(UserError, match=r"format 99, but this version reads \d+: run `ssl4rl data fetch small`"):
        store.read_graph("small")


def test_pickled_arrays_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(store.write_graph(small(), {}), "edge_index.npy")
    np.save(path, np.array([object()], dtype=object), allow_pickle=True)
    monkeypatch.setattr(store, "_intact", lambda *_: True)
    with pytest.raises(UserError, match="damaged"):
        store.read_graph("small")


def test_a_path_among_the_files_is_refused(home: Path) -> None:
    path = store.write_graph(small(), {}) / "graph.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["../outside.npy"] = manifest["files"]["labels.npy"]
    manifest["check"] = store._checksum(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="has changed"):
        store.read_graph("small")


def prompts(graph: TextAttributedGraph, indices: range) -> list[str]:
    tasks = [kind(graph, level=level) for kind in (Attribute, Link, Neighbor) for level in ("medium", "hard")]
    return [task.example(index).id for task in tasks for index in indices]


def test_examples_are_the_same_from_the_store(home: Path) -> None:
    graph = citation_graph(400)
    back = store.open_folder(store.write_graph(graph, {}))
    assert back.stored is not None and back.stored.view is not None
    assert np.shares_memory(back.stored.view.visible.neighbors, edge_view(back).visible.neighbors)
    assert prompts(back, range(5)) == prompts(graph, range(5))
    assert {split: part.tolist() for split, part in edge_split(back).items()} == {
        split: part.tolist() for split, part in edge_split(graph).items()
    }


def test_a_changed_copy_forgets_what_was_stored(home: Path) -> None:
    back = store.open_folder(store.write_graph(citation_graph(400), {}))
    changed = dataclasses.replace(back, edge_index=back.edge_index[:, :-1])
    assert changed.fingerprint != back.fingerprint
    assert edge_view(changed).full.indptr[-1] == edge_view(back).full.indptr[-1] - 2


def test_a_folder_of_its_own_is_a_dataset(tmp_path: Path) -> None:
    folder = store.write_graph(citation_graph(400), {}, tmp_path / "mine")
    assert GRAPH.load(str(folder)).num_nodes == 400
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="other exists and is not a converted graph"):
        store.write_graph(small(), {}, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    assert GRAPH.load(str(store.write_graph(small(), {}, tmp_path / "empty"))).name == "small"


def test_other_processes_get_the_same_examples(tmp_path: Path) -> None:
    graph = store.open_folder(store.write_graph(citation_graph(400), {}, tmp_path / "mine"))
    assert len(pickle.dumps(graph)) < 1000
    task = Link(graph)
    alone = [task.example(index).id for index in range(40)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert [example.id for example in pool.map(task.example, range(40), chunksize=5)] == alone


def test_a_large_graph_is_not_read_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.write_graph(citation_graph(400), {})
    monkeypatch.setattr(opened, "SMALL", 0)
    monkeypatch.setattr(store, "_sha256", lambda path: pytest.fail(f"read {path}"))
    monkeypatch.setattr(opened, "ROOM", -(1 << 40))  # every check releases the pages
    graph = store.open_folder(folder)
    assert edge_view(graph).visible.on_visit is not None
    assert prompts(graph, range(3)) == prompts(citation_graph(400), range(3))
    with file_of(folder, "texts.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="has changed"):
        store.open_folder(folder)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux reports resident memory")
def test_mapped_pages_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(bytes(32 << 20))
    monkeypatch.setattr(opened, "ROOM", 8 << 20)
    pages = opened.Pages()
    with (tmp_path / "file").open("rb") as file:
        pages.maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    before = pages._resident()
    assert not any(pages.maps[0][place] for place in range(0, 32 << 20, 4096))
    full = pages._resident()
    assert full - before > 30 << 20
    pages.visited(opened.CHECK_EVERY - 1)
    assert pages._resident() > full - (1 << 20)
    pages.visited(1)
    assert pages._resident() < before + (2 << 20)
    assert pages.maps[0][4096] == 0


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*; set SSL4RL_HOME"):
        store.write_graph(small(), {})


def test_a_home_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(UserError, match=r"cannot write .*Permission denied; set SSL4RL_HOME"):
        store.write_graph(small(), {})


def test_a_conversion_that_was_killed_before_its_last_file_does_not_block_the_next(tmp_path):
    folder = tmp_path / "g"
    store.convert("citations", folder)
    (folder / "graph.json").unlink()
    store.convert("citations", folder)
    assert store.is_converted(folder) and store.open_folder(folder).num_nodes > 0


def test_a_graph_json_of_something_else_is_no_converted_graph(tmp_path):
    mine = tmp_path / "mine"
    (mine / "2023").mkdir(parents=True)
    (mine / "2023" / "thesis.txt").write_text("years of work")
    (mine / "graph.json").write_text('{"nodes": [], "links": []}')
    with pytest.raises(UserError, match="exists and is not a converted graph"):
        store.convert("citations", mine)
    assert (mine / "2023" / "thesis.txt").is_file() and "links" in (mine / "graph.json").read_text()
    # Of its own versions alone a conversion removes the older ones.
    for _ in range(3):
        store.convert("citations", tmp_path / "ours")
        (tmp_path / "ours" / "2023").mkdir(exist_ok=True)
    assert (tmp_path / "ours" / "2023").is_dir()
