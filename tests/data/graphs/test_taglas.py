import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssl4rl.data.graphs.taglas_raw import RAW
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph


def parse(folder: Path, name: str) -> TextAttributedGraph:
    return RAW[name].parse(folder / RAW[name].folder)


def sizes(parts: dict[str, np.ndarray]) -> list[int]:
    return [len(parts[split]) for split in ("train", "val", "test")]


def test_papers(samples: Path) -> None:
    graph = parse(samples, "cora")
    assert graph.num_nodes == 40
    assert not graph.directed
    assert graph.counts == {"edges": 2 * graph.num_edges, "self_loops": 0, "duplicates": graph.num_edges}
    assert graph.label_names == ["Rule Learning", "Neural Networks", "Theory"]
    # The descriptions are in another order: they are matched by name.
    assert graph.label_descriptions[1] == "papers about neural_networks"
    assert graph.labels is not None and graph.labels[:4].tolist() == [0, 1, 2, 0]
    assert sizes(graph.node_splits) == [12, 8, 20]
    assert graph.node_splits["val"].tolist() == list(range(12, 20))  # column 0 of the masks
    assert graph.texts[3].endswith('We call it "quoted" & spaced out.')
    assert " : " not in "".join(graph.texts)
    assert (graph.node_meaning, graph.edge_meaning) == ("a paper", "one paper cites the other")


def test_pubmed_classes_have_their_short_names(samples: Path) -> None:
    graph = parse(samples, "pubmed")
    assert graph.label_names == ["Experimental", "Type 1", "Type 2"]
    assert graph.label_descriptions == ["about Experimental", "about Type 1", "about Type 2"]


def test_wikics_counts_pairs_with_self_loops(samples: Path) -> None:
    graph = parse(samples, "wikics")
    assert graph.counts["edges"] == graph.num_edges + 1
    assert graph.counts["self_loops"] == 1
    assert graph.texts[2].startswith("Article 2. ")
    assert graph.label_descriptions[0] == "articles on computational linguistics"
    assert sizes(graph.node_splits) == [12, 8, 20]


def test_products_classes_are_not_shifted_by_the_nameless_one(samples: Path) -> None:
    graph = parse(samples, "products")
    assert graph.labels is not None
    assert len(graph.label_names) == 47
    assert graph.label_names[23:26] == ["Category 23", "label 25", "Category 25"]
    assert graph.label_descriptions[23:26] == ["Goods of Category 23", "", "Goods of Category 25"]
    nameless = np.flatnonzero(graph.labels == 24)
    assert len(nameless) > 0
    in_splits = np.concatenate(list(graph.node_splits.values()))
    assert not np.isin(nameless, in_splits).any()
    assert len(in_splits) == 40 - len(nameless)
    assert graph.texts[1].startswith('Product 1 & case, 8". ')
    assert graph.counts["edges"] == 2 * graph.num_edges


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("adjacency", ["csr", "edge_index"])
def test_products_adjacency_is_the_same_in_every_form(
    adjacency: str, samples: Path, writer: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "products").mkdir()
    writer.write_products(tmp_path / "products", adjacency)
    assert parse(tmp_path, "products").fingerprint == parse(samples, "products").fingerprint


def test_freebase(samples: Path) -> None:
    graph = parse(samples, "fb15k237")
    assert graph.directed
    assert graph.node_ids is not None and graph.relations is not None
    by_id = dict(zip(graph.node_ids, graph.texts, strict=True))
    assert by_id["/m/0004"] == "Springfield: place number 4"
    assert by_id["/m/0005"] == "Springfield: place number 5"  # same label, another entity
    assert by_id["/m/0007"] == "Place 7: also called Nr. 7"
    assert by_id["/m/0008"] == ""
    assert by_id["/m/0039"] == ""  # only in a triple
    assert graph.counts["self_loops"] == 2
    given = [graph.counts[f"edges_{split}"] for split in ("train", "val", "test")]
    assert sum(given) == graph.counts["edges"] == graph.num_edges + 2
    assert sizes(graph.edge_splits) == [given[0] - 1, given[1], given[2] - 1]
    assert len(set(graph.relation_names)) == 5


def test_wordnet(samples: Path) -> None:
    graph = parse(samples, "wn18rr")
    assert graph.node_ids is not None and graph.relations is not None
    assert graph.relation_names == ["hypernym", "derivationally related form", "has part"]
    assert graph.texts[2].startswith("word 2: meaning number 2, ")
    assert graph.texts[2].endswith(" / a second sense with this number")
    first = (samples / "WN18RR" / "train.txt").read_text().split("\n")[0].split("\t")
    source, target = graph.edge_index[:, 0]
    assert first[::2] == [graph.node_ids[source], graph.node_ids[target]]


def test_no_torch_geometric_is_needed(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_geometric", None)
    assert parse(samples, "cora").num_nodes == 40


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1/0",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_other_classes_is_refused(tmp_path: Path) -> None:
    torch.save({"edge_index": Malicious()}, tmp_path / "cora.pt")
    with pytest.raises(UserError, match=r"cora\.pt is not a PyG Data file that can be read safely"):
        RAW["cora"].parse(tmp_path)
    (tmp_path / "cora.pt").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(UserError, match="read safely"):
        RAW["cora"].parse(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_broken_pt_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cora.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"cora\.pt"):
        RAW["cora"].parse(tmp_path)


def test_a_triple_with_missing_columns_is_named(samples: Path, tmp_path: Path) -> None:
    for file in RAW["wn18rr"].files:
        (tmp_path / file).write_bytes((samples / "WN18RR" / file).read_bytes())
    with (tmp_path / "valid.txt").open("a") as file:
        file.write("a\tb\n")
    with pytest.raises(UserError, match=r"valid\.txt, row 7: expected 3 tab-separated columns, got 2"):
        RAW["wn18rr"].parse(tmp_path)


@pytest.mark.parametrize(
    ("name", "nodes", "edges", "classes", "relations"),
    [("cora", 2708, 10556, 7, 0), ("fb15k237", 14541, 310116, 0, 237), ("wn18rr", 40943, 93003, 0, 11)],
)
def test_real_files_have_the_canonical_counts(
    name: str, nodes: int, edges: int, classes: int, relations: int, real_data: Path
) -> None:
    graph = parse(real_data / "taglas", name)
    assert (graph.num_nodes, graph.counts["edges"]) == (nodes, edges)
    assert (len(graph.label_names), len(graph.relation_names)) == (classes, relations)
    assert len(set(graph.relation_names)) == relations


def test_real_splits(real_data: Path) -> None:
    assert sizes(parse(real_data / "taglas", "cora").node_splits) == [140, 500, 2068]
    graph = parse(real_data / "taglas", "wn18rr")
    assert [graph.counts[f"edges_{split}"] for split in ("train", "val", "test")] == [86835, 3034, 3134]
    assert graph.num_edges + graph.counts["self_loops"] == 93003
