"""Fields of a ``.pt`` file that hold something else than they should, and files that are damaged."""

import io
import warnings

import pytest
import torch

from ssl4rl.data.graphs import check, read
from ssl4rl.errors import UserError

EDGES = torch.tensor([[0, 1, 2], [1, 2, 0]])
TEXTS = ["one", "two", "three"]
SPARSE = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 2]]), torch.ones(2), (3, 3), check_invariants=True)
ODD = {
    "a number": torch.tensor(7),
    "nothing in a tensor": torch.tensor(float("nan")),
    "complex": torch.ones(3, dtype=torch.complex64) * 1j,
    "sparse": SPARSE,
    "rows of different lengths": [[1, 2], [3], []],
    "an empty list": [],
    "a text": "abc",
    "a dictionary": {"a": 1},
    "halves": torch.tensor([0.5, 1.5, 2.5]),
    "infinite": torch.tensor([float("inf")] * 3),
    "far too large": torch.tensor([0, 1, 10**15]),
    "negative": torch.tensor([-7, -8, -9]),
    "texts": ["a", "b", "c"],
}
FIELDS = [
    *("edge_index", "adj_t", "num_nodes", "x", "y", "label_names", "train_mask", "train_idx", "split_idx"),
    *("edge_type", "relation_names", "node_type", "node_type_names", "edge_texts", "raw_texts"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_kind_is_refused_or_read(tmp_path, field, odd):
    fields = {"edge_index": EDGES, "raw_texts": TEXTS} | {field: ODD[odd]}
    if field == "adj_t":
        del fields["edge_index"]
    if field == "relation_names":
        fields["edge_type"] = torch.tensor([0, 1, 2])
    torch.save(fields, tmp_path / "graph.pt")
    report = check(str(tmp_path / "graph.pt"))
    try:
        graph = read(str(tmp_path / "graph.pt"))
    except UserError as error:
        assert report.problems == [str(error)] and "graph" in str(error)
    else:
        assert graph.num_nodes == len(graph.texts) and len(graph.label_names) < 1_000_000
        assert graph.relations is None or graph.relations.min() >= 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, zipped):
    """Cut off or changed anywhere; the unpickler has an error of another type for nearly every place."""
    written = io.BytesIO()
    torch.save({"edge_index": EDGES, "raw_texts": TEXTS}, written, _use_new_zipfile_serialization=zipped)
    content, path = written.getvalue(), tmp_path / "graph.pt"
    for place in range(0, len(content), 31 if zipped else 11):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :]):
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = check(str(path))
            assert len(report.problems) <= 1 and (report.summary or report.problems)
