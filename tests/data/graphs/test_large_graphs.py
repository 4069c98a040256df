"""What is long is computed and read part by part, or once for all processes, and comes out as if it were not."""

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl4rl.data.graphs import GRAPH, opened, store
from ssl4rl.data.graphs.citations import citation_graph
from ssl4rl.data.graphs.folder import load_folder
from ssl4rl.data.graphs.ids import Ids
from ssl4rl.errors import UserError
from ssl4rl.graph import adjacency, arrays
from ssl4rl.graph.formats import Form
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import sides
from ssl4rl.graph.splits import edge_split, full_adjacency, pair_numbers
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.graph.text import write_subgraph
from ssl4rl.graph.view import build_view, edge_view, inductive_view
from ssl4rl.rng import seeded_rng
from ssl4rl.source import SPLITS

RELATIONS = ("likes", "knows", "met")


def random_graph(
    seed: int, *, directed: bool = False, relations: bool = False, splits: bool = False
) -> TextAttributedGraph:
    rng = np.random.default_rng(seed)
    ends = rng.integers(60, size=(2, 900))
    part = rng.permutation(900)
    return TextAttributedGraph.from_edges(
        "random",
        [f"text {node}" for node in range(60)],
        ends,
        directed=directed,
        relations=rng.integers(3, size=900) if relations else None,
        relation_names=RELATIONS if relations else (),
        edge_texts=[f"edge {edge}" for edge in range(900)] if relations else None,
        edge_splits={"train": part[:600], "val": part[600:700], "test": part[700:]} if splits else None,
    )


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of arrays so small that every graph has many."""
    monkeypatch.setattr(arrays, "BLOCK", 7)
    monkeypatch.setattr(arrays, "BLOCK_OF_TEXTS", 5)
    monkeypatch.setattr(arrays, "BLOCK_OF_NUMBERS", 3)
    monkeypatch.setattr(adjacency, "ENTRIES_AT_ONCE", 40)


@pytest.mark.parametrize("kind", [{}, {"directed": True}, {"relations": True}, {"directed": True, "splits": True}])
def test_parts_make_the_same_whole(kind: dict[str, bool], small_parts: None, tmp_path: Path) -> None:
    in_parts = random_graph(1, **kind)
    view = build_view(in_parts, full_adjacency(in_parts), arrays.in_folder(tmp_path))
    edges = np.arange(0, in_parts.num_edges, 3)
    some = adjacency.Adjacency.build(in_parts.num_nodes, in_parts.edge_index, edges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BLOCK", 1 << 22)
        patch.setattr(adjacency, "ENTRIES_AT_ONCE", 1 << 24)
        whole = random_graph(1, **kind)
        expected, expected_some = edge_view(whole), adjacency.Adjacency.build(60, whole.edge_index, edges)
    assert in_parts.fingerprint == whole.fingerprint and in_parts.counts == whole.counts
    pairs = [(view.full, expected.full), (view.visible, expected.visible), (some, expected_some)]
    for name in ("indptr", "neighbors", "edges"):
        assert all(getattr(one, name).tolist() == getattr(other, name).tolist() for one, other in pairs)
    assert {split: view.asked[split].tolist() for split in SPLITS} == {
        split: expected.asked[split].tolist() for split in SPLITS
    }
    assert view.dropped_train == expected.dropped_train


def test_pairs_are_shuffled_as_a_permutation_is() -> None:
    order = np.arange(1000, dtype=np.int32)
    seeded_rng("edge split").shuffle(order)
    assert order.tolist() == seeded_rng("edge split").permutation(1000).tolist()


def test_edge_splits_are_as_they_always_were() -> None:
    graph = random_graph(2, relations=True)
    low, high = graph.edge_index.min(axis=0), graph.edge_index.max(axis=0)
    _, pair = np.unique(low * graph.num_nodes + high, return_inverse=True)
    numbers, count = pair_numbers(full_adjacency(graph))
    assert numbers.tolist() == pair.tolist() and count == pair.max() + 1
    order = seeded_rng("edge split", graph.fingerprint).permutation(count)
    test = order[round(count * 0.05) : round(count * 0.05) + round(count * 0.10)]
    assert edge_split(graph)["test"].tolist() == np.flatnonzero(np.isin(pair, test)).tolist()


def test_sides_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ends = np.stack([rng.integers(30, size=300), 30 + rng.integers(30, size=300)])
    graph = TextAttributedGraph.from_edges("shop", ["text"] * 60, ends)
    whole = sides(graph)
    monkeypatch.setattr("ssl4rl.graph.kinds.BLOCK", 8)
    in_parts = sides(graph)
    assert whole is not None and in_parts is not None and in_parts.tolist() == whole.tolist()
    odd = TextAttributedGraph.from_edges("odd", ["text"] * 60, np.concatenate([ends, [[0], [1]]], axis=1))
    assert sides(odd) is None


def write_tables(folder: Path, kind: str) -> Path:
    folder.mkdir()
    nodes = [(f"n{node}", f"tëxt {node} \u2028 &amp;", "xyz"[node % 3], SPLITS[node % 3]) for node in range(50)]
    rng = np.random.default_rng(0)
    edges = [(f"n{a}", f"n{b}", RELATIONS[a % 3], f"met {a}") for a, b in rng.integers(50, size=(400, 2)).tolist()]
    tables = (
        ("nodes", ("id", "text", "label", "split"), nodes),
        ("edges", ("source", "target", "relation", "text"), edges),
    )
    for stem, columns, rows in tables:
        if kind == "csv":
            with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([columns, *rows])
        else:
            pyarrow = pytest.importorskip("pyarrow")
            table = pyarrow.table(dict(zip(columns, zip(*rows, strict=True), strict=True)))
            pytest.importorskip("pyarrow.parquet").write_table(table, folder / f"{stem}.parquet", row_group_size=17)
    return folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_conversion_in_parts_is_what_is_read_at_once(kind: str, small_parts: None, tmp_path: Path) -> None:
    graph = load_folder(write_tables(tmp_path / "people", kind))
    back = store.convert(str(tmp_path / "people"), tmp_path / "fast")
    assert back.fingerprint == graph.fingerprint and back.counts == graph.counts
    assert list(back.texts) == list(graph.texts) and list(back.edge_texts or ()) == list(graph.edge_texts or ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fast", "people"]
    assert [str(Link(back).example(i).id) for i in range(5)] == [str(Link(graph).example(i).id) for i in range(5)]


def test_a_conversion_of_bad_rows_leaves_nothing(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "people", "csv")
    with (folder / "edges.csv").open("a") as file:
        file.write("n1,nobody,likes,\n")
    with pytest.raises(UserError, match="row 402, field target: no node has the id 'nobody'"):
        store.convert(str(folder), tmp_path / "fast")
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_reading_holds_no_more_for_more_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK", 1 << 14)
    monkeypatch.setattr(arrays, "BLOCK_OF_NUMBERS", 1 << 10)
    monkeypatch.setattr(adjacency, "ENTRIES_AT_ONCE", 1 << 14)

    def peak(num_edges: int) -> int:
        folder = tmp_path / str(num_edges)
        folder.mkdir()
        (folder / "nodes.csv").write_text("id,text\n" + "".join(f"{node},words of {node}\n" for node in range(1000)))
        ends = np.random.default_rng(0).integers(1000, size=(num_edges, 2)).tolist()
        (folder / "edges.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in ends))
        del ends
        tracemalloc.start()
        try:
            store.convert(str(folder), tmp_path / f"fast{num_edges}")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)  # what is imported
    # An edge takes 16 bytes as two numbers; a few for each remain, of splits and pairs.
    assert peak(20_000) - peak(8_000) < 12 * 12_000


def test_ids_that_count_take_no_memory() -> None:
    counted, named = Ids(), Ids()
    for node in range(5):
        assert counted.add(str(node)) is None and named.add(f"0{node}") is None
    assert counted._number_of is None
    assert counted.add("3") == 3 and counted.add("x") is None  # which ends the counting
    assert [counted.find(node) for node in ("4", "x", "3.0", "5", "04", "-1", "٣", "")] == [
        4,
        5,
        3,
        None,
        None,
        None,
        None,
        None,
    ]
    assert named.find("3") is None and named.with_zeros("3") == "03"
    again = Ids()
    again.add("0")
    assert [again.find(node) for node in ("0", "0.0", "00", "1", "9" * 5000)] == [0, 0, None, None, None]
    assert again.respelled == 1 and again.with_zeros("0") == "" and again.in_other_case("x") == ""


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "SMALL", 0)
    monkeypatch.setattr(opened, "KEPT_FROM", 0)


def ids(graph: TextAttributedGraph) -> list[str]:
    return [
        str(kind(graph, split=split, level=level).example(index).id)
        for kind in (Attribute, Link, Neighbor)
        for level in ("medium", "hard")
        for split in SPLITS
        for index in range(2)
    ]


def test_what_tasks_compute_is_mapped(
    everything_is_large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = citation_graph(400)
    folder = store.write_graph(graph, {}, tmp_path / "fast")
    assert ids(store.open_folder(folder)) == ids(graph)

    def refuse(self: opened.Shelf, place: Path, computed: object) -> None:
        pytest.fail(f"computed {place.name} again")

    monkeypatch.setattr(opened.Shelf, "_write", refuse)
    assert ids(store.open_folder(folder)) == ids(graph)
    back = store.open_folder(folder)
    for array in (*vars(Link(back).ends).values(), *vars(Attribute(back).population).values(), Neighbor(back).targets):
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert base is not None  # mapped, and no copy of this process's own


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"x"), lambda path: path.unlink()])
def test_what_was_kept_and_is_damaged_is_computed_again(
    spoil: Callable[[Path], object], everything_is_large: None, tmp_path: Path
) -> None:
    graph = citation_graph(400)
    folder = store.write_graph(graph, {}, tmp_path / "fast")
    for path in (folder / "1" / "kept").rglob("n*.npy"):
        spoil(path)
    assert ids(store.open_folder(folder)) == ids(graph)
    assert ids(store.open_folder(folder)) == ids(graph)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    everything_is_large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = citation_graph(400)
    folder = store.write_graph(graph, {}, tmp_path / "fast")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ssl4rl.data.graphs.opened.tempfile.mkdtemp", refuse)
    back = store.open_folder(folder)
    assert inductive_view(back).visible.edges.tolist() == inductive_view(graph).visible.edges.tolist()
    assert not any("inductive" in path.name for path in (folder / "1" / "kept").iterdir())


def test_converting_again_leaves_the_version_that_jobs_read(tmp_path: Path) -> None:
    folder, graph = tmp_path / "fast", citation_graph(400)
    store.write_graph(graph, {}, folder)
    job = store.open_folder(folder)
    store.write_graph(citation_graph(300), {}, folder)
    assert GRAPH.load(str(folder)).num_nodes == 300
    reopen, arguments = job.__reduce_ex__(4)
    assert reopen(*arguments).fingerprint == graph.fingerprint == job.fingerprint  # as a new worker of the job does
    store.write_graph(citation_graph(200), {}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3", "graph.json"]
    with pytest.raises(UserError, match=r"graph\.json is damaged"):
        reopen(*arguments)


def test_a_folder_of_an_older_format_says_how_to_convert_it(tmp_path: Path) -> None:
    folder = store.write_graph(citation_graph(400), {"dataset": "citations"}, tmp_path / "fast")
    manifest = (folder / "graph.json").read_text()
    manifest = manifest.replace(f'"format": {store.FORMAT}', '"format": 2').replace('"folder": "1"', '"none": ""')
    (folder / "graph.json").write_text(manifest)
    with pytest.raises(UserError, match=r"fast has format 2, .*: run `ssl4rl data convert citations .*fast`$"):
        store.open_folder(folder)
    (folder / "edge_index.npy").write_bytes(b"as the files of that format lay")
    (folder / "1").rename(tmp_path / "away")
    store.convert("citations", folder)
    assert store.open_folder(folder).num_nodes > 0 and (folder / "edge_index.npy").exists()
    store.convert("citations", folder)
    assert not (folder / "edge_index.npy").exists()


def test_a_hub_and_an_endless_text_take_bounded_memory() -> None:
    """A node with 100,000 neighbours, whose text has a million characters: an example looks at few of them."""
    number = 200_000
    around = np.stack([np.zeros(number // 2, dtype=np.int64), np.arange(1, number // 2 + 1)])
    others = np.random.default_rng(0).integers(1, number, size=(2, 2 * number))
    texts = ["word " * 200_000, *(f"leaf {node % 977} of branch {node % 991}" for node in range(1, number))]
    graph = TextAttributedGraph.from_edges("hub", texts, np.concatenate([around, others], axis=1))
    for kind, level in ((Link, "medium"), (Link, "hard"), (Neighbor, "medium"), (Neighbor, "paper")):
        task = kind(graph, level=level)
        task.example(0)
        tracemalloc.start()
        try:
            shown = [len("".join(map(str, task.example(index).parts))) for index in range(1, 9)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert max(shown) < 20_000 and peak < 32 << 20, (task, peak)
    text = write_subgraph(graph, Subgraph((0, 1), (0, 1), ()), Form(np.random.default_rng(0)), text_budget=100).text
    assert len(text) < 2000
