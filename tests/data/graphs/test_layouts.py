"""Graphs as other tools and papers publish them: .pt files, OGB's and CS-TAG's layouts, GraphML, triples."""

import gzip
import json
import os
import pickle
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData, InMemoryDataset

import ssl4rl
from ssl4rl.build import find_kind
from ssl4rl.data.graphs import GRAPH
from ssl4rl.data.graphs.convert import from_pyg
from ssl4rl.data.graphs.files import FORMATS
from ssl4rl.errors import UserError

EDGES = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
TEXTS = ["zero", "one", "two", "three"]
Y = torch.tensor([1, 0, 1, 0])


def save(path: Path, content: object) -> str:
    torch.save(content, path)
    return str(path)


def sizes(graph) -> dict[str, list[int]]:
    return {split: part.tolist() for split, part in graph.node_splits.items()}


@pytest.mark.parametrize("texts", ["raw_texts", "raw_text", "texts", "text"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"label_names": ["a", "b"]}, ["a", "b"]),
        ({"label_name": ["a", "b", "c"]}, ["a", "b", "c"]),
        ({"label_names": ["b", "a", "b", "a"]}, ["a", "b"]),
        ({"label_texts": ["b", "a", "b", "a"], "label_name": ["A", "B"]}, ["A", "B"]),
        ({"category_names": ["b", "a", "b", "a"], "label_names": ["b", "a", "b", "a"]}, ["a", "b"]),
        ({}, ["class 0", "class 1"]),
    ],
)
def test_names_of_fields_in_the_community(tmp_path: Path, texts: str, names: dict, expected: list[str]) -> None:
    data = Data(edge_index=EDGES, y=Y, **{texts: TEXTS}, **names)
    made = from_pyg(data, "cora")
    read = ssl4rl.load(save(tmp_path / "cora.pt", data))
    folder = tmp_path / "folder"
    folder.mkdir()
    save(folder / "any.pt", data.to_dict())
    for graph in (made, read, ssl4rl.load(str(folder))):
        assert (list(graph.texts), list(graph.label_names)) == (TEXTS, expected)
        assert graph.labels.tolist() == Y.tolist() and not graph.directed and graph.num_edges == 3
    assert made.fingerprint == read.fingerprint and ssl4rl.load(str(folder)).name == "folder"


def test_names_per_node_that_disagree_with_y() -> None:
    data = Data(edge_index=EDGES, y=Y, raw_texts=TEXTS, label_names=["b", "a", "c", "a"])
    with pytest.raises(UserError, match=r"label_names calls class 1 both 'b' and 'c' \(node 2\)"):
        from_pyg(data, "g")


def test_names_per_node_without_y_are_the_classes() -> None:
    graph = from_pyg(Data(edge_index=EDGES, raw_texts=TEXTS, label_text=["b", "a", "b", None]), "g")
    assert (graph.labels.tolist(), graph.label_names) == ([1, 0, 1, -1], ["a", "b"])


@pytest.mark.parametrize(
    "fields",
    [
        {"train_mask": [1, 0, 0, 0], "val_mask": [0, 1, 0, 0], "test_mask": [0, 0, 1, 0]},
        {"train_mask": [1, 0, 0, 0], "valid_mask": [0, 1, 0, 0], "test_mask": [0, 0, 1, 0]},
        {"train_masks": [[1, 0, 0, 0]], "val_masks": [[0, 1, 0, 0]], "test_masks": [[0, 0, 1, 0]]},
        {"train_idx": [0], "valid_idx": [1], "test_idx": [2]},
        {"split_idx": {"train": torch.tensor([0]), "valid": torch.tensor([1]), "test": torch.tensor([2])}},
    ],
)
def test_splits_that_data_bring_are_used(tmp_path: Path, fields: dict) -> None:
    def tensors(value):
        if isinstance(value, dict):
            return value
        if isinstance(value[0], list):
            return [torch.tensor(each, dtype=torch.bool) for each in value]
        return torch.tensor(value)

    given = {key: tensors(value).bool() if key.endswith("mask") else tensors(value) for key, value in fields.items()}
    content = {"edge_index": EDGES, "raw_texts": TEXTS, **given}
    graph = ssl4rl.load(save(tmp_path / "g.pt", content))
    assert sizes(graph) == {"train": [0], "val": [1], "test": [2]}
    facts = GRAPH.summarise(graph).facts
    assert facts["node_splits"] == {"train": 1, "val": 1, "test": 1} and facts["node_splits_from"] == "data"


