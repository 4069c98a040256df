"""Large inputs take time in proportion to their size, or are refused; the bounds are far above what linear needs.

What was quadratic here would take minutes or hours.
"""

import io
import struct
import time
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import ssl4rl
from ssl4rl.data.graphs.folder import check_folder, load_folder
from ssl4rl.data.graphs.ids import Ids
from ssl4rl.data.graphs.triples import read_triples
from ssl4rl.errors import UserError
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.vision.decode import MAX_PIXELS, decode


@contextmanager
def within(seconds):
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


def test_ids_that_are_unknown_get_their_hints_at_once():
    """Each used to be compared with every node: 20,000 edges to nowhere took as many passes over the nodes."""
    ids = Ids()
    for node in (*(f"{number:08d}" for number in range(50_000)), "Node"):
        ids.add(node)
    with within(10):
        for number in range(20_000):
            unknown = f"9{number:06d}"
            assert (ids.find(unknown), ids.with_zeros(unknown), ids.in_other_case(unknown)) == (None, "", "")
    assert ids.find("17") is None and ids.with_zeros("17") == "00000017" and ids.in_other_case("NODE") == "Node"


def test_edges_to_nowhere_are_each_named(tmp_path):
    (tmp_path / "nodes.csv").write_text("id,text\n" + "".join(f"n{n},text {n}\n" for n in range(5000)))
    (tmp_path / "edges.csv").write_text("source,target\n" + "".join(f"n{n},x{n}\n" for n in range(5000)))
    with within(20):
        assert len(check_folder(tmp_path).problems) == 5000


def test_triples_of_many_relations_are_read(tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"a{n}\tr_{n}\tb{n}\n" for n in range(20_000)))
    with within(20):
        graph = read_triples(tmp_path)
    assert len(graph.relation_names) == 20_000


def test_a_table_of_many_columns_is_read(tmp_path):
    """The header used to be searched once for each of its columns."""
    names = ",".join(["id", "text", *(f"c{n}" for n in range(20_000))])
    cells = ",".join(["a", "b", *"1" * 20_000])
    (tmp_path / "nodes.csv").write_text(f"{names}\n{cells}\n{cells.replace('a', 'c', 1)}\n")
    (tmp_path / "edges.csv").write_text("source,target\na,c\n")
    with within(10):
        assert load_folder(tmp_path).num_nodes == 2
    (tmp_path / "nodes.csv").write_text(f"{names},c7\n{cells},1\n")
    with pytest.raises(UserError, match="two columns are named 'c7'"):
        load_folder(tmp_path)


def test_a_benchmark_of_many_classes_asks_about_all_of_them(tmp_path):
    """A model that cannot read so long a prompt refuses it before it is asked, and says what makes it long."""
    classes, nodes = 3000, 6000
    ends = np.random.default_rng(0).integers(nodes, size=(2, 3 * nodes))
    names = [f"class {number}" for number in range(classes)]
    texts = [f"text {node}" for node in range(nodes)]
    graph = TextAttributedGraph.from_edges("many", texts, ends, labels=np.arange(nodes) % classes, label_names=names)
    with within(20):
        node = ssl4rl.benchmark("node", graph)
        example = node.example(0)
    assert example.gold in example.text and len(example.text) > 10 * classes
    with pytest.raises(UserError, match="merge some of the 3,000 options that it lists, or take a model"):
        ssl4rl.evaluate(node, "tiny", tmp_path, limit=2)
    assert not list(tmp_path.iterdir())


def encoded(width, height):
    written = io.BytesIO()
    Image.new("L", (width, height)).save(written, "PNG", compress_level=1)
    return written.getvalue()


def test_a_photograph_of_50_megapixels_is_decoded():
    with within(20):
        assert decode(encoded(8688, 5792), "photo.png").size == (8688, 5792)


def test_an_image_of_more_pixels_than_memory_should_hold_is_refused_before_it_is_decoded():
    content = bytearray(encoded(8, 8))
    content[16:24] = struct.pack(">II", 9500, 9500)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert MAX_PIXELS < 9500**2
    with within(1), pytest.raises(UserError, match="9,500×9,500 pixels, more than 89,478,485: scale it down"):
        decode(bytes(content), "photo.png")
