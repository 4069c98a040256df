"""What a user's tables call things, and how spreadsheets, Gephi, Neo4j and others write them; NetworkX follows suit."""

import json
import unicodedata
from pathlib import Path

import networkx as nx
import pytest

from ssl4rl.build import uses_of_tasks
from ssl4rl.data.graphs import GRAPH
from ssl4rl.data.graphs.convert import from_networkx
from ssl4rl.data.graphs.folder import check_folder, load_folder
from ssl4rl.errors import UserError
from ssl4rl.source import SPLITS

RING = "source,target\n" + "".join(f"{i},{(i + step) % 12}\n" for i in range(12) for step in (1, 2))


def folder(path: Path, nodes: str, edges: str = RING, settings: str = "") -> Path:
    path.mkdir(exist_ok=True)
    (path / "nodes.csv").write_text(nodes, encoding="utf-8")
    (path / "edges.csv").write_text(edges, encoding="utf-8")
    if settings:
        (path / "dataset.yaml").write_text(settings)
    return path


def reasons(path: Path) -> dict[str, str]:
    """What keeps each task from using a graph."""
    return {name: use.reason for name, use in uses_of_tasks(str(path), GRAPH).items()}


def numbered(**columns) -> str:
    """Twelve nodes, with further columns that are functions of a node's number."""
    rows = [",".join(["id", "text", *columns])]
    rows += [",".join([str(i), f"text {i}", *(str(of(i)) for of in columns.values())]) for i in range(12)]
    return "\n".join(rows) + "\n"


def problem(path: Path) -> str:
    with pytest.raises(UserError) as raised:
        load_folder(path)
    assert check_folder(path).problems[0] == str(raised.value) and "\n" not in str(raised.value)
    return str(raised.value)


def test_ids_that_a_spreadsheet_made_floats(tmp_path: Path) -> None:
    plain = load_folder(folder(tmp_path / "g", numbered()))
    floats = RING.replace(",", ".0,").replace("\n", ".0\n").replace("source.0,target.0", "source,target")
    graph = load_folder(folder(tmp_path / "g", numbered(), floats))
    assert graph.fingerprint == plain.fingerprint and graph.counts["respelled_ids"] == 48
    nodes = "\n".join(["id,text", *(f"{i}.0,text {i}" for i in range(12))])
    assert load_folder(folder(tmp_path / "g", nodes)).edge_index.tolist() == plain.edge_index.tolist()
    assert "48 were found in another spelling" in dict(check_folder(tmp_path / "g").summary.rows)["ids"]


def test_two_nodes_that_differ_in_spelling_alone_stay_two(tmp_path: Path) -> None:
    path = folder(tmp_path / "g", "id,text\n3,x\n3.0,y\n4,z\n", "source,target\n3,4\n3.0,4\n")
    assert load_folder(path).edge_index.tolist() == [[0, 1], [2, 2]]
    assert "no node has the id '3.00'" in problem(folder(path, "id,text\n3,x\n3.0,y\n", "source,target\n3,3.00\n"))


def test_ids_in_two_encodings_and_in_another_case(tmp_path: Path) -> None:
    nodes = unicodedata.normalize("NFC", "id,text\ncafé,x\nStraße,y\n")
    edges = unicodedata.normalize("NFD", "source,target\ncafé,Straße\n")
    assert load_folder(folder(tmp_path / "g", nodes, edges)).num_edges == 1
    edges = "source,target\ncafé,straße\n"
    assert "field target: no node has the id 'straße'; did you mean 'Straße'?" in problem(
        folder(tmp_path / "g", nodes, edges)
    )


def test_ids_that_lost_their_zeros_get_one_line(tmp_path: Path) -> None:
    nodes = "\n".join(["id,text", *(f"{i:04},text {i}" for i in range(12))])
    path = folder(tmp_path / "g", nodes)
    assert "48 ids lost the zeros in front (row 2, field source: '0' for '0000'); write both as text" in problem(path)
    assert len(check_folder(path).problems) == 1