def test_one_of_several_masks_by_its_number(tmp_path: Path) -> None:
    train = torch.tensor([[1, 0], [0, 1], [0, 0], [0, 0]]).bool()
    val = torch.tensor([[0, 1], [1, 0], [0, 0], [0, 0]]).bool()
    data = Data(edge_index=EDGES, raw_texts=TEXTS, train_mask=train, val_mask=val, test_mask=torch.tensor([0, 0, 1, 1]))
    assert sizes(from_pyg(data, "g")) == {"train": [0], "val": [1], "test": [2, 3]}
    assert sizes(from_pyg(data, "g", mask=1)) == {"train": [1], "val": [0], "test": [2, 3]}
    with pytest.raises(UserError, match="there is no mask 2; they are numbered 0 to 1"):
        from_pyg(data, "g", mask=2)
    (tmp_path / "dataset.yaml").write_text("mask: 1\nnode: a paper\n")
    save(tmp_path / "g.pt", data)
    graph = ssl4rl.load(str(tmp_path))
    assert sizes(graph)["train"] == [1] and graph.node_meaning == "a paper"
    assert "mask 1 of 2" in dict(GRAPH.summarise(graph).rows)["node splits"]


NODES = torch.arange(4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"valid_idx": NODES[:1], "dev_idx": NODES[1:2]}, "valid_idx and dev_idx both mean val; keep one"),
        ({"train_idx": NODES[:1], "train_ids": NODES[1:2]}, "train_idx and train_ids both mean train; keep one"),
        ({"val_mask": NODES == 0, "valid_mask": NODES == 1}, "val_mask and valid_mask both mean val; keep one"),
        ({"train_mask": NODES == 0, "train_masks": [NODES == 1]}, "train_mask and train_masks both mean train"),
        (
            {"split_idx": {"valid": NODES[:1], "Val": NODES[1:2]}},
            r"split_idx\['valid'\] and split_idx\['Val'\] both mean val; keep one",
        ),
        ({"test_idx": NODES[:1], "splits": {"test": NODES[:1]}}, r"test_idx and splits\['test'\] both mean test"),
        (
            {"test_idx": NODES[:1], "test_mask": NODES == 1},
            "test_mask and test_idx both mean test and differ; keep one",
        ),
        ({"split_idx": {"trian": NODES[:1]}}, "split_idx holds 'trian', which is not train, val or test"),
    ],
)
def test_of_two_fields_that_mean_one_split_none_is_passed_over(fields: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ssl4rl.load(save(tmp_path / "g.pt", {"edge_index": EDGES, "raw_texts": TEXTS, **fields}))


def test_lists_of_nodes_beside_masks(tmp_path: Path) -> None:
    content = {"edge_index": EDGES, "raw_texts": TEXTS, "train_mask": NODES == 0, "train_id": [0], "val_idx": [1]}
    graph = ssl4rl.load(save(tmp_path / "g.pt", content | {"split_idx": {"test": [2, 3]}}))
    assert sizes(graph) == {"train": [0], "val": [1], "test": [2, 3]}
    assert graph.reading[0].skipped == {}
    # A mask that is named by its number is used alone; what else bears the names is a field like others.
    differs = Data(**content | {"train_id": [2], "splits": 7})
    assert sizes(from_pyg(differs, "g", mask=0))["train"] == [0]
    unused = Data(edge_index=EDGES, raw_texts=TEXTS, splits=[1, 2])
    assert from_pyg(unused, "g").reading[0].skipped == {"unused fields (splits)": 1}


def test_overlapping_and_unknown_members_of_splits() -> None:
    mask = torch.tensor([True, False, False, False])
    with pytest.raises(UserError, match="node 0 is in train and test; put each node into one split"):
        from_pyg(Data(edge_index=EDGES, raw_texts=TEXTS, train_mask=mask, test_mask=mask), "g")
    with pytest.raises(UserError, match="the nodes of train include 9, but nodes are 0 to 3"):
        from_pyg(Data(edge_index=EDGES, raw_texts=TEXTS, train_idx=torch.tensor([9])), "g")
    with pytest.raises(UserError, match=r"train_mask is \[3\] for 4 nodes"):
        from_pyg(Data(edge_index=EDGES, raw_texts=TEXTS, train_mask=mask[:3]), "g")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edge_index": EDGES.t()}, r"edge_index is \[6, 2\], one edge a row; PyG's is \[2, E\]: transpose it"),
        ({"edge_index": EDGES[0]}, r"edge_index is \[6\]; it must be \[2, E\]"),
        ({"y": torch.tensor([0.5, 0, 0, 0])}, "y is 0.5 at node 0; a class is a whole number"),
        ({"raw_texts": "all in one"}, "raw_texts is a str; it must be a list with a text for each node"),
        ({"edge_index": EDGES + 9}, "edge 0 joins 9 and 10, but nodes are 0 to 3"),
    ],
)
def test_malformed_fields_are_named(fields: dict, message: str, tmp_path: Path) -> None:
    content = {"edge_index": EDGES, "raw_texts": TEXTS, **fields}
    with pytest.raises(UserError, match=message):
        ssl4rl.load(save(tmp_path / "g.pt", content))


