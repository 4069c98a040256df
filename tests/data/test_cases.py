"""Small inputs that failed once, each as a sample of its kind; the files themselves are kept outside the project."""

import csv
from pathlib import Path

import pytest

import ssl4rl
from ssl4rl.data.graphs.convert import from_networkx, from_pyg
from ssl4rl.data.graphs.folder import check_folder
from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.model import ModelFiles
from ssl4rl.models import TINY, TINY_VISION, embedded_path


@pytest.fixture(scope="module")
def cases(request) -> Path:
    folder = request.getfixturevalue("real_data").parent / "cases"
    if not folder.is_dir():
        pytest.skip("the cases are not here")
    return folder


def graph_folder(path: Path, labels: list[str], texts: list[str] | None = None) -> Path:
    path.mkdir()
    texts = texts or [f"text number {node}" for node in range(len(labels))]
    with (path / "nodes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), *zip(range(len(labels)), texts, labels, strict=True)])
    edges = [(node, (node + step) % len(labels)) for node in range(len(labels)) for step in (1, 2)]
    with (path / "edges.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("source", "target"), *edges])
    return path


def every(benchmark) -> list[Example]:
    return [benchmark.example(index) for index in range(benchmark.size)]


@pytest.mark.parametrize(("name", "unlabelled"), [("g04_minus1", 10), ("g26_minus1_300", 100)])
def test_minus_one_is_no_class(cases, name, unlabelled):
    report = check_folder(cases / name)
    facts = report.summary.facts
    assert (facts["unlabelled_nodes"], "-1" in facts["label_names"]) == (unlabelled, False)
    assert any(f"{unlabelled} nodes have none" in value for _, value in report.summary.rows)
    graph = ssl4rl.load(str(cases / name), kind="graph")
    benchmark = ssl4rl.benchmark("node", graph)
    asked = [graph.labels[int(example.source_items[0].removeprefix("node:"))] for example in every(benchmark)]
    assert min(asked) >= 0


@pytest.mark.parametrize("gap", ["-1", "-1.0", "", "nan", "NaN", "<NA>"])
def test_whatever_stands_for_no_class_is_none(tmp_path, gap):
    graph = ssl4rl.load(str(graph_folder(tmp_path / "g", ["a", gap, "b", "a", gap, "b"] * 5)), kind="graph")
    assert list(graph.label_names) == ["a", "b"] and (graph.labels < 0).sum() == 10


def test_no_class_in_pyg_and_networkx():
    import networkx
    import torch
    from torch_geometric.data import Data

    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    for y in (torch.tensor([-1, 0, 1]), torch.tensor([float("nan"), 0.0, 1.0])):
        graph = from_pyg(Data(edge_index=edges, y=y, raw_texts=["x", "y", "z"], num_nodes=3), "g")
        assert graph.labels.tolist() == [-1, 0, 1] and len(graph.label_names) == 2
    source = networkx.Graph([(0, 1), (1, 2)])
    for node, label in enumerate([-1, 0, float("nan")]):
        source.nodes[node].update(text=f"text {node}", label=label)
    graph = from_networkx(source, "g")
    assert graph.labels.tolist() == [-1, 0, -1] and list(graph.label_names) == ["0"]


def test_labels_that_are_names_are_pointed_out(cases, tmp_path):
    def classes(folder: Path) -> str:
        return dict(check_folder(folder).summary.rows)["classes"]

    assert "single node" in classes(cases / "g06_label_is_name")
    assert "single node" in classes(graph_folder(tmp_path / "names", [f"Place {node}" for node in range(20)]))
    assert "single node" not in classes(graph_folder(tmp_path / "classes", ["a", "b"] * 10))


def control_ids(files: ModelFiles) -> set[int]:
    return {files.tokenizer.convert_tokens_to_ids(token) for token in files.tokenizer.all_special_tokens}


def test_texts_hold_no_control_token(cases):
    files = ModelFiles(str(embedded_path(TINY)))
    graph = ssl4rl.load(str(cases / "g12_evil_texts"), kind="graph")
    plain = ssl4rl.load("citations")
    template = [
        i for i in files.prompt_ids(ssl4rl.task("link", plain).example(0).messages()) if i in control_ids(files)
    ]
    for name, level in (("link", "easy"), ("neighbor", "easy"), ("attribute", "easy")):
        task = ssl4rl.task(name, graph, level=level)
        for index in range(40):
            example = task.example(index)
            ids = files.prompt_ids(example.messages())
            assert [token for token in ids if token in control_ids(files)] == template
            # A node's text stays in its line, so that it can add neither nodes nor options.
            lines = example.text.splitlines()
            assert sum(line.startswith("[") for line in lines) == len(example.meta["nodes"])
            assert task.score(f"<think></think><answer>{example.gold}</answer>", example).value == 1


@pytest.mark.parametrize(("name", "labels"), [("g14_classes_letters", "1234"), ("g14b_classes_numbers", None)])
def test_classes_cannot_be_taken_for_the_labels_of_options(cases, name, labels):
    benchmark = ssl4rl.benchmark("node", str(cases / name))
    for example in map(benchmark.example, range(40)):
        choices = benchmark.choices(example)
        assert set(choices).isdisjoint(choices.values())
        assert labels is None or list(choices) == list(labels)
        right = choices[example.gold]
        assert benchmark.score(f"<answer>{example.gold}</answer>", example).value == 1
        assert benchmark.score(f"<answer>{right}</answer>", example).value == 0


def test_missing_cells_stay_missing(cases):
    benchmark = ssl4rl.benchmark("choice", str(cases / "t01_nan_strings" / "q.tsv"))
    for example in map(benchmark.example, range(benchmark.size)):
        assert "nan" not in example.text.lower() and list(benchmark.choices(example).values()) == ["circle", "square"]


def test_a_table_of_a_graph_has_no_nan_either(tmp_path):
    folder = graph_folder(tmp_path / "g", ["a"] * 20, ["nan", "<NA>", "NaN", *(f"text {node}" for node in range(17))])
    assert check_folder(folder).summary.facts["empty_texts"] == 3
    (folder / "edges.csv").write_text("source,target\n0,nan\n1,2\n")
    with pytest.raises(UserError, match="row 2, field target: the id is missing"):
        ssl4rl.load(str(folder), kind="graph")


def test_an_image_placeholder_in_a_question_is_text(cases):
    files = ModelFiles(str(embedded_path(TINY_VISION)))
    benchmark = ssl4rl.benchmark("choice", str(cases / "t05_image_placeholder" / "q.tsv"))
    image = files.config.image_token_id
    for example in map(benchmark.example, range(benchmark.size)):
        assert "<image>" in example.text and len(example.images) == 1
        assert files.prompt_ids(example.messages()).count(image) == 16