GEPHI = (
    "Id,Label,Text,modularity_class\n0,Place,heron,0\n1,Town,moss,1\n2,City,clay,0\n",
    "Source,Target,Type,Weight\n0,1,{0},1\n1,2,{0},1\n",
)


def test_gephi(tmp_path: Path) -> None:
    nodes, edges = GEPHI
    settings = 'text: "{Label}. {Text}"\nlabel: modularity_class\n'
    graph = load_folder(folder(tmp_path / "g", nodes, edges.format("Undirected"), settings))
    assert (graph.texts[0], graph.label_names, graph.directed) == ("Place. heron", ["0", "1"], False)
    path = folder(tmp_path / "g", nodes, edges.format("Directed"))
    assert load_folder(path).directed
    (path / "dataset.yaml").unlink()
    graph = load_folder(path)
    assert graph.labels is None and graph.texts[0] == "heron"  # a Label of Gephi is a name, not a class
    assert check_folder(path).skipped == {
        "unused columns of nodes.csv (Label, modularity_class)": 2,
        "unused columns of edges.csv (Weight)": 1,
    }
    mixed = edges.format("Directed") + "2,0,Undirected,1\n"
    assert "some edges are Directed and some Undirected" in problem(folder(tmp_path / "g", nodes, mixed))


def test_neo4j(tmp_path: Path) -> None:
    nodes = "paperId:ID(Paper),title:string,year:int,:LABEL\np1,One,1999,Paper\np2,Two,2000,Paper\n"
    edges = ":START_ID(Paper),:END_ID(Paper),:TYPE\np1,p2,CITES\n"
    graph = load_folder(folder(tmp_path / "g", nodes, edges))
    assert (graph.texts, graph.node_ids, graph.relation_names) == (["One", "Two"], ["p1", "p2"], ["CITES"])
    assert graph.kind_names == ["Paper"] and graph.directed


@pytest.mark.parametrize("ends", [("Source", "Target"), ("head", "tail"), ("HEAD", "TAIL"), ("subject", "object")])
def test_ends_of_edges_in_any_words(tmp_path: Path, ends: tuple[str, str]) -> None:
    edges = RING.replace("source,target", ",".join(ends))
    assert load_folder(folder(tmp_path / "g", numbered(), edges)).num_edges == 24
    other = folder(
        tmp_path / "h", numbered(), RING.replace("source,target", "a,b"), "source: b\ntarget: a\ndirected: true\n"
    )
    assert load_folder(other).edge_index[:, 0].tolist() == [1, 0]
    assert "there is no column 'source'" in problem(folder(tmp_path / "i", numbered(), RING.replace("source", "a")))


def test_classes_that_a_table_made_floats(tmp_path: Path) -> None:
    graph = load_folder(folder(tmp_path / "g", numbered(label=lambda i: "" if i % 4 == 0 else f"{i % 4}.0")))
    assert graph.label_names == ["1", "2", "3"] and (graph.labels < 0).sum() == 3
    assert load_folder(folder(tmp_path / "g", numbered(label=lambda i: ("1.0", "1.5")[i % 2]))).label_names == [
        "1.0",
        "1.5",
    ]


@pytest.mark.parametrize(
    "words", [("Train", "validation", "TEST"), ("training", "dev", "testing"), ("train", "valid", "Test")]
)
def test_words_for_splits(tmp_path: Path, words: tuple[str, ...]) -> None:
    def word(i: int) -> str:
        return [*words, "unlabeled", ""][min(i, 4)]

    graphs = [load_folder(folder(tmp_path / "g", numbered(split=word)))]
    source = nx.cycle_graph(12)
    for node in source:
        source.nodes[node].update(text=f"text {node}", split=word(node))
    graphs.append(from_networkx(source, "g"))
    for graph in graphs:
        assert [graph.node_splits[split].tolist() for split in SPLITS] == [[0], [1], [2]]
    source.nodes[3]["split"] = "trian"
    with pytest.raises(UserError, match="graph g, node 3, field split: 'trian' is not train, val or test"):
        from_networkx(source, "g")