def test_texts_that_are_gaps_and_lines() -> None:
    texts = ["a &amp; b\nc", float("nan"), None, "nan"]
    assert list(from_pyg(Data(edge_index=EDGES, raw_texts=texts), "g").texts) == ["a & b c", "", "", ""]


def test_adjacency_is_transposed() -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[1, 2, 3], [0, 1, 2]]), torch.ones(3), (4, 4))
    for adj_t in (sparse, sparse.to_sparse_csr()):
        graph = from_pyg(Data(adj_t=adj_t, raw_texts=TEXTS), "g")
        assert graph.directed and graph.edge_index.tolist() == [[0, 1, 2], [1, 2, 3]]


class Saved(InMemoryDataset):
    pass


def test_what_else_a_pt_may_hold(tmp_path: Path) -> None:
    data = Data(edge_index=EDGES, raw_texts=np.array(TEXTS, dtype=object), y=np.array([1, 0, 1, 0]), x=torch.ones(4, 1))
    expected = from_pyg(data, "g").fingerprint
    for content in (data, (data, None), (data.to_dict(), None, Data), [data], {**data.to_dict(), "y": [1, 0, 1, 0]}):
        assert ssl4rl.load(save(tmp_path / "g.pt", content)).fingerprint == expected
    Saved.save([Data(edge_index=EDGES, y=Y, raw_texts=TEXTS)], str(tmp_path / "g.pt"))
    assert list(ssl4rl.load(str(tmp_path / "g.pt")).texts) == TEXTS
    report = GRAPH.validate(save(tmp_path / "g.pt", data))
    assert report.problems == [] and report.skipped == {"unused fields (x)": 1, "repeated or reversed edges": 3}


