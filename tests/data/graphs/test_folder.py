from pathlib import Path

import numpy as np
import pytest

from ssl4rl.data.graphs import GRAPH
from ssl4rl.data.graphs.folder import check_folder, load_folder
from ssl4rl.errors import UserError

NODES = "id,text\na,first\nb,second\nc,third\n"
EDGES = "source,target\na,b\nb,c\n"


def write(folder: Path, **files: str | bytes) -> Path:
    """``nodes_csv="…"`` becomes nodes.csv; the others get small valid defaults."""
    contents = {name.replace("_", "."): content for name, content in files.items()}
    for stem, default in (("nodes", NODES), ("edges", EDGES)):
        if not any(name.startswith(stem) for name in contents):
            contents[f"{stem}.csv"] = default
    for name, content in contents.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def problem(folder: Path) -> str:
    """The message of the first problem; ``check_folder`` must find it too."""
    with pytest.raises(UserError) as raised:
        load_folder(folder)
    assert str(raised.value) in check_folder(folder).problems
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_two_small_files(tmp_path: Path) -> None:
    graph = load_folder(write(tmp_path))
    assert graph.name == tmp_path.name
    assert graph.texts == ["first", "second", "third"]
    assert graph.node_ids == ["a", "b", "c"]
    assert graph.edge_index.tolist() == [[0, 1], [1, 2]]
    assert not graph.directed
    assert graph.labels is None and graph.relations is None and not graph.node_splits


def test_a_relation_makes_it_directed(tmp_path: Path) -> None:
    edges = "source,target,relation,text\nb,a,likes,a lot\na,b,knows,\nb,a,likes,again\na,a,likes,\n"
    graph = load_folder(write(tmp_path, edges_csv=edges))
    assert graph.directed
    assert graph.relations is not None
    assert graph.edge_index.tolist() == [[1, 0], [0, 1]]
    assert [graph.relation_names[kind] for kind in graph.relations] == ["likes", "knows"]
    assert graph.edge_texts == ["a lot", ""]
    assert graph.counts == {"edges": 4, "self_loops": 1, "duplicates": 1}


def test_a_template_decodes_a_cell_once(tmp_path: Path) -> None:
    nodes = "id,title,tag\na,R&amp;D,&amp;lt;b&amp;gt;\nb,x,y\n"
    folder = write(tmp_path, dataset_yaml='text: "{title}: {tag}"\n', nodes_csv=nodes, edges_csv="source,target\na,b\n")
    assert load_folder(folder).texts[0] == "R&D: &lt;b&gt;"


def test_all_keys_of_dataset_yaml(tmp_path: Path) -> None:
    settings = """
name: people
id: key
text: "{first name} {last}, {job}"
label: team
split: part
relation: how
node: a person
edge: they met
directed: false
"""
    nodes = (
        "key,first name,last,job,team,part\n1,Ada,L,maths,red,train\n2,Bo,,,,validation\n3,,,,blue,test\n4,C,D,E,red,\n"
    )
    folder = write(tmp_path, dataset_yaml=settings, nodes_csv=nodes, edges_csv="source,target,how\n3,1,well\n1,2,ill\n")
    graph = load_folder(folder)
    assert graph.name == "people"
    assert graph.texts == ["Ada L, maths", "Bo ,", "", "C D, E"]
    assert graph.label_names == ["blue", "red"]
    assert graph.labels is not None and graph.labels.tolist() == [1, -1, 0, 1]
    assert {split: part.tolist() for split, part in graph.node_splits.items()} == {
        "train": [0],
        "val": [1],
        "test": [2],
    }
    assert (graph.node_meaning, graph.edge_meaning, graph.directed) == ("a person", "they met", False)
    assert graph.relation_names == ["ill", "well"]


def test_text_columns_without_dataset_yaml(tmp_path: Path) -> None:
    graph = load_folder(write(tmp_path, nodes_csv="id,title,abstract\na,Ti,Ab\nb,,Ab\nc,Ti!,&quot;x&quot;\n"))
    assert graph.texts == ["Ti. Ab", "Ab", 'Ti! "x"']