def test_masks_in_columns(tmp_path: Path) -> None:
    masks = {
        f"{split}_mask": (lambda i, code=code: i % 3 == code) for code, split in enumerate(("train", "valid", "test"))
    }
    graph = load_folder(folder(tmp_path / "g", numbered(**masks)))
    assert [graph.node_splits[split].tolist() for split in SPLITS] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    both = numbered(**masks, split=lambda i: ("train", "test")[i % 2])
    assert problem(folder(tmp_path / "g", both)).endswith(
        "nodes.csv: it has a column 'split' and masks (train_mask, valid_mask, test_mask); keep one of them, or say "
        "`split:` or `mask:` in dataset.yaml"
    )
    by_word = load_folder(folder(tmp_path / "g", both, settings="split: split\n"))
    assert [len(by_word.node_splits[split]) for split in SPLITS] == [6, 0, 6]
    by_mask = load_folder(folder(tmp_path / "g", both, settings="mask: 0\n"))
    assert [by_mask.node_splits[split].tolist() for split in SPLITS] == [
        graph.node_splits[split].tolist() for split in SPLITS
    ]
    (tmp_path / "g" / "dataset.yaml").unlink()
    overlap = masks | {"test_mask": lambda i: 1}
    assert "nodes.csv, row 2: it is in train and test" in problem(folder(tmp_path / "g", numbered(**overlap)))
    unclear = masks | {"test_mask": lambda i: "maybe"}
    assert "row 2, field test_mask: 'maybe' is neither true nor false" in problem(
        folder(tmp_path / "g", numbered(**unclear))
    )


def test_masks_by_number(tmp_path: Path) -> None:
    masks = {
        f"{split}_mask_{n}": (lambda i, k=k, n=n: int((i + n) % 3 == k))
        for k, split in enumerate(SPLITS)
        for n in (0, 1)
    }
    path = folder(tmp_path / "g", numbered(**masks), settings="mask: 1\n")
    graph = load_folder(path)
    assert graph.node_splits["train"].tolist() == [2, 5, 8, 11] and graph.counts["masks"] == 2
    assert "mask 1 of 2" in dict(check_folder(path).summary.rows)["node splits"]
    (path / "dataset.yaml").write_text("mask: 7\n")
    assert problem(path) == f"{path / 'nodes.csv'}: there is no mask 7; they are numbered 0 to 1"
    # The first where none is named, whatever its number is; all of them are known columns.
    later = numbered(**{name.replace("_0", "_2"): of for name, of in masks.items()})
    graph = load_folder(folder(tmp_path / "later", later))
    assert graph.node_splits["train"].tolist() == [2, 5, 8, 11]
    assert (graph.counts["masks"], graph.counts["mask"]) == (2, 1)
    assert all(not tally.skipped for tally in graph.reading)
    named = folder(tmp_path / "named", numbered(), settings="split: fold\n")
    assert "there is no column 'fold'" in problem(named) and "(set `split:` in dataset.yaml" in problem(named)
    plain = folder(tmp_path / "plain", numbered(), settings="mask: 0\n")
    assert "there is no mask, so that `mask: 0` in dataset.yaml picks none; remove it" in problem(plain)


def test_settings_under_another_name_are_not_passed_over(tmp_path: Path) -> None:
    path = folder(tmp_path / "g", numbered())
    (path / "dataset.yml").write_text("directed: true\n")
    assert "dataset.yml is not read under this name; call it dataset.yaml" in problem(path)