def test_nothing_in_a_pt_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    import pandas

    for content, reason in (
        ({"edge_index": EDGES, "raw_texts": Trap()}, "it holds posix.mkdir; save texts"),
        (Data(edge_index=EDGES, raw_texts=pandas.Series(TEXTS)), "it holds pandas"),
        ([1, 2], "holds 2 objects; save the one graph"),
        ("text", "holds a str, not a PyG Data"),
        ([Data(edge_index=EDGES, raw_texts=TEXTS)] * 2, "holds 2 objects"),
    ):
        path = save(tmp_path / "g.pt", content)
        with pytest.raises(UserError, match=reason) as raised:
            ssl4rl.load(path)
        assert "\n" not in str(raised.value) and "g.pt" in str(raised.value)
        report = GRAPH.validate(path)
        assert report.problems == [str(raised.value)]
    (tmp_path / "g.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="can be read safely"):
        ssl4rl.load(path)
    (tmp_path / "g.pt").write_bytes(b"")
    with pytest.raises(UserError, match="can be read safely"):
        ssl4rl.load(path)
    assert not (tmp_path / "sprung").exists()


def hetero() -> HeteroData:
    data = HeteroData()
    data["paper"].raw_texts, data["paper"].y = TEXTS, Y
    data["author"].num_nodes = 2
    data["paper", "cites", "paper"].edge_index = EDGES
    data["paper", "same_venue", "paper"].edge_index = EDGES[:, :1]
    data["author", "writes", "paper"].edge_index = EDGES[:, :2]
    return data


def test_hetero_data_of_one_text_type(tmp_path: Path) -> None:
    path = save(tmp_path / "g.pt", hetero())
    graph = ssl4rl.load(path)
    assert graph.fingerprint == from_pyg(hetero(), "g").fingerprint
    assert (graph.num_nodes, graph.relation_names, graph.num_edges) == (4, ["cites", "same venue"], 7)
    skipped = {"kinds of nodes without texts": 1, "kinds of edges to others": 1}
    assert GRAPH.validate(path).skipped == skipped
    both = hetero()
    both["author"].raw_texts = ["x", "y"]
    with pytest.raises(UserError, match="the kinds paper and author all have texts"):
        from_pyg(both, "g")
    apart = HeteroData()
    apart["paper"].raw_texts = TEXTS
    apart["author", "writes", "paper"].edge_index = EDGES[:, :2]
    with pytest.raises(UserError, match="no edges join two paper nodes; its edges are author writes paper"):
        from_pyg(apart, "g")


def test_a_folder_of_several_graphs(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        save(tmp_path / name, Data(edge_index=EDGES, raw_texts=TEXTS))
    with pytest.raises(UserError, match=r"holds a\.pt and b\.pt; name the file to read"):
        ssl4rl.load(str(tmp_path))
    assert ssl4rl.load(str(tmp_path / "b.pt")).name == "b"


def arxiv(folder: Path, **changed: str) -> Path:
    """A folder in OGB's layout; the tables are gzipped, and titleabs.tsv is beside them."""
    files = {
        "raw/edge.csv": "0,1\n1,2\n2,3\n3,0\n",
        "raw/node-label.csv": "1\n0\n1\nnan\n",
        "raw/node-feat.csv": "0.1\n" * 4,
        "mapping/nodeidx2paperid.csv": "node idx,paper id\n0,90\n1,91\n2,92\n3,93\n",
        "mapping/labelidx2arxivcategeory.csv": "label idx,arxiv category\n0,arxiv cs na\n1,arxiv cs lg\n",
        "split/time/train.csv": "0\n1\n",
        "split/time/valid.csv": "2\n",
        "split/time/test.csv": "3\n",
        "titleabs.tsv": '93\t"Four\tlast\n90\tOne\tfirst "quoted" text\n91\tTwo\tsecond\n77\tOther\tx\n92\tThree\tx\n',
        **changed,
    }
    for name, content in files.items():
        path = folder / (name if name == "titleabs.tsv" else f"{name}.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if name == "titleabs.tsv" else gzip.compress(content.encode()))
    return folder


def test_ogbn_arxiv(tmp_path: Path) -> None:
    folder = arxiv(tmp_path / "ogbn_arxiv")
    assert find_kind(str(folder)).name == "graph"
    graph = ssl4rl.load(str(folder))
    assert list(graph.texts) == ['One. first "quoted" text', "Two. second", "Three. x", '"Four. last']
    assert graph.directed and graph.edge_index.tolist() == [[0, 1, 2, 3], [1, 2, 3, 0]]
    assert (graph.labels.tolist(), graph.label_names) == ([1, 0, 1, -1], ["arxiv cs na", "arxiv cs lg"])
    assert sizes(graph) == {"train": [0, 1], "val": [2], "test": [3]} and graph.node_ids == ["90", "91", "92", "93"]
    report = GRAPH.validate(str(folder))
    assert report.skipped == {
        "texts of papers that are not in the graph": 1,
        "other files (node-feat.csv.gz)": 1,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"raw/edge.csv": "0,1\n1.7,2\n"}, r"edge\.csv\.gz, row 2: '1.7' is not a whole number"),
        ({"raw/edge.csv": "0,1\n1,\n"}, r"edge\.csv\.gz, row 2: '' is not a whole number"),
        ({"raw/node-label.csv": "1\n0.5\n1\n0\n"}, r"node-label\.csv\.gz, row 2: '0.5' is not a whole number"),
        ({"raw/node-label.csv": "1\n0\ninf\n0\n"}, r"node-label\.csv\.gz, row 3: 'inf' is not a whole number"),
        ({"raw/node-label.csv": "1\n0\n1e12\n0\n"}, r"row 3: class 1000000000000; classes are numbered from 0"),
        ({"mapping/labelidx2arxivcategeory.csv": f"a,b\n0,x\n{10**12},y\n"}, "row 3: expected the number of a class"),
        ({"split/time/test.csv": "nan\n"}, "row 1: 'nan' is not a whole number"),
        ({"raw/edge.csv": "0,1,2\n"}, r"edge\.csv\.gz, row 1: expected 2 numbers, got 3"),
        ({"raw/edge.csv": "source,target\n0,1\n"}, r"edge\.csv\.gz, row 1: could not convert .* have no header"),
        ({"mapping/nodeidx2paperid.csv": "a,b\n0,90\n1\n"}, r"row 3: expected 2 cells, got 1"),
        ({"mapping/nodeidx2paperid.csv": "a,b\n0,90\n"}, "1 nodes in mapping/nodeidx2paperid.csv for 4 labels"),
        ({"mapping/labelidx2arxivcategeory.csv": "a,b\n0,x\none,y\n"}, "row 3: expected the number of a class"),
        ({"mapping/labelidx2arxivcategeory.csv": "a,b\n0,x\n0,y\n"}, "row 3: class 0 has another name above"),
        ({"split/time/test.csv": "0\n"}, "node 0 is in train and test"),
        ({"split/time/test.csv": "9\n"}, "names a node beyond 0 to 3"),
        ({"split/time/dev.csv": "3\n"}, r"valid\.csv\.gz and dev\.csv\.gz both mean val; keep one"),
        ({"split/random/train.csv": "0\n"}, "split holds random and time; keep the one to use"),
    ],
)
def test_ogb_files_that_are_malformed(tmp_path: Path, changed: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ssl4rl.load(str(arxiv(tmp_path / "g", **changed)))


def test_ogb_without_texts(tmp_path: Path) -> None:
    (arxiv(tmp_path / "g") / "titleabs.tsv").unlink()
    with pytest.raises(UserError, match=r"holds no titleabs\.tsv with the papers' titles"):
        ssl4rl.load(str(tmp_path / "g"))


def test_gml_as_igraph_writes_it_and_in_utf_8(tmp_path: Path) -> None:
    node = 'node [ id {} name "n{}" text "café {}" ]'
    nodes = " ".join(node.format(number, number, number) for number in range(3))
    (tmp_path / "g.gml").write_text(
        f"graph [ {nodes} edge [ source 0 target 1 ] edge [ source 1 target 2 ] ]", encoding="utf-8"
    )
    graph = ssl4rl.load(str(tmp_path / "g.gml"))
    assert list(graph.texts) == ["café 0", "café 1", "café 2"] and graph.num_edges == 2


@pytest.mark.parametrize("line", ["a r b\n", "a\tr\tb\t1999\n"])
def test_a_train_txt_that_holds_no_triples_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "train.txt").write_text(line)
    with pytest.raises(UserError, match=r"train\.txt does not begin with a head, a relation and a tail, separated by"):
        GRAPH.load(str(tmp_path))