def test_jsonl_and_parquet_read_as_csv_does(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    graphs = []
    for number in range(3):
        folder = tmp_path / str(number) / "same"
        folder.mkdir(parents=True)
        if number == 0:
            write(folder, nodes_csv="id,text,label\n1,one,x\n2,two,\n", edges_csv="source,target\n1,2\n")
        elif number == 1:
            nodes = '{"id": 1, "text": "one", "label": "x"}\n\n{"id": 2, "text": "two", "label": null}\n'
            write(folder, nodes_jsonl=nodes, edges_jsonl='{"source": 1, "target": "2"}\n')
        else:
            table = pyarrow.table({"id": [1.0, 2.0], "text": ["one", "two"], "label": ["x", None]})
            parquet.write_table(table, folder / "nodes.parquet")
            parquet.write_table(pyarrow.table({"source": [1], "target": [2]}), folder / "edges.parquet")
        graphs.append(load_folder(folder))
    assert len({graph.fingerprint for graph in graphs}) == 1


def test_awkward_but_valid_csv(tmp_path: Path) -> None:
    nodes = '\ufeffid,text\r\na,"two\r\nlines, and ""quotes"""\r\n\r\nb,' + "long " * 40_000 + "\r\nc,\r\n"
    graph = load_folder(write(tmp_path, nodes_csv=nodes))
    assert graph.texts[0] == 'two lines, and "quotes"'
    assert len(graph.texts[1]) == 199_999
    assert graph.texts[2] == ""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"nodes_csv": ""}, "nodes.csv is empty"),
        ({"edges_csv": ""}, "edges.csv is empty"),
        ({"nodes_csv": "id,text\n"}, "nodes.csv has no rows"),
        ({"nodes_csv": "\n\n"}, "nodes.csv is empty"),
        ({"edges_csv": "source,target\n"}, "edges.csv has no rows, so the graph has no edges"),
        ({"edges_csv": "source,target\na,a\n"}, "edges.csv has only self-loops; every graph task needs edges"),
        ({"nodes_xlsx": "x"}, "no nodes.csv, nodes.jsonl or nodes.parquet (found nodes.xlsx"),
        ({"nodes_csv": NODES, "nodes_jsonl": "{}"}, "holds nodes.csv and nodes.jsonl; keep one"),
        ({"nodes_csv": NODES + "a,again\n"}, "nodes.csv, row 5, field id: id 'a' is a duplicate of row 2"),
        ({"nodes_csv": NODES + ",no id\n"}, "nodes.csv, row 5, field id: the id is missing"),
        ({"nodes_csv": NODES + "d,x,y\n"}, "nodes.csv, row 5: the header has 2 cells, this row 3 (put quotes"),
        ({"nodes_csv": 'id,text\na,"x\ny"\nb,x,y\n'}, "nodes.csv, row 4: the header has 2 cells, this row 3"),
        ({"nodes_csv": 'id,text\na,"open\nb,x\n'}, "nodes.csv, row 2: unexpected end of data"),
        ({"nodes_csv": "ident,text\na,x\n"}, "no column 'id'; its columns are ident, text"),
        ({"nodes_csv": "id,txt\na,x\n"}, "no column 'text' or 'title'; its columns are id, txt"),
        ({"nodes_csv": "id;text\na;x\n"}, "the columns are separated by semicolons; separate them with commas"),
        ({"nodes_csv": "id,text,text\na,x,y\n"}, "two columns are named 'text'"),
        ({"nodes_csv": "id,text,split\na,x,trian\n"}, "row 2, field split: 'trian' is not train, val or test"),
        ({"nodes_csv": b"id,text\na,x\nb,caf\xe9\n"}, "nodes.csv, row 3, field text: byte 0xe9 is not UTF-8"),
        ({"nodes_csv": b"id,t\xe9xt\na,x\n"}, "nodes.csv, row 1: byte 0xe9 is not UTF-8"),
        ({"nodes_csv": "id,text\na,x\n".encode("utf-16")}, "is not UTF-8 but looks like UTF-16; save it as UTF-8"),
        (
            {"nodes_csv": "id,text\na,x\n".encode("utf-16-le")},
            "nodes.csv is not UTF-8 but looks like UTF-16; save it as",
        ),
        ({"nodes_csv": "id|text\na|x\n"}, "the columns are separated by vertical bars; separate them with commas"),
        ({"nodes_jsonl": '{"id": "a", "text": "x"}\n{"id": \n'}, "nodes.jsonl, row 2: not valid JSON"),
        ({"nodes_jsonl": '{"id": "a", "text": "x", "text": "y"}\n'}, "nodes.jsonl, row 1: not valid JSON"),
        ({"nodes_jsonl": "[1]\n"}, "nodes.jsonl, row 1: expected a JSON object"),
        (
            {"nodes_jsonl": '{"id": "a", "text": ["x"]}\n'},
            "row 1, field text: expected text or a number, not list",
        ),
        ({"nodes_jsonl": b'{"id": "a", "text": "\xe9"}\n'}, "nodes.jsonl, row 1, field text: byte 0xe9"),
        ({"nodes_jsonl": b'{"id": "a", "t\xe9xt": "x"}\n'}, "nodes.jsonl, row 1: byte 0xe9"),
        ({"nodes_parquet": "PAR1"}, "nodes.parquet is not a readable parquet file"),
        ({"edges_csv": "source,target\na,z\n"}, "edges.csv, row 2, field target: no node has the id 'z'"),
        ({"edges_csv": "source,target\na,b\n,b\n"}, "edges.csv, row 3, field source: the id is missing"),
        ({"edges_csv": "from,target\na,b\n"}, "edges.csv: there is no column 'source'; its columns are from, target"),
        ({"edges_csv": "source,target,relation\na,b,\n"}, "edges.csv, row 2, field relation: the relation is missing"),
        ({"dataset_yaml": "txt: title\n"}, "dataset.yaml: unknown key 'txt'; did you mean text?"),
        ({"dataset_yaml": "- a\n"}, "dataset.yaml: expected lines such as `text: title`"),
        ({"dataset_yaml": "name: 7\n"}, "`name` is 7, but must be text; put it in quotes"),
        ({"dataset_yaml": "directed: maybe\n"}, "`directed` is 'maybe', but must be true or false"),
        ({"dataset_yaml": "name: x\ntext: {title}. y\n"}, "dataset.yaml line 2: not valid YAML"),
        (
            {"dataset_yaml": 'text: "{titel}"\n', "nodes_csv": "id,title\na,x\n"},
            "no column 'titel'; did you mean 'title'?",
        ),
        ({"dataset_yaml": 'text: "{text"\n'}, "a brace is not closed or names no column"),
        ({"dataset_yaml": "label: kind\n"}, "there is no column 'kind'; its columns are id, text (set `label:`"),
    ],
)
def test_bad_input_is_named(files: dict[str, str | bytes], expected: str, tmp_path: Path) -> None:
    assert expected in problem(write(tmp_path, **files))