def test_rows_of_json_may_lack_what_says_their_split(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text(RING)
    for key, value in (("split", "val"), ("val_mask", True)):
        rows = [{"id": i, "text": f"text {i}", **({key: value} if i < 3 else {})} for i in range(12)]
        (tmp_path / "nodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        graph = load_folder(tmp_path)
        assert [graph.node_splits[split].tolist() for split in SPLITS] == [[], [0, 1, 2], []]
        assert dict(check_folder(tmp_path).summary.rows)["node splits"].endswith("given); 9 nodes are in none")


def test_a_split_of_edges(tmp_path: Path) -> None:
    rows = RING.splitlines()
    edges = "\n".join(
        [rows[0] + ",split", *(f"{row},{('train', 'dev', 'test', '')[i % 4]}" for i, row in enumerate(rows[1:]))]
    )
    path = folder(tmp_path / "g", numbered(), edges)
    graph = load_folder(path)
    assert [len(graph.edge_splits[split]) for split in SPLITS] == [6, 6, 6]
    assert dict(check_folder(path).summary.rows)["not used"].startswith("6 edges are in no split")
    assert "field split: 'never' is not train" in problem(
        folder(tmp_path / "g", numbered(), edges.replace("dev", "never"))
    )


def beside(table: str, before: str = "", after: str = "") -> str:
    """The table with further cells in each row; the header's are empty."""
    header, *rows = table.splitlines()
    header = "," * before.count(",") + header + "," * after.count(",")
    return "\n".join([header, *(f"{before}{row}{after}" for row in rows)]) + "\n"


@pytest.mark.parametrize(
    ("before", "after", "count"), [("7,", "", 1), ("", ",,", 2), ("7,", ",,", 3), ("7,8,", ",x", 3)]
)
@pytest.mark.parametrize("text", ["text", "title", "name"])
def test_columns_without_a_name_are_counted_and_not_read(
    tmp_path: Path, before: str, after: str, count: int, text: str
) -> None:
    """Such as the row numbers that pandas writes in front, and the empty columns that Excel leaves behind."""
    nodes = numbered().replace("text", text, 1)
    plain = load_folder(folder(tmp_path / "g", nodes))
    graph = load_folder(folder(tmp_path / "g", beside(nodes, before, after), beside(RING, before, after)))
    assert graph.fingerprint == plain.fingerprint
    named = ", ".join(["(unnamed)"] * count)
    assert check_folder(tmp_path / "g").skipped == {
        f"unused columns of {name}.csv ({named})": count for name in ("nodes", "edges")
    }


def test_no_field_without_a_name_is_read(tmp_path: Path) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path = folder(tmp_path / "g", numbered())
    (path / "nodes.csv").unlink()
    rows = [{"": i, "id": i, "title": f"text {i}"} for i in range(12)]
    (path / "nodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    graphs = [load_folder(path)]
    assert check_folder(path).skipped == {"unused columns of nodes.jsonl ((unnamed))": 1}
    (path / "nodes.jsonl").unlink()
    parquet.write_table(pyarrow.Table.from_pylist(rows), path / "nodes.parquet")
    graphs.append(load_folder(path))
    assert check_folder(path).skipped == {"unused columns of nodes.parquet ((unnamed))": 1}
    source = nx.Graph([(0, 1)])
    for node in source:
        source.nodes[node].update({"": node, "title": f"text {node}"})
    graphs.append(from_networkx(source, "g"))
    assert graphs[-1].reading[0].skipped == {"unused attributes of nodes ((unnamed))": 1}
    assert {graph.texts[1] for graph in graphs} == {"text 1"}


def test_columns_that_nobody_asked_for_may_hold_anything(tmp_path: Path) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path = folder(tmp_path / "g", numbered())
    (path / "nodes.csv").unlink()
    rows = [{"id": i, "text": f"text {i}", "authors": ["A"], "venue": {"x": 1}, "when": None} for i in range(12)]
    (path / "nodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_folder(path).num_nodes == 12
    assert check_folder(path).skipped == {"unused columns of nodes.jsonl (authors, venue, when)": 3}
    (path / "dataset.yaml").write_text("label: authors\n")
    assert "nodes.jsonl, row 1, field authors: expected text or a number, not list" in problem(path)
    (path / "dataset.yaml").unlink()
    (path / "nodes.jsonl").unlink()
    parquet.write_table(
        pyarrow.table({"id": range(12), "text": ["x"] * 12, "embedding": [[0.1, 0.2]] * 12}), path / "nodes.parquet"
    )
    assert check_folder(path).skipped == {"unused columns of nodes.parquet (embedding)": 1}


@pytest.mark.parametrize(
    ("nodes", "edges", "expected"),
    [
        (numbered().replace(",", ";"), RING, "separated by semicolons; separate them with commas"),
        ("sep=,\n" + numbered(), RING, "row 1: 'sep=' is not a header; remove such lines"),
        (numbered(), "# FromNodeId ToNodeId\n0 1\n", "row 1: '# FromNodeId ToNodeId' is not a header"),
        (numbered(), RING.replace("\n", ",\n", 3), "the header has 3 cells, this row 2"),
        (numbered().replace("id,", ",", 1), RING, "there is no column 'id'; its columns are text, (unnamed)"),
    ],
)
def test_tables_without_a_usable_header(tmp_path: Path, nodes: str, edges: str, expected: str) -> None:
    said = problem(folder(tmp_path / "g", nodes, edges))
    assert any(part in said for part in expected.split("|"))


def test_networkx_keys_gaps_and_masks() -> None:
    source = nx.MultiDiGraph()
    for node, label in enumerate([1.0, -1, float("nan"), 0.0]):
        source.add_node(
            node, title=f"text {node}", abstract="more", label=label, train_mask=node == 0, valid_mask=node == 1
        )
    source.add_edge(0, 1, key="cites")
    source.add_edge(0, 1, key="extends")
    source.add_edge(2, 3, key="cites")
    graph = from_networkx(source, "g")
    assert (graph.relation_names, graph.num_edges, graph.directed) == (["cites", "extends"], 3, True)
    assert (graph.labels.tolist(), graph.label_names) == ([1, -1, -1, 0], ["0", "1"])
    assert graph.texts[0] == "text 0. more" and graph.node_splits["val"].tolist() == [1]
    source.add_edge(3, 0)
    with pytest.raises(UserError, match="the edge 3 to 0 has the key 0, but others have a text as key"):
        from_networkx(source, "g")
    plain = nx.MultiGraph([(0, 1), (0, 1)])
    nx.set_node_attributes(plain, "x", "text")
    assert from_networkx(plain, "g").relations is None  # NetworkX numbered the keys itself


def test_the_same_graph_from_every_form(tmp_path: Path) -> None:
    from_file = load_folder(folder(tmp_path / "g", numbered(label=lambda i: f"{i % 2}.0", split=lambda i: "dev")))
    source = nx.Graph()
    for node in range(12):
        source.add_node(str(node), text=f"text  {node}", label=float(node % 2), split="Valid")
    source.add_edges_from(line.split(",") for line in RING.splitlines()[1:])
    assert from_networkx(source, "g").fingerprint != ""
    made = from_networkx(source, "g")
    assert list(made.texts) == list(from_file.texts) and made.label_names == from_file.label_names
    assert made.node_splits["val"].tolist() == from_file.node_splits["val"].tolist()


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ("source,target\n0,1\n", "too few unlinked pairs|no val edges"),
        ("source,target\n" + "".join(f"{a},{b}\n" for a in range(12) for b in range(a)), "too few unlinked pairs"),
        ("source,target\n" + "".join(f"0,{b}\n" for b in range(1, 12)), "val: |train: "),
    ],
)
def test_tasks_that_cannot_use_a_graph_say_why(tmp_path: Path, edges: str, reason: str) -> None:
    tasks = reasons(folder(tmp_path / "g", numbered(), edges))
    assert list(tasks) == ["attribute", "link", "neighbor"] or set(tasks) >= {"attribute", "link", "neighbor"}
    assert any(part in tasks["link"] for part in reason.split("|"))


def test_a_graph_without_any_text_is_refused_for_training(tmp_path: Path) -> None:
    path = folder(tmp_path / "g", "id,text\n" + "".join(f"{i},\n" for i in range(12)))
    report = check_folder(path)
    assert report.problems == [] and report.summary.facts["empty_texts"] == 12
    tasks = reasons(path)
    assert all("has no nodes with a text" in reason for reason in tasks.values()) and tasks
