import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.budget import FEWEST_WORDS, count_pieces, cut, fair_shares, read_head
from ssl4rl.graph.formats import Form
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.text import write_subgraph


def test_pieces_are_about_tokens_and_bounded_in_any_script():
    assert count_pieces("graph neural networks") == 3
    assert count_pieces("antidisestablishmentarianism") == 4
    assert count_pieces("don't!") == 4
    assert count_pieces("グラフ") == 3


@given(st.text(max_size=60), st.integers(0, 40))
def test_cut_keeps_the_budget_and_the_beginning(text, budget):
    shown = cut(text, budget)
    plain = " ".join(text.split())
    assert shown == plain or shown.endswith("…")
    assert count_pieces(shown.removesuffix("…")) <= max(budget, count_pieces(plain) if shown == plain else 0)
    assert plain.startswith(shown.removesuffix("…").rstrip())


def test_cut_ends_at_a_word():
    assert cut("a representation of graphs", 2) == "a …"
    assert cut("one  two\nthree", 3) == "one two three"
    assert cut("one two", 0) == "…"


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_fair_shares_use_the_budget_and_favour_nobody(lengths, budget):
    shares = fair_shares(lengths, budget)
    assert sum(shares) <= max(budget, 0)
    assert all(share <= length for share, length in zip(shares, lengths, strict=True))
    cut_ones = [share for share, length in zip(shares, lengths, strict=True) if share < length]
    if cut_ones:
        assert min(cut_ones) >= max(shares) - 1 and sum(shares) == budget


def test_a_cut_never_falls_inside_a_word():
    assert cut("graph-based methods", 2) == "…"
    assert cut("see state-of-the-art results", 4) == "see …"
    assert cut("naïve café owners", 2) == "…"
    assert cut("グラフの学習", 3) == "グラフ …"
    assert cut("x" * 500, 20) == "x" * 160 + " …"


def test_the_beginning_of_a_long_text_is_read_without_the_rest():
    class Long(str):
        def split(self, *args):
            raise AssertionError("the whole text was read")

    head = read_head(Long("many words " * 100_000), 40)
    assert head.pieces == 40 and head.text.endswith("…") and head.length == 1_100_000
    assert read_head("two words", 40) == ("two words", 2, 2, 2, 9)
    assert read_head("", 40) == ("", 0, 0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8), st.integers(0, 200))
def test_no_share_is_below_its_least(pairs, budget):
    lengths, least = [length for length, _ in pairs], [min(pair) for pair in pairs]
    shares = fair_shares(lengths, budget, least)
    assert all(low <= share <= length for low, share, length in zip(least, shares, lengths, strict=True))
    assert sum(shares) <= max(budget, sum(least))


def star(leaves: int, words: int) -> TextAttributedGraph:
    texts = [" ".join(f"n{node}w{word}" for word in range(words)) for node in range(leaves + 1)]
    ends = np.array([[0] * leaves, range(1, leaves + 1)])
    return TextAttributedGraph.from_edges("star", texts, ends)


def test_the_budget_decides_how_many_nodes_are_shown_not_how_little_of_each():
    graph = star(30, words=60)
    written = whole(graph, text_budget=240, keep=[0])
    lines = [line for line in written.text.splitlines() if line.startswith("[")]
    assert 4 <= len(lines) < 31
    assert all(len(line.removesuffix(" …").split()) - 1 >= FEWEST_WORDS for line in lines)
    assert len(written.edges) == len(lines) - 1 == len(written.number) - 1
    assert set(written.dropped) == {node for node, text in written.shown.items() if text.endswith("…")}


def test_each_asked_node_has_an_edge_even_where_the_budget_is_spent():
    chain = TextAttributedGraph.from_edges("chain", ["word " * 40] * 6, np.array([[0, 2, 4], [1, 3, 5]]))
    written = whole(chain, text_budget=16, keep=[0, 2], masked=[4])
    ends = {int(node) for node in chain.edge_index[:, list(written.edges)].reshape(-1)}
    assert {0, 2, 4} <= ends


def test_asked_texts_are_cut_at_the_same_place_whatever_is_around_them():
    graph = star(12, words=60)
    alone = Subgraph((0,), (0,), ())
    around = Subgraph((0, *range(4, 12)), (0,) + (1,) * 8, tuple(range(3, 11)))
    removed, written = (
        write_subgraph(graph, cut, Form(np.random.default_rng(0)), text_budget=120, keep=[0], options=[1, 2, 3])
        for cut in (alone, around)
    )
    written = write_subgraph(
        graph, around, Form(np.random.default_rng(0)), text_budget=120, keep=[0], options=[1, 2, 3]
    )
    assert written.shown[0] == removed.shown[0]
    # Options and context share what is left.
    lengths = [count_pieces(text) for node, text in written.shown.items() if node != 0]
    assert max(lengths) <= 2 * min(lengths)


def whole(graph: TextAttributedGraph, **options):
    every = Subgraph(tuple(range(graph.num_nodes)), (0,) * graph.num_nodes, tuple(range(graph.num_edges)))
    return write_subgraph(graph, every, Form(np.random.default_rng(0)), **{"text_budget": 200} | options)


def test_plain_edges_are_written_in_local_numbers(house):
    written = whole(house, masked=[4])
    number = written.number
    lines = written.text.splitlines()
    assert lines[0] == "Nodes:" and len(lines) == 7
    assert f"[{number[0]}] ground left" in lines
    assert f"[{number[4]}] (description hidden)" in lines
    shown = {frozenset(map(int, edge.split("-"))) for edge in lines[-1].removeprefix("Edges: ").rstrip(".").split(", ")}
    assert shown == {frozenset((number[a], number[b])) for a, b in house.edge_index.T.tolist()}


def test_direction_relation_and_edge_text_are_shown():
    graph = TextAttributedGraph.from_edges(
        "g",
        ["Ada", "Bea", ""],
        np.array([[0, 1], [1, 2]]),
        directed=True,
        relations=np.array([0, 1]),
        relation_names=["parent of", "knows"],
        edge_texts=["since 1815", ""],
    )
    written = whole(graph)
    ada, bea, nobody = (written.number[node] for node in range(3))
    assert f"[{ada}] --parent of--> [{bea}]: since 1815" in written.text
    assert f"[{bea}] --knows--> [{nobody}]" in written.text.splitlines()
    assert f"[{nobody}] (no description)" in written.text


def test_too_many_edges_are_cut_to_the_budget_the_asked_nodes_first():
    ends = np.array([(a, b) for a in range(12) for b in range(a)]).T
    graph = TextAttributedGraph.from_edges("g", [f"t{i}" for i in range(12)], ends)
    written = whole(graph, text_budget=120, keep=[0])
    kept = graph.edge_index[:, list(written.edges)]
    assert len(written.edges) < graph.num_edges
    assert (kept == 0).any(axis=0).sum() == 11
    assert len(Adjacency.build(12, graph.edge_index, np.array(written.edges)).around(0)) == 11