def test_parquet_cells_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = pyarrow.array([b"fine", b"caf\xe9"], pyarrow.binary()).view(pyarrow.string())
    write(tmp_path, nodes_parquet=b"x")
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "text": texts}), tmp_path / "nodes.parquet")
    assert "nodes.parquet, row 2, field text: byte 0xe9 is not UTF-8" in problem(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    assert "holds no edges.csv, edges.jsonl or edges.parquet" in problem(tmp_path)
    assert "there is no folder" in problem(tmp_path / "nowhere")


def test_every_bad_row_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        nodes_csv=b"id,text,split\na,x,train\na,y,\nb,\xff,\nc,x,never\n,x,\nd\n",
        edges_csv="source,target\na,c\na,q\nq,r\n",
    )
    problems = [problem.removeprefix(f"{tmp_path}/") for problem in check_folder(tmp_path).problems]
    assert [text.split(":")[0] for text in problems] == [
        "nodes.csv, row 3, field id",
        "nodes.csv, row 4, field text",
        "nodes.csv, row 5, field split",
        "nodes.csv, row 6, field id",
        "nodes.csv, row 7",
        "edges.csv, row 3, field target",
        "edges.csv, row 4, field source",
        "edges.csv, row 4, field target",
    ]


def test_a_valid_folder_has_no_problems(tmp_path: Path) -> None:
    report = check_folder(write(tmp_path))
    assert report.problems == []
    assert report.summary is not None and report.summary.facts["num_edges"] == 2


def test_real_folder(real_data: Path) -> None:
    graph = load_folder(real_data / "folder_tag")
    assert (graph.num_nodes, graph.num_edges, len(graph.label_names)) == (969, 911, 25)
    assert "&quot;" not in "".join(graph.texts)
    assert graph.labels is not None and np.all(graph.labels >= 0)


def test_names_of_files_may_be_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "Nodes.CSV").write_text(NODES)
    (tmp_path / "EDGES.csv").write_text(EDGES)
    assert load_folder(tmp_path).num_edges == 2
    assert GRAPH.load(str(tmp_path)).num_nodes == 3
    (tmp_path / "nodes.jsonl").write_text("{}")
    assert "holds Nodes.CSV and nodes.jsonl; keep one" in problem(tmp_path)