def test_a_quote_after_a_space_opens_a_cell(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text('id, text, label\n1, "hello, world", a\n2, "it said ""yes""", b\n3, x,\n')
    (tmp_path / "edges.csv").write_text("source, target\n1, 2\n2, 3\n")
    graph = ssl4rl.load(str(tmp_path))
    assert list(graph.texts) == ["hello, world", 'it said "yes"', "x"] and graph.label_names == ["a", "b"]


CSTAG = "category,text,label,node_id,neighbour\nA,zero,0,0,\"[1, 2]\"\nB,one,1,1,[0]\nA,two,0,2,\nB,three,1,3,['2']\n"


def test_cs_tag(tmp_path: Path) -> None:
    (tmp_path / "Children.csv").write_text(CSTAG)
    for path in (tmp_path / "Children.csv", tmp_path):
        graph = ssl4rl.load(str(path))
        assert graph.edge_index.tolist() == [[0, 0, 2], [1, 2, 3]] and list(graph.label_names) == ["0", "1"]
        assert GRAPH.validate(str(path)).skipped == {
            "unused columns of Children.csv (category)": 1,
            "repeated or reversed edges": 1,
        }
    for cell, message in (
        ("[7]", "row 2, field neighbour: no node has the id '7'"),
        ("__import__('os')", "not a list"),
    ):
        (tmp_path / "Children.csv").write_text(f"node_id,text,neighbour\n0,a,{cell}\n1,b,\n")
        with pytest.raises(UserError, match=message):
            ssl4rl.load(str(tmp_path))


@pytest.mark.parametrize("ending", FORMATS)
def test_what_networkx_reads(tmp_path: Path, ending: str) -> None:
    graph = nx.DiGraph()
    for node, text in enumerate(TEXTS):
        graph.add_node(f"n{node}", text=text, subject="ab"[node % 2], split=["Train", "dev", "TEST", "unlabeled"][node])
    graph.add_edges_from([("n0", "n1"), ("n1", "n2"), ("n3", "n2")])
    path = tmp_path / f"g{ending}"
    getattr(nx, FORMATS[ending].replace("read", "write"))(graph, path)
    (tmp_path / "dataset.yaml").write_text("label: subject\n")
    read = ssl4rl.load(str(tmp_path))
    assert (list(read.texts), read.label_names, read.directed) == (TEXTS, ["a", "b"], True)
    assert sizes(read) == {"train": [0], "val": [1], "test": [2]}
    assert read.node_ids == ["n0", "n1", "n2", "n3"]
    path.write_text("<graphml></graphml>")
    with pytest.raises(UserError) as raised:
        ssl4rl.load(str(path))
    assert path.name in str(raised.value) and "\n" not in str(raised.value)


def triples(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    usual = {"train.txt": "a_b\tpart_of\tc\nc\tnear\td\n", "valid.txt": "a_b\tnear\td\n", "test.txt": "d\tnear\ta_b\n"}
    for name, content in {**usual, **{name.replace("_txt", ".txt"): text for name, text in files.items()}}.items():
        (folder / name).write_text(content)
    return folder


def test_triples(tmp_path: Path) -> None:
    folder = triples(tmp_path / "kg", entity2text_txt="a_b\tAn entity\nc\tC\nd\tD\n", entity2id_txt="3\n")
    assert find_kind(str(folder)).name == "graph"
    graph = ssl4rl.load(str(folder))
    assert (list(graph.texts), graph.relation_names) == (["An entity", "C", "D"], ["part of", "near"])
    assert {split: part.tolist() for split, part in graph.edge_splits.items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }
    report = GRAPH.validate(str(folder))
    assert report.skipped == {"other files (entity2id.txt)": 1}
    assert report.summary.facts["edge_splits"] == {"train": 2, "val": 1, "test": 1}


def test_triples_alone_have_names_as_texts(tmp_path: Path) -> None:
    rows = "".join(f"http://x.org/e/part_{i}\thttp://x.org/p/near\thttp://x.org/e/part_{i + 1}\t\n" for i in range(30))
    (tmp_path / "train.txt").write_text(rows)
    report = GRAPH.validate(str(tmp_path))
    graph = ssl4rl.load(str(tmp_path))
    assert graph.texts[0] == "part 0" and graph.relation_names == ["near"] and not graph.edge_splits
    assert dict(report.summary.rows)["texts"] == "31 are the nodes' own names, as there is no entity2text.txt"


@pytest.mark.parametrize(
    "header",
    ["head\trelation\ttail", "Subject\tPredicate\tObject\t", ":START_ID\t:TYPE\t:END_ID", "source\trelation\ttarget"],
)
def test_headers_of_triples_are_no_edges(tmp_path: Path, header: str) -> None:
    usual = triples(tmp_path / "kg", entity2text_txt="a_b\tAn entity\nc\tC\nd\tD\n")
    plain = ssl4rl.load(str(usual))
    for name in ("train.txt", "valid.txt", "test.txt"):
        (usual / name).write_text(f"{header}\n{(usual / name).read_text()}")
    (usual / "entity2text.txt").write_text("Entity\ttext\n" + (usual / "entity2text.txt").read_text())
    graph = ssl4rl.load(str(usual))
    assert graph.fingerprint == plain.fingerprint and graph.num_nodes == 3
    assert GRAPH.validate(str(usual)).skipped == {
        f"header of {name}": 1 for name in ("train.txt", "valid.txt", "test.txt", "entity2text.txt")
    }


def test_triples_that_are_malformed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"valid\.txt, row 2: expected 3 texts separated by tabs, got 2"):
        ssl4rl.load(str(triples(tmp_path / "kg", valid_txt="a_b\tnear\td\nx\ty\n")))
    with pytest.raises(
        UserError, match="columns are head, tail, relation; write them in the order head, relation, tail"
    ):
        ssl4rl.load(str(triples(tmp_path / "kg", valid_txt="head\ttail\trelation\na_b\td\tnear\n")))
    with pytest.raises(UserError, match=r"valid\.txt and dev\.txt both mean val; keep one"):
        ssl4rl.load(str(triples(tmp_path / "kg", dev_txt="c\tnear\td\n")))


def test_a_list_of_images_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a.jpg 0\nb.jpg 1\n")
    assert not GRAPH.recognises(str(tmp_path))
    with pytest.raises(UserError, match="and no other graph"):
        GRAPH.load(str(tmp_path))


def test_info_of_a_file_has_the_sizes_of_its_splits(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ssl4rl.cli.data import app

    mask = torch.eye(4).bool()
    data = Data(edge_index=EDGES, raw_texts=TEXTS, train_mask=mask[0], val_mask=mask[1], test_mask=mask[2] | mask[3])
    result = CliRunner().invoke(app, ["info", save(tmp_path / "g.pt", data), "--json"])
    facts = json.loads(result.stdout)
    assert facts["node_splits"] == {"train": 1, "val": 1, "test": 2} and sum(facts["edge_splits"].values()) == 3


def test_texts_of_edges_are_kept_and_other_fields_counted(tmp_path: Path) -> None:
    data = hetero()
    data["paper", "cites", "paper"].edge_texts = [f"cites {n}" for n in range(EDGES.shape[1])]
    data["paper", "cites", "paper"].edge_weight = [1.0] * EDGES.shape[1]
    assert from_pyg(data, "g").edge_texts is None
    assert GRAPH.validate(save(tmp_path / "some.pt", data)).skipped["fields of edges (edge_texts, edge_weight)"] == 2
    data["paper", "same_venue", "paper"].edge_texts = ["same"]
    graph = from_pyg(data, "g")
    assert graph.edge_texts is not None and sorted(graph.edge_texts)[-1] == "same"
    assert GRAPH.validate(save(tmp_path / "all.pt", data)).skipped["fields of edges (edge_weight)"] == 1
    del data["paper", "same_venue", "paper"].edge_index
    with pytest.raises(UserError, match="the edges paper same_venue paper have no edge_index"):
        from_pyg(data, "g")


@pytest.mark.parametrize("second", [torch.ones(3), ["a"], "x"])
def test_a_graph_beside_something_else(tmp_path: Path, second: object) -> None:
    path = save(tmp_path / "g.pt", (Data(edge_index=EDGES, raw_texts=TEXTS), second))
    with pytest.raises(UserError, match="holds several graphs; save the one to read"):
        ssl4rl.load(path)


def test_a_table_whose_name_ends_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "Photo.CSV").write_text(CSTAG)
    assert ssl4rl.load(str(tmp_path / "Photo.CSV")).num_nodes == 4


def test_masks_go_by_the_numbers_of_their_names(tmp_path: Path) -> None:
    fields = {"edge_index": EDGES, "raw_texts": TEXTS, "y": Y}
    parts = ([0], [1], [2]), ([1], [2], [3])
    for number in (2, 1):
        for split, nodes in zip(("val", "test", "train"), parts[number - 1], strict=True):
            fields[f"{split}_mask_{number}"] = torch.tensor([node in nodes for node in range(4)])
    path = save(tmp_path / "g.pt", Data(**fields))
    assert sizes(ssl4rl.load(path)) == {"val": [0], "test": [1], "train": [2]}
    assert sizes(from_pyg(Data(**fields), "g", mask=2)) == {"val": [1], "test": [2], "train": [3]}
    with pytest.raises(UserError, match="there is no mask 3; they are numbered 1 to 2"):
        from_pyg(Data(**fields), "g", mask=3)


@pytest.mark.parametrize("write", [nx.write_graphml, nx.write_gexf])
def test_ids_of_edges_are_no_relations(write, tmp_path):
    source = nx.MultiDiGraph()
    for node in range(4):
        source.add_node(str(node), text=f"text {node}")
    for place, (head, tail) in enumerate([("0", "1"), ("0", "1"), ("1", "2"), ("2", "3")]):
        source.add_edge(head, tail, key=f"e{place}", id=f"e{place}")
    path = tmp_path / f"parallel.{'graphml' if write is nx.write_graphml else 'gexf'}"
    write(source, path)
    read = GRAPH.load(str(path))
    assert not read.relation_names and read.num_edges == 3
