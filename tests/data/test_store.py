import json
from pathlib import Path

import numpy as np
import pytest

from ssl4rl.data import store
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph


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


def test_a_graph_comes_back_as_it_was(home: Path) -> None:
    graph = small()
    store.write_graph(graph, {"folder": "somewhere"})
    back = store.read_graph("small")
    assert back.fingerprint == graph.fingerprint
    assert back.texts == graph.texts
    assert back.counts == graph.counts
    assert {split: part.tolist() for split, part in back.edge_splits.items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }
    about = store.read_about("small")
    assert about is not None and about["origin"] == {"folder": "somewhere"}
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


@pytest.mark.parametrize("file", ["nodes.jsonl", "edges.jsonl", "graph.json"])
def test_changed_content_is_noticed(file: str, home: Path) -> None:
    path = store.write_graph(small(), {}) / file
    path.write_text(path.read_text().replace("one", "two").replace('"b"', '"z"').replace("knows", "hates"))
    with pytest.raises(UserError, match=r"small was changed after it was fetched.*ssl4rl data fetch small"):
        store.read_graph("small")


@pytest.mark.parametrize("file", ["nodes.jsonl", "arrays.npz", "graph.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff"])
def test_broken_files_are_one_clear_error(file: str, content: bytes, home: Path) -> None:
    (store.write_graph(small(), {}) / file).write_bytes(content)
    with pytest.raises(UserError, match=r"(damaged|changed after).*ssl4rl data fetch small"):
        store.read_graph("small")


def test_a_missing_file_is_one_clear_error(home: Path) -> None:
    (store.write_graph(small(), {}) / "arrays.npz").unlink()
    with pytest.raises(UserError, match="damaged"):
        store.read_graph("small")


def test_another_format_is_named(home: Path) -> None:
    path = store.write_graph(small(), {}) / "graph.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(UserError, match=r"format 99, this version reads \d+: run `ssl4rl data fetch small`"):
        store.read_graph("small")


def test_pickled_arrays_are_refused(home: Path) -> None:
    path = store.write_graph(small(), {}) / "arrays.npz"
    with path.open("wb") as file:
        np.savez(file, edge_index=np.array([object()], dtype=object))
    with pytest.raises(UserError, match="damaged"):
        store.read_graph("small")


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
