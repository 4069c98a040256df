"""GraphML and GEXF: what NetworkX passes over, overwrites or makes up."""

from pathlib import Path

import networkx as nx
import pytest

import ssl4rl
from ssl4rl.data.graphs.convert import from_networkx
from ssl4rl.errors import UserError

GRAPHML = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="t" for="node" attr.name="text" attr.type="string"/>
<key id="k" for="edge" attr.name="relation" attr.type="string"/>
<graph edgedefault="undirected">
<node id="a"><data key="t">one</data></node><node id="b"><data key="t">two</data></node>
<edge source="a" target="b"/>
</graph>
</graphml>
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("</graph>", '</graph><graph edgedefault="directed"><node id="c"/></graph>', "holds 2 graphs, one beside"),
        ('<node id="a">', '<node id="a"><graph edgedefault="directed"><node id="c"/></graph>', "holds 2 graphs"),
        ('target="b"', 'target="zzz"', "an edge joins 'zzz', and no node has that id"),
        ('id="b"', 'id="a"', "two nodes have the id 'a'; keep one of them, or rename it"),
        ("two</data>", 'two</data><data key="t">2</data>', "the node 'b' has two values of 'text'; keep one of them"),
        (
            '<edge source="a" target="b"/>',
            '<edge id="e" source="a" target="b"/><edge id="e" source="b" target="a"/>',
            "two edges from 'b' to 'a' have the id 'e'; rename one",
        ),
    ],
)
def test_what_networkx_passes_over_or_makes_up_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    path = tmp_path / "g.graphml"
    path.write_text(GRAPHML)
    assert ssl4rl.load(str(path)).num_nodes == 2
    path.write_text(GRAPHML.replace(before, after, 1))
    with pytest.raises(UserError, match=message):
        ssl4rl.load(str(path))


GEXF = """<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph defaultedgetype="directed">
<attributes class="node"><attribute id="0" title="text" type="string"/></attributes>
<attributes class="edge"><attribute id="0" title="relation" type="string"/></attributes><nodes>
<node id="a" label="A"><attvalues><attvalue for="0" value="one"/></attvalues></node>
<node id="b" label="B"><attvalues><attvalue for="0" value="two"/></attvalues></node>
</nodes><edges><edge id="0" source="a" target="b"/></edges></graph></gexf>
"""


def declared(ending: str, kind: str, name: str, kind_of: str, default: str) -> str:
    """A small graph of two nodes with one more attribute, which node b and no edge has a value of: ``other``."""
    if ending == ".graphml":
        key = f'<key id="x" for="{kind}" attr.name="{name}" attr.type="{kind_of}"><default>{default}</default></key>'
        changed = GRAPHML.replace("<key", f"{key}<key", 1)
        return changed.replace("two</data>", 'two</data><data key="x">other</data>') if kind == "node" else changed
    kind_of = f'type="{kind_of}"><default>{default}</default></attribute>'
    more = f'<attributes class="{kind}"><attribute id="x" title="{name}" {kind_of}</attributes>'
    changed = GEXF.replace("<nodes>", f"{more}<nodes>", 1)
    return (
        changed.replace('value="two"/>', 'value="two"/><attvalue for="x" value="other"/>')
        if kind == "node"
        else changed
    )


@pytest.mark.parametrize("ending", [".graphml", ".gexf"])
def test_defaults_of_attributes_are_applied(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"g{ending}"

    def read(*about: str):
        path.write_text(declared(ending, *about))
        return ssl4rl.load(str(path))

    graph = read("node", "label", "string", "usual")
    assert [graph.label_names[label] for label in graph.labels] == ["usual", "other"]
    assert list(graph.texts) == ["one", "two"]
    graph = read("node", "kind", "string", "usual")
    assert [graph.kind_names[kind] for kind in graph.kinds] == ["usual", "other"]
    assert read("edge", "text", "string", "says").edge_texts == ["says"]
    assert read("edge", "relation", "double", "1.0").relation_names == ["1"]
    empty = read("node", "label", "string", "")
    assert empty.labels.tolist() == [-1, 0] and empty.label_names == ["other"]
    if ending == ".graphml":
        assert read("all", "text", "string", "says").edge_texts == ["says"]


def test_a_label_of_gexf_is_a_name_and_an_attribute_of_that_name_a_class(tmp_path: Path) -> None:
    path = tmp_path / "g.gexf"
    path.write_text(declared(".gexf", "node", "label", "string", "").replace('title="text"', 'title="content"'))
    graph = ssl4rl.load(str(path))
    assert list(graph.texts) == ["A. one", "B. two"] and graph.label_names == ["other"]
    assert graph.labels.tolist() == [-1, 0]


def test_defaults_of_networkx_are_applied() -> None:
    source = nx.DiGraph([(0, 1), (1, 2)], node_default={"text": "?", "label": "x"}, edge_default={"relation": "likes"})
    source.nodes[1].update(text="one", label="y")
    source.edges[1, 2]["relation"] = "knows"
    graph = from_networkx(source, "g")
    assert (list(graph.texts), graph.labels.tolist()) == (["?", "one", "?"], [0, 1, 0])
    assert graph.relation_names == ["knows", "likes"] and source.nodes[0] == {}
